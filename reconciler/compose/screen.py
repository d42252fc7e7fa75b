"""What can be refused by looking at the bytes of a YAML file, and how large one may be."""

from __future__ import annotations

import re
from typing import NamedTuple

from reconciler.errors import InputError, Location


class Limits(NamedTuple):
    """Far above any real project (2,000 models need about 40,000 nodes), far below what hurts."""

    bytes: int = 4 * 1024 * 1024
    nodes: int = 200_000
    """Counted with every alias and merge key expanded."""
    scalar_characters: int = 64 * 1024
    depth: int = 50
    aliases: int = 1_000


DEFAULT_LIMITS = Limits()

# Everything that may not be in a file even where YAML would take it: C0 and C1 controls except tab, line feed,
# carriage return and NEL, and the bidirectional controls that make a line read differently from what it is.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
_CONFLICT = re.compile(rb"^(?:<{7}|>{7}|\|{7})(?: .*)?\r?$", re.MULTILINE)


def screen(data: bytes, name: str, limits: Limits) -> None:
    """Raises InputError for what is too large, no UTF-8, unfinished or unreadable to people."""
    if len(data) > limits.bytes:
        raise InputError(f"the file has {len(data):,} bytes; {limits.bytes:,} is the limit", Location(name))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise InputError("not UTF-8; save the file as UTF-8", _place(data[: exc.start], name)) from None
    found = _CONFLICT.search(data)
    if found:
        raise InputError("an unresolved merge conflict; resolve it first", _place(data[: found.start()], name))
    forbidden = FORBIDDEN.search(text)
    if forbidden:
        before = text[: forbidden.start()].encode()
        raise InputError(f"control character U+{ord(forbidden[0]):04X}; remove it", _place(before, name))


def _place(before: bytes, name: str) -> Location:
    last = before[before.rfind(b"\n") + 1 :]
    return Location(name, before.count(b"\n") + 1, len(last.decode("utf-8", "replace")) + 1)
