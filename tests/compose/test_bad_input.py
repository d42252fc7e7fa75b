"""Hostile and broken texts: each is refused with a place and a reason, and soon."""

# ruff: noqa: E501 - a text is easier to read in one line

from __future__ import annotations

import time
from contextlib import suppress
from random import Random

import pytest

from reconciler.compose.reader import read_documents
from reconciler.compose.screen import Limits
from reconciler.errors import InputError
from tests.compose.bad_texts import BAD, GOOD
from tests.compose.cases.builders import APP
from tests.compose.memory import project


@pytest.mark.parametrize("name", BAD)
def test_refused_with_a_place_and_a_reason(name: str) -> None:
    text, reason = BAD[name]
    with pytest.raises(InputError, match=r"^compose\.yaml:[0-9]+:[0-9]+: ") as caught:
        project(text)
    assert reason in str(caught.value)


@pytest.mark.parametrize("name", ["merge bomb", "billion laughs", "alias tower", "60,000 brackets", "9,000 deep"])
def test_bombs_are_refused_within_50_ms(name: str) -> None:
    text = BAD[name][0]
    data = text.encode() if isinstance(text, str) else text
    best = min(_seconds(data) for _ in range(5))
    assert best < 0.05


def _seconds(data: bytes) -> float:
    begin = time.process_time()
    with pytest.raises(InputError):
        read_documents(data, "compose.yaml")
    return time.process_time() - begin


def test_byte_order_mark_and_windows_line_ends_are_fine() -> None:
    assert project("\ufeff" + GOOD.replace("\n", "\r\n")).models.keys() == {"llm"}


def test_words_that_are_strings_to_compose_may_be_names() -> None:
    found = project(
        "services: {app: {image: x, models: [no, on, y]}}\nmodels: {no: {model: a}, on: {model: b}, y: {model: c}}\n"
    )
    assert found.models.keys() == {"no", "on", "y"}


def test_variables_that_multiply_run_into_a_limit() -> None:
    lines = "A0=0123456789\n" + "".join(f"A{n}=${{A{n - 1}}}${{A{n - 1}}}\n" for n in range(1, 60))
    with pytest.raises(InputError, match=r"too long|more than"):
        project({"compose.yaml": GOOD, ".env": lines})
    many = APP + "models: {llm: {model: '" + "$A" * 20_000 + "'}}\n"
    with pytest.raises(InputError, match="too long"):
        project({"compose.yaml": many, ".env": "A=" + "x" * 10_000 + "\n"})


def test_limits_are_the_callers_to_lower() -> None:
    with pytest.raises(InputError, match="levels deep"):
        read_documents(b"a: {b: {c: 1}}", "f", Limits(depth=2))


def test_two_thousand_models_are_within_the_limits() -> None:
    keys = [f"model-{number}" for number in range(2_000)]
    uses = "".join(f"      {key}: {{endpoint_var: URL_{n}}}\n" for n, key in enumerate(keys))
    models = "".join(f"  {key}: {{model: ai/x, context_size: 4096, x-cloud-options: [a=1, b=2]}}\n" for key in keys)
    assert len(project(f"services:\n  app:\n    image: x\n    models:\n{uses}models:\n{models}").models) == 2_000


MUTATIONS = (
    "",
    "\0",
    "\t",
    "{",
    "}",
    "[",
    "]",
    ":",
    "&a ",
    "*a ",
    "!reset ",
    "!x ",
    "${",
    "}",
    "$",
    "'",
    '"',
    "|",
    "\n",
    "- ",
    "<<: ",
    "---\n",
    "é",
    "~",
    "1e9",
    "? ",
)
SEEDS = (
    GOOD
    + "    runtime_flags: [--a, '${V:-b}']\n    x-cloud-options: {cloud: {region: x, l: [a, 1]}}\nx-a: &a {b: [c]}\n",
    "services:\n  a: {extends: b}\n  b: {image: x, models: {llm: {endpoint_var: E}}, depends_on: {c: {condition: service_started}}}\n  c: {provider: {type: model, options: {model: m, runtime-flags: '--a b'}}}\nmodels: {llm: {model: '$V', <<: {context_size: 0x10}}}\n",
    "include: [{path: [other.yaml], env_file: e.env}]\nname: n\nservices: {app: {extends: {file: other.yaml, service: o}, profiles: [p]}}\n---\nmodels: {m: !override {model: b}}\n",
)


@pytest.mark.parametrize("seed", range(30))
def test_only_input_errors_escape_whatever_is_written(seed: int) -> None:
    """A traceback in the service would be a way to stop it; 100 mutations for each seed, always the same ones."""
    random = Random(seed)
    for _ in range(100):
        text = random.choice(SEEDS)
        for _ in range(random.randint(1, 6)):
            at = random.randrange(len(text) + 1)
            text = text[:at] + random.choice(MUTATIONS) + text[at + random.choice((0, 0, 1, 3)) :]
        files = {
            "compose.yaml": text,
            "other.yaml": random.choice(SEEDS[:2]),
            "e.env": random.choice(("A=1\n", "A='", text)),
        }
        with suppress(InputError):
            project(files, environment={"V": "v"}, profiles=random.choice(((), ("p",))))
