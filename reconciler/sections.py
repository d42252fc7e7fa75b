"""Reading our own YAML configuration: typed values out of mappings, every mistake with its place. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar, overload

from drivers import values
from reconciler.compose.nodes import Node, fail
from reconciler.errors import InputError, Location
from reconciler.options import nearest

T = TypeVar("T")


class Section:
    """One mapping of a configuration file. Keys are taken out one by one; `end` refuses those nobody asked for."""

    def __init__(self, node: Node | None, path: tuple[str, ...] = (), *, file: str = "settings") -> None:
        if node is not None and node.value is not None and type(node.value) is not dict:
            raise fail("must be a mapping", node, path)
        self._node, self._path, self._file = node, path, file
        self._left: dict[str, Node] = dict(node.value) if node is not None and node.value else {}
        self._known: list[str] = []

    @property
    def given(self) -> bool:
        """Whether anything is written in it that nobody took out yet."""
        return bool(self._left)

    def text(self, key: str) -> str | None:
        """Never empty: nothing behind the colon is "not given", a pair of quotes is a mistake."""
        return self._take(key, _text, "must be text; put it in quotes")

    def path(self, key: str, base: Path) -> Path | None:
        """A path, relative to `base`."""
        node = self._left.get(key)
        text = self.text(key)
        return None if text is None or node is None else self._absolute(text, base, node, key)

    def paths(self, key: str, base: Path) -> tuple[Path, ...]:
        """A list of paths, relative to `base`; one alone is a list of one."""
        node = self._left.get(key)
        return tuple(self._absolute(text, base, node, key) for text in self.texts(key) if node is not None)

    def boolean(self, key: str, default: bool) -> bool:
        taken = self._take(key, lambda node: node.value if type(node.value) is bool else None, "must be true or false")
        return default if taken is None else taken

    @overload
    def integer(self, key: str, default: int) -> int: ...
    @overload
    def integer(self, key: str, default: None) -> int | None: ...
    def integer(self, key: str, default: int | None) -> int | None:
        """A count: 0 or more."""
        taken = self._take(key, _count, "must be a whole number, 0 or more")
        return default if taken is None else taken

    def number(self, key: str, default: float, *, most: float) -> float:
        """From 0 to `most`."""

        def read(node: Node) -> float | None:
            return float(node.value) if type(node.value) in (int, float) and 0 <= node.value <= most else None

        taken = self._take(key, read, f"must be a number from 0 to {most:g}")
        return default if taken is None else taken

    def seconds(self, key: str, default: float, *, least: float = 0) -> float:
        """A duration such as `30s` or `10m`, in seconds."""
        node = self._pop(key)
        if node is None or node.value is None:
            return default
        try:
            given = values.duration(node.text or str(node.value))
        except ValueError as exc:
            raise fail(str(exc), node, (*self._path, key)) from None
        if given is None or given < least:
            raise fail(f"must be {least:g}s or more", node, (*self._path, key))
        return given

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; one text alone is a list of one."""
        node = self._pop(key)
        if node is None or node.value is None:
            return ()
        items = node.value if type(node.value) is list else [node]
        return tuple(self._each(item, key) for item in items)

    def mapping(self, key: str) -> dict[str, str]:
        """A mapping of texts to scalars, the scalars as written."""
        section = Section(self._pop(key), (*self._path, key), file=self._file)
        for name, child in section._left.items():
            if child.value is None or type(child.value) in (dict, list):
                raise fail("must be one value: text, a number, true or false", child, (*section._path, name))
        return {name: child.text or str(child.value) for name, child in section._left.items()}

    def section(self, key: str) -> Section:
        return Section(self._pop(key), (*self._path, key), file=self._file)

    def sections(self, key: str) -> Iterator[Section]:
        node = self._pop(key)
        if node is None or node.value is None:
            return
        if type(node.value) is not list:
            raise fail("must be a list: begin each entry with '- '", node, (*self._path, key))
        for index, item in enumerate(node.value):
            yield Section(item, (*self._path, f"{key}[{index}]"), file=self._file)

    def wrong(self, message: str, key: str = "") -> InputError:
        """An error about this section, to be raised."""
        place = self._node.location if self._node is not None else Location(self._file)
        return InputError(message, place, path=".".join((*self._path, key)).rstrip("."))

    def end(self) -> None:
        """Raises InputError for a key that is not known here."""
        for key, node in self._left.items():
            hint = nearest(key, self._known)
            suggestion = f" (did you mean '{hint}'?)" if hint else f" (known here: {', '.join(self._known)})"
            raise fail(f"unknown setting '{key}'{suggestion}", node, self._path, at_key=True)

    def _pop(self, key: str) -> Node | None:
        self._known.append(key)
        return self._left.pop(key, None)

    def _take(self, key: str, read: Callable[[Node], T | None], otherwise: str) -> T | None:
        node = self._pop(key)
        if node is None or node.value is None:
            return None
        value = read(node)
        if value is None:
            raise fail(otherwise, node, (*self._path, key))
        return value

    def _each(self, item: Node, key: str) -> str:
        text = _text(item)
        if text is None:
            raise fail("must be text; put it in quotes", item, (*self._path, key))
        return text

    def _absolute(self, text: str, base: Path, node: Node, key: str) -> Path:
        try:
            return base / Path(text).expanduser()
        except RuntimeError:
            raise fail(
                f"there is no user whose home {text.split('/')[0]!r} could be", node, (*self._path, key)
            ) from None


def _text(node: Node) -> str | None:
    return node.value if type(node.value) is str and node.value else None


def _count(node: Node) -> int | None:
    return node.value if type(node.value) is int and node.value >= 0 else None
