"""The safe YAML reader: bytes → documents of nodes, or an InputError. Nothing else ever leaves it.

Works on parser events and builds its own nodes: PyYAML's composer recurses (60,000 nested brackets kill the whole
process) and expands merge keys before anybody can count them. Every alias is charged with the full size of what it
stands for, before anything is built, so a bomb is refused after reading its few hundred bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, NamedTuple

import yaml

from reconciler.compose.nodes import Mark, Node
from reconciler.compose.scalars import HINTS, resolve
from reconciler.compose.screen import DEFAULT_LIMITS, FORBIDDEN, Limits, screen
from reconciler.errors import InputError, Location

try:
    from yaml._yaml import CParser as _Parser  # type: ignore[import-untyped,unused-ignore]
except ImportError:  # PyYAML without libyaml: slower, same events
    _Parser = None  # type: ignore[assignment,misc]


Path = tuple[str, ...]


@dataclass(slots=True)
class Document:
    """One YAML document. `resets` are the paths tagged `!reset` or `!override`: what was there before goes."""

    root: Node
    resets: list[Path] = field(default_factory=list)
    has_variables: bool = True
    """False when there is no `$` in the whole file, and so nothing to interpolate."""


_TAG = "tag:yaml.org,2002:"
_SCALAR_TAGS = {
    _TAG + "str": "a string",
    _TAG + "int": "an integer",
    _TAG + "float": "a number",
    _TAG + "bool": "a boolean",
    _TAG + "null": "null",
}
_COMPOSE_TAGS = ("!reset", "!override")


def read_documents(data: bytes, name: str, limits: Limits = DEFAULT_LIMITS) -> list[Document]:
    """All documents of a file, without empty ones at the end; `name` is how places call the file.

    Raises InputError for everything that is not a sound YAML text within the limits.
    """
    screen(data, name, limits)
    return list(_Composer(data, name, limits).documents())


class _Stream(BytesIO):
    """Bytes with a name, which the parser writes into every mark."""

    name = ""


_MERGE = "\0<<"
"""The key under which a mapping keeps its merge value until it closes; no text can contain it."""


class _Frame:
    """An open mapping or sequence."""

    __slots__ = ("anchor", "at", "extra", "height", "items", "key", "key_at", "overrides", "start", "tag")

    def __init__(self, items: Any, event: Any, start: int, overrides: int) -> None:
        self.items = items
        self.at: Mark = event.start_mark
        self.anchor: str | None = event.anchor
        self.tag: str | None = event.tag
        self.key: str | None = None
        self.key_at: Mark | None = None
        self.extra: dict[str, Mark] | None = None
        """Keys that are taken though not in `items`: dropped by `!reset`, or the canonical form of a look-alike."""
        self.height = 1
        self.start = start
        self.overrides = overrides


class _Anchor(NamedTuple):
    node: Node
    size: int
    height: int
    overrides: tuple[Path, ...] = ()
    """Paths below it that are tagged `!override`; each alias repeats them in its own place."""


class _Composer:
    """Events to nodes, with an explicit stack."""

    def __init__(self, data: bytes, name: str, limits: Limits) -> None:
        stream = _Stream(data.removeprefix(b"\xef\xbb\xbf"))
        stream.name = name
        self.name = name
        self.data = data
        self.limits = limits
        self.escapes = b"\\" in data
        self.has_variables = self.escapes or b"$" in data
        self.parser: Any = _Parser(stream) if _Parser is not None else _pure_parser(stream)
        self.count = 0
        self.aliases = 0
        # YAML ends an anchor with its document, Compose with its file.
        self.anchors: dict[str, _Anchor] = {}
        self._begin()

    def _begin(self) -> None:
        self.stack: list[_Frame] = []
        self.resets: list[Path] = []
        self.overrides: list[Path] = []
        self.inside_override = 0

    def documents(self) -> Iterator[Document]:
        """Translate whatever the parser raises: nothing but InputError may escape."""
        try:
            yield from self._documents()
        except yaml.MarkedYAMLError as exc:
            mark = exc.problem_mark or exc.context_mark
            place = Location(self.name, mark.line + 1, mark.column + 1) if mark else Location(self.name)
            tab = self._line(place.line)[place.column - 1 :].startswith("\t")
            problem = "a tab cannot indent; use spaces" if tab else exc.problem or exc.context
            if "nesting depth" in str(problem):
                # Newer parsers have a limit of their own, and reach it while they peek.
                raise InputError(f"nested more than {self.limits.depth} levels deep", place) from None
            raise InputError(f"not valid YAML: {problem}", place) from None
        except yaml.YAMLError as exc:
            raise InputError(f"not valid YAML: {str(exc).splitlines()[0]}", Location(self.name)) from None

    def _line(self, number: int) -> str:
        lines = self.data.decode("utf-8", "replace").splitlines()
        return lines[number - 1] if number <= len(lines) else ""

    def _documents(self) -> Iterator[Document]:
        # One loop over all events, the frequent cases first and inline: this is where the reader's time goes.
        get_event = self.parser.get_event
        scalar, alias = yaml.ScalarEvent, yaml.AliasEvent
        mapping, mapping_end = yaml.MappingStartEvent, yaml.MappingEndEvent
        sequence, sequence_end = yaml.SequenceStartEvent, yaml.SequenceEndEvent
        budget, longest, escapes = self.limits.nodes, self.limits.scalar_characters, self.escapes
        frame: _Frame | None = None
        root: Node | None = None
        while True:
            event = get_event()
            kind = event.__class__
            node: Node | None
            if kind is scalar:
                self.count += 1
                text = event.value
                if self.count > budget or len(text) > longest:
                    self._refuse_size(event)
                if event.tag is None and event.anchor is None and not (escapes and event.style == '"'):
                    if frame is not None and frame.key is None and type(frame.items) is dict:
                        self._key(frame, text, event)
                        continue
                    value = text
                    if not event.style and (not text or text[0] in HINTS):
                        value = resolve(text)
                    node = Node(value, event.start_mark, None, text)
                else:
                    node = self._special_scalar(frame, event)
                    if frame is not None and frame.key is None and type(frame.items) is dict:
                        self._special_key(frame, node, event)
                        continue
            elif kind is mapping or kind is sequence:
                frame = self._open(frame, event, {} if kind is mapping else [])
                continue
            elif kind is mapping_end or kind is sequence_end:
                node = self._close()
                frame = self.stack[-1] if self.stack else None
            elif kind is alias:
                node = self._alias(event)
                if frame is not None and frame.key is None and type(frame.items) is dict:
                    self._special_key(frame, node, event)
                    continue
            elif kind is yaml.DocumentStartEvent:
                if event.version not in (None, (1, 1)):
                    raise self._error("Compose reads YAML 1.1 only; leave the %YAML line out", event)
                self._begin()
                frame = root = None
                continue
            elif kind is yaml.DocumentEndEvent:
                if root is None:
                    raise self._error("a whole document cannot be reset", event)
                yield Document(root, self.resets, self.has_variables)
                continue
            elif kind is yaml.StreamEndEvent:
                return
            else:
                continue
            if frame is None:
                root = node
            elif type(frame.items) is list:
                if node is not None:
                    frame.items.append(node)
            else:
                if node is not None:
                    node.key_at = frame.key_at
                    frame.items[frame.key] = node
                else:
                    self._occupy(frame, frame.key or "", frame.key_at)
                frame.key = None

    def _key(self, frame: _Frame, text: str, event: Any) -> None:
        """A plain or quoted key without tag, anchor or escapes."""
        if not event.style and (not text or text[0] in HINTS or text == "<<"):
            if text == "<<":
                text = _MERGE
            elif type(resolve(text)) is not str:
                raise self._error(f"the key {text or 'null'!r} is not a string; quote it", event)
        if frame.extra is None and text not in frame.items and text.isascii():
            frame.key, frame.key_at = text, event.start_mark  # the usual key, without another call
        else:
            self._take(frame, text, event)

    def _special_key(self, frame: _Frame, node: Node | None, event: Any) -> None:
        if node is None or type(node.value) is not str:
            raise self._error("a key must be a string; quote it", event)
        self._take(frame, node.value, event)

    def _take(self, frame: _Frame, key: str, event: Any) -> None:
        earlier = frame.items.get(key)
        taken = frame.extra.get(key) if frame.extra else None
        if earlier is not None or taken is not None:
            self._duplicate(key, taken or earlier.key_at, event)
        if not key.isascii():
            self._refuse_lookalike(frame, key, event)
        frame.key = key
        frame.key_at = event.start_mark

    def _refuse_lookalike(self, frame: _Frame, key: str, event: Any) -> None:
        """Two spellings of one text (é as one character or as two) would be two models that nobody can tell apart."""
        from unicodedata import normalize

        canonical = normalize("NFC", key)
        earlier = frame.items.get(canonical)
        taken = frame.extra.get(canonical) if frame.extra else None
        if earlier is not None or taken is not None:
            self._duplicate(key, taken or earlier.key_at, event)
        self._occupy(frame, canonical, event.start_mark)

    def _occupy(self, frame: _Frame, key: str, at: Mark | None) -> None:
        assert at is not None
        if frame.extra is None:
            frame.extra = {}
        frame.extra[key] = at

    def _duplicate(self, key: str, earlier: Mark, event: Any) -> None:
        shown = "<<" if key == _MERGE else key
        raise self._error(f"the key {shown!r} is already defined in line {earlier.line + 1}", event)

    def _special_scalar(self, frame: _Frame | None, event: Any) -> Node | None:
        """One with a tag, an anchor or possible escapes; None when `!reset` drops it."""
        text, tag = event.value, event.tag
        if event.style == '"':
            found = FORBIDDEN.search(text)
            if found:
                raise self._error(f"the text contains the control character U+{ord(found[0]):04X}", event)
        if tag is None or tag == "!":
            plain = not event.style and (not text or text[0] in HINTS)
            node = Node(resolve(text) if plain else text, event.start_mark, None, text)
        elif tag in _COMPOSE_TAGS:
            node = Node(text, event.start_mark, None, text)
        else:
            node = Node(self._tagged(event), event.start_mark, None, text)
        if event.anchor:
            self.anchors[event.anchor] = _Anchor(node, 1, 0)
        return None if tag in _COMPOSE_TAGS and self._marks(tag) else node

    def _tagged(self, event: Any) -> Any:
        text, tag = event.value, event.tag
        wanted = _SCALAR_TAGS.get(tag)
        if wanted is None:
            raise self._error(f"the tag {_shown(tag)} is not allowed; only !reset and !override are", event)
        if tag == _TAG + "str":
            return text
        value = resolve(text)
        if tag == _TAG + "float" and type(value) is int:
            value = float(value)
        types = {"int": int, "float": float, "bool": bool, "null": type(None)}
        if type(value) is not types[tag.removeprefix(_TAG)]:
            raise self._error(f"{text!r} is not {wanted}", event)
        return value

    def _marks(self, tag: str) -> bool:
        """Note the path of a `!reset` or `!override`; True when the value is to be dropped."""
        if self.inside_override:
            return False
        path = self._path()
        self.resets.append(path)
        if tag == "!override":
            self.overrides.append(path)
        return tag == "!reset"

    def _path(self) -> Path:
        keys = (str(len(f.items)) if type(f.items) is list else f.key for f in self.stack)
        return tuple(key for key in keys if key is not None and key != _MERGE)

    def _open(self, frame: _Frame | None, event: Any, items: Any) -> _Frame:
        if frame is not None and frame.key is None and type(frame.items) is dict:
            raise self._error("a key must be a string", event)
        self.count += 1
        if self.count > self.limits.nodes:
            self._refuse_size(event)
        if len(self.stack) >= self.limits.depth:
            raise self._error(f"nested more than {self.limits.depth} levels deep", event)
        opened = _Frame(items, event, self.count, len(self.overrides))
        tag = event.tag
        if tag is not None and tag != "!":
            if tag in _COMPOSE_TAGS:
                opened.tag = tag if not self.inside_override else None
                if opened.tag == "!override":
                    self._marks(tag)
                    self.inside_override += 1
            elif tag != _TAG + ("map" if type(items) is dict else "seq"):
                raise self._error(f"the tag {_shown(tag)} is not allowed; only !reset and !override are", event)
        self.stack.append(opened)
        return opened

    def _close(self) -> Node | None:
        """The finished collection; None when `!reset` drops it."""
        frame = self.stack.pop()
        items = frame.items
        if type(items) is dict and _MERGE in items:
            items = self._merged(items)
        node = Node(items, frame.at)
        if self.stack and self.stack[-1].height <= frame.height:
            self.stack[-1].height = frame.height + 1
        if frame.tag == "!override":
            self.inside_override -= 1
        if frame.anchor:
            depth = len(self._path())
            below = tuple(path[depth:] for path in self.overrides[frame.overrides :])
            self.anchors[frame.anchor] = _Anchor(node, self.count - frame.start + 1, frame.height, below)
        if frame.tag == "!reset":
            self._marks("!reset")
            return None
        return node

    def _merged(self, items: dict[str, Node]) -> dict[str, Node]:
        """What is written in the mapping itself wins, then the merged mappings in their order."""
        merge = items.pop(_MERGE)
        result = dict(items)
        for source in merge.value if type(merge.value) is list else [merge]:
            if type(source.value) is not dict:
                raise InputError("`<<` needs a mapping or a list of mappings", source.location)
            for key, child in source.value.items():
                result.setdefault(key, child)
        return result

    def _alias(self, event: Any) -> Node:
        name = event.anchor
        self.aliases += 1
        if self.aliases > self.limits.aliases:
            raise self._error(f"more than {self.limits.aliases:,} aliases", event)
        if any(frame.anchor == name for frame in self.stack):
            raise self._error(f"the alias *{name} stands inside what it stands for", event)
        anchor = self.anchors.get(name)
        if anchor is None:
            raise self._error(f"the alias *{name} stands for nothing", event)
        self.count += anchor.size
        if self.count > self.limits.nodes:
            raise self._error(f"more than {self.limits.nodes:,} values once all aliases are expanded", event)
        height = anchor.height + 1
        if len(self.stack) + anchor.height > self.limits.depth:
            raise self._error(f"nested more than {self.limits.depth} levels deep", event)
        if self.stack and self.stack[-1].height < height:
            self.stack[-1].height = height
        if anchor.overrides and not self.inside_override:
            here = self._path()
            self.resets += [here + path for path in anchor.overrides]
        node = anchor.node
        return Node(node.value, node.at, None, node.text)

    def _refuse_size(self, event: Any) -> None:
        if self.count > self.limits.nodes:
            raise self._error(f"more than {self.limits.nodes:,} values", event)
        raise self._error(f"a text of more than {self.limits.scalar_characters:,} characters", event)

    def _error(self, message: str, event: Any) -> InputError:
        mark = event.start_mark
        return InputError(message, Location(self.name, mark.line + 1, mark.column + 1))


def _shown(tag: str) -> str:
    return "!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag


def _pure_parser(stream: BytesIO) -> Any:
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class PureParser(Reader, Scanner, Parser):
        def __init__(self, stream: BytesIO) -> None:
            Reader.__init__(self, stream)
            Scanner.__init__(self)
            Parser.__init__(self)

    return PureParser(stream)
