"""`x-cloud-options` in all its forms → a flat list of key, text and place.

    x-cloud-options: ["cloud.region=us-west-2", spot]          a list; what has no `=` is true
    x-cloud-options: {cloud.region: us-west-2}                 a mapping
    x-cloud-options: {cloud: {region: us-west-2}}              nested, the keys joined by dots
    x-cloud-options: {cloud.region: [us-west-2, eu-west-1]}    a list in a value is joined by commas

Values are the text that was written: `0x10` stays `0x10`, `1e3` stays `1e3`. Of several files the last one wins, key
by key; the same key twice within one document is an error.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.compose.nodes import Node, fail
from reconciler.compose.project import RawOption
from reconciler.errors import Location

Path = tuple[str, ...]


def flatten(node: Node | None, path: Path, layer_of: LayerOf) -> tuple[RawOption, ...]:
    """All options of one `x-cloud-options`, in the order written. Raises InputError for anything that is no option."""
    if node is None or node.value is None:
        return ()
    entries = _from_list(node, path) if type(node.value) is list else _from_mapping(node, path, ())
    result: dict[str, RawOption] = {}
    for option, source in entries:
        earlier = result.get(option.key)
        if earlier is not None and earlier.location != option.location:
            before, now = layer_of(earlier.location), layer_of(option.location)
            if before == now:
                raise fail(f"the option {option.key!r} is already set in {earlier.location}", source, path)
            if before > now:
                continue
            del result[option.key]  # the last one wins, and stands where it was written
        result[option.key] = option
    return tuple(result.values())


class LayerOf:
    """Tells which document of which file a place is in, as a number of file and document that grows with the order."""

    def __init__(self, begins: dict[str, list[int]]) -> None:
        self._begins = begins
        self._order = {file: number for number, file in enumerate(begins)}

    def __call__(self, place: Location) -> tuple[int, int]:
        earlier = [line for line in self._begins.get(place.file, ()) if line <= place.line]
        return self._order.get(place.file, -1), len(earlier)


def _from_list(node: Node, path: Path) -> Iterator[tuple[RawOption, Node]]:
    for item in node.value:
        if type(item.value) is dict:
            yield from _from_mapping(item, path, ())
            continue
        if type(item.value) is not str:
            raise fail("an option is a text: key=value, or a key alone for true", item, path)
        key, equals, text = item.value.partition("=")
        if not key.strip():
            raise fail(f"{item.value!r} has no key before the `=`", item, path)
        yield RawOption(key.strip(), text.strip() if equals else "true", item.location), item


def _from_mapping(node: Node, path: Path, prefix: Path) -> Iterator[tuple[RawOption, Node]]:
    if type(node.value) is not dict:
        raise fail("must be a list of key=value or a mapping", node, path)
    for name, child in node.value.items():
        keys = (*prefix, name.strip())
        if not keys[-1]:
            raise fail("an option without a name", child, path, at_key=True)
        if type(child.value) is dict:
            yield from _from_mapping(child, path, keys)
            continue
        key = ".".join(keys)
        yield RawOption(key, _text(child, (*path, key)), child.key_location), child


def _text(node: Node, path: Path) -> str:
    if type(node.value) is list:
        return ",".join(_scalar(item, path) for item in node.value)
    return _scalar(node, path)


def _scalar(node: Node, path: Path) -> str:
    if node.value is None:
        raise fail("has no value; write true, or leave it out", node, path)
    if type(node.value) is dict or type(node.value) is list:
        raise fail("a list inside an option holds texts only", node, path)
    return node.text.strip()
