"""What a server's log says, without what differs from run to run."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterable
from pathlib import Path

LARGEST = 16 << 20
"""Bytes; a longer log is moved aside and begun anew."""
_TAIL = 64 << 10

_CLOCK = re.compile(r"^\d+(?:\.\d+){2,3} (?:[A-Z] )?")
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
_COMPLAINT = re.compile(
    r"error|fail|invalid|unknown|unable|couldn|cannot|can't|not found|out of memory|abort|assert", re.IGNORECASE
)
_OUR_OWN = re.compile(r"unauthorized: Invalid API Key")
"""What every probe without a key leaves behind; no reason for anything."""
_LAST = 40
_PORT_TAKEN = re.compile(r"couldn't bind|address already in use|failed to bind", re.IGNORECASE)


def tail(path: Path, lines: int) -> tuple[str, ...]:
    """The last lines as printed, without control characters; empty where there is no log."""
    return tuple(deque(_lines(path), maxlen=max(lines, 0)))


def reason(path: Path, *, guess: bool = True) -> str:
    """Why the server ended, in its own words: its last complaints. Equal from run to run.

    Without any complaint, the last lines with `guess`, for a server that never came up; nothing for one that was at
    work, because then they tell of requests and not of its end.
    """
    said = [_stable(line) for line in _lines(path)]
    said = [line for line in said if line and not _OUR_OWN.search(line)][-_LAST:]
    complaints = [line for line in said if _COMPLAINT.search(line)]
    chosen = list(dict.fromkeys(complaints))[-4:] or (said[-4:] if guess else [])
    return " | ".join(line[:160] for line in chosen)


def port_was_taken(path: Path) -> bool:
    """Whether the server could not listen because somebody else does."""
    return any(_PORT_TAKEN.search(line) for line in _lines(path))


def bound(path: Path) -> None:
    """Move an overlong log aside. The server appends, so it goes on at the start of the emptied file."""
    try:
        if path.stat().st_size <= LARGEST:
            return
        kept = _read_tail(path, LARGEST // 16)
        aside = path.with_name(path.name + ".1")
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(kept)
        os.truncate(path, 0)
    except FileNotFoundError:
        return


def _lines(path: Path) -> Iterable[str]:
    try:
        text = _read_tail(path, _TAIL).decode(errors="replace")
    except FileNotFoundError:
        return ()
    return (_clean(line) for line in text.splitlines())


def _read_tail(path: Path, most: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - most))
        return file.read(most)


def _clean(line: str) -> str:
    return "".join(c if c.isprintable() else " " for c in _ANSI.sub("", line)).rstrip()


def _stable(line: str) -> str:
    return _ADDRESS.sub("0x…", _CLOCK.sub("", line)).strip()
