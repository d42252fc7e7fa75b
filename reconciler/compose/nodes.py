"""YAML values that know where they were written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from reconciler.errors import InputError, Location


class Mark(Protocol):
    """A place as the YAML parser gives it; counts from 0. `name` is the file."""

    @property
    def name(self) -> str: ...
    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


class Timestamp(str):
    """A plain scalar that YAML takes for a date or a time; never a string to Compose."""

    __slots__ = ()


class Node:
    """One value: `value` is a dict of nodes, a list of nodes, or a str, int, float, bool, None or Timestamp.

    `text` is a scalar as written, `at` its place, `key_at` the place of its key in a mapping. Nodes are shared between
    aliases, so nobody changes one: every stage makes new nodes where something differs.
    """

    __slots__ = ("at", "key_at", "text", "value")

    def __init__(self, value: Any, at: Mark, key_at: Mark | None = None, text: str = "") -> None:
        self.value = value
        self.at = at
        self.key_at = key_at
        self.text = text

    def with_value(self, value: Any) -> Node:
        """The same place with another value."""
        return Node(value, self.at, self.key_at, self.text)

    def get(self, key: str) -> Node | None:
        """The child of a mapping; None where there is none, or where this is no mapping."""
        value = self.value
        return value.get(key) if type(value) is dict else None

    @property
    def location(self) -> Location:
        """Where the value begins."""
        return Location(self.at.name, self.at.line + 1, self.at.column + 1)

    @property
    def key_location(self) -> Location:
        """Where its key is written; the value itself for list items."""
        mark = self.key_at or self.at
        return Location(mark.name, mark.line + 1, mark.column + 1)


def fail(message: str, node: Node, path: Sequence[str] = (), *, at_key: bool = False) -> InputError:
    """The error about this node, ready to be raised."""
    return InputError(message, node.key_location if at_key else node.location, path=".".join(path))


def same(left: Node, right: Node) -> bool:
    """Deep equality of values; 1, 1.0 and true are three different things."""
    a, b = left.value, right.value
    if type(a) is not type(b):
        return False
    if type(a) is dict:
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if type(a) is list:
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def kind(node: Node) -> str:
    """What it is, in the words of Compose's messages."""
    value = node.value
    if value is None:
        return "null"
    names = {dict: "a mapping", list: "a list", bool: "a boolean", Timestamp: "a date"}
    if type(value) in names:
        return names[type(value)]
    return "a string" if type(value) is str else "a number"
