"""Reading our own YAML configuration: typed values out of mappings, every mistake with its place. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from drivers import values
from reconciler.compose.nodes import Node, fail
from reconciler.errors import InputError, Location
from reconciler.options import nearest

T = TypeVar("T")


class Section:
    """One mapping of a configuration file. Keys are taken out one by one; `end` refuses those nobody asked for."""

    def __init__(self, node: Node | None, path: tuple[str, ...] = ()) -> None:
        if node is not None and node.value is not None and type(node.value) is not dict:
            raise fail("must be a mapping", node, path)
        self._node, self._path = node, path
        self._left: dict[str, Node] = dict(node.value) if node is not None and node.value else {}
        self._known: list[str] = []

    @property
    def location(self) -> Location | None:
        return self._node.location if self._node is not None else None

    def text(self, key: str) -> str | None:
        return self._take(key, "text", lambda node: node.value if type(node.value) is str else None)

    def boolean(self, key: str, default: bool) -> bool:
        taken = self._take(key, "true or false", lambda node: node.value if type(node.value) is bool else None)
        return default if taken is None else taken

    def integer(self, key: str, default: int) -> int:
        taken = self._take(key, "a whole number", lambda node: node.value if type(node.value) is int else None)
        return default if taken is None else taken

    def number(self, key: str, default: float) -> float:
        taken = self._take(key, "a number", lambda n: float(n.value) if type(n.value) in (int, float) else None)
        return default if taken is None else taken

    def seconds(self, key: str, default: float) -> float:
        """A duration such as `30s` or `10m`, in seconds."""
        taken = self._parsed(key, values.duration)
        return default if taken is None else taken

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; one text alone is a list of one."""
        node = self._pop(key)
        if node is None or node.value is None:
            return ()
        items = node.value if type(node.value) is list else [node]
        for item in items:
            if type(item.value) is not str:
                raise fail("must be text", item, (*self._path, key))
        return tuple(item.value for item in items)

    def mapping(self, key: str) -> dict[str, str]:
        """A mapping of texts to scalars, the scalars as written."""
        node = self._pop(key)
        section = Section(node, (*self._path, key))
        return {name: child.text or str(child.value) for name, child in section._left.items()}

    def section(self, key: str) -> Section:
        return Section(self._pop(key), (*self._path, key))

    def sections(self, key: str) -> Iterator[Section]:
        node = self._pop(key)
        if node is None or node.value is None:
            return
        if type(node.value) is not list:
            raise fail("must be a list", node, (*self._path, key))
        for index, item in enumerate(node.value):
            yield Section(item, (*self._path, f"{key}[{index}]"))

    def wrong(self, message: str, key: str = "") -> InputError:
        """An error about this section, to be raised."""
        return InputError(message, self.location or Location("settings"), path=".".join((*self._path, key)).rstrip("."))

    def end(self) -> None:
        """Raises InputError for a key that is not known here."""
        for key, node in self._left.items():
            hint = nearest(key, self._known)
            suggestion = f" (did you mean '{hint}'?)" if hint else f" (known here: {', '.join(self._known)})"
            raise fail(f"unknown setting '{key}'{suggestion}", node, self._path, at_key=True)

    def _pop(self, key: str) -> Node | None:
        self._known.append(key)
        return self._left.pop(key, None)

    def _take(self, key: str, what: str, read: Callable[[Node], T | None]) -> T | None:
        node = self._pop(key)
        if node is None or node.value is None:
            return None
        value = read(node)
        if value is None:
            raise fail(f"must be {what}", node, (*self._path, key))
        return value

    def _parsed(self, key: str, parse: Callable[[str], T | None]) -> T | None:
        node = self._pop(key)
        if node is None or node.value is None:
            return None
        try:
            return parse(node.text or str(node.value))
        except ValueError as exc:
            raise fail(str(exc), node, (*self._path, key)) from None
