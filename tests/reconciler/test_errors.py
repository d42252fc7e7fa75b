"""Errors are for people: a line on a screen, with a place."""

from __future__ import annotations

import pytest

from reconciler.errors import LONGEST, InputError, SourceError
from tests.builders import place
from tests.compose.cases.builders import APP
from tests.compose.memory import project


def test_a_place_and_a_path_stand_before_the_reason() -> None:
    assert str(InputError("wrong", place(3, 7), path="models.llm")) == "compose.yaml:3:7: models.llm: wrong"
    assert str(InputError("wrong", place(3, 7))) == "compose.yaml:3:7: wrong"


@pytest.mark.parametrize(
    "text",
    [
        APP + "models: {llm: {model: '${A" + "x" * 60_000 + "'}}\n",
        APP + "models: {llm: {model: a}, " + "y" * 60_000 + " z: {model: a}}\n",
        APP + "models: {llm: {model: a, context_size: {" + "k" * 60_000 + ": 1}}}\n",
        "services: {app: {image: x, models: [" + "n" * 60_000 + "]}}\n",
    ],
)
def test_a_page_of_text_in_a_file_is_no_page_of_an_error(text: str) -> None:
    """The screen, and a pull request's annotations, were flooded with what was quoted."""
    with pytest.raises(InputError) as caught:
        project(text)
    assert len(str(caught.value)) < 2 * LONGEST + 100


def test_nor_does_an_env_file_make_one() -> None:
    texts = {"compose.yaml": APP, ".env": f"COMPOSE_FILE={'9' * 60_000}.yaml\n"}
    with pytest.raises(SourceError) as caught:
        project(texts)
    assert len(str(caught.value)) < LONGEST + 10
