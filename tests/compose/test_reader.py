"""The YAML reader by itself: both parsers give the same nodes, nodes are shared safely, resets know their paths."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.compose import reader
from reconciler.compose.nodes import Node, same
from reconciler.compose.reader import read_documents
from tests.compose.cases.builders import APP, LLM
from tests.compose.generate import project

TEXTS = (
    APP + LLM,
    "x-a: &a {b: 1, c: !override [1]}\nx-b: {<<: *a, d: !reset null}\nx-c: *a\n",
    "a: 'q'\nb: \"é\\n\"\nc: |\n  line\n  two\nd: >-\n  folded\n  text\n# comment\ne: [~, 1e3, 0o10, yes]\n",
    "---\na: 1\n---\nb: 2\n...\n",
    *(project(seed).files["compose.yaml"] for seed in range(40)),
)


def shown(node: Node) -> Any:
    """A node with everything it knows, as plain values."""
    value = node.value
    if type(value) is dict:
        value = {key: (str(child.key_location), shown(child)) for key, child in value.items()}
    elif type(value) is list:
        value = [shown(child) for child in value]
    return str(node.location), node.text, type(node.value).__name__, value


@pytest.mark.parametrize("text", TEXTS)
def test_without_libyaml_the_same_is_read(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = [(shown(document.root), document.resets) for document in read_documents(text.encode(), "f")]
    monkeypatch.setattr(reader, "_Parser", None)
    assert [(shown(document.root), document.resets) for document in read_documents(text.encode(), "f")] == fast


def test_resets_and_overrides_are_noted_where_they_count() -> None:
    (document,) = read_documents(TEXTS[1].encode(), "f")
    assert document.resets == [("x-a", "c"), ("x-b", "c"), ("x-b", "d"), ("x-c", "c")]
    assert document.root.value["x-b"].value.keys() == {"b", "c"}


def test_what_is_written_wins_over_what_is_merged_and_the_first_merged_wins() -> None:
    text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz: {<<: [*x, *y], a: 3}\n"
    (document,) = read_documents(text.encode(), "f")
    assert {key: child.value for key, child in document.root.value["z"].value.items()} == {"a": 3, "b": 1, "c": 2}


def test_one_and_true_and_one_point_zero_are_three_things() -> None:
    (document,) = read_documents(b"[1, true, 1.0, '1']", "f")
    items = document.root.value
    assert [same(items[0], item) for item in items] == [True, False, False, False]


def test_an_alias_has_its_own_key_and_its_targets_value() -> None:
    (document,) = read_documents(b"a: &x v\nb: *x\n", "f")
    first, second = document.root.value["a"], document.root.value["b"]
    assert (str(first.key_location), str(second.key_location)) == ("f:1:1", "f:2:1")
    assert second.location == first.location
