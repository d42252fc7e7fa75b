"""From the text of `--state` to a store. SQLite is imported only when a state is really opened."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from state.store import StateError, StateExists, StateLost, StateMissing, Store

if TYPE_CHECKING:
    from state.clock import Clock

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):", re.IGNORECASE)
_LATER = frozenset({"postgresql", "postgres"})


def open_store(
    url: str,
    *,
    create: bool = False,
    readonly: bool = False,
    any_filesystem: bool = False,
    clock: Clock | None = None,
) -> Store:
    """The store at `sqlite:///abs/path`, `sqlite:relative/path`, a plain path, or `memory:`.

    With `create`, a place where no state ever was gets one; a lost or damaged one is still refused. With `readonly`,
    nothing is written, not even files beside it, and what was recorded is as of now; with no state there StateMissing
    is raised, which for a dry run means that nothing is recorded. Raises StateError for any other URL.
    """
    if url == "memory:":
        return _memory(clock)
    path = state_path(url)
    if readonly:
        return _look(path)
    from state.sqlite import SqliteStore

    try:
        return SqliteStore.open(path, clock=clock, any_filesystem=any_filesystem)
    except StateLost:
        raise  # never made anew: what it knew of still runs
    except StateMissing:
        if not create:
            raise
    try:
        return SqliteStore.create(path, clock=clock, any_filesystem=any_filesystem)
    except StateExists as exists:
        # Two that start together: the other one was quicker, and both use what it made.
        try:
            return SqliteStore.open(path, clock=clock, any_filesystem=any_filesystem)
        except StateMissing:
            raise exists from None


def state_path(url: str) -> Path:
    """The file that a state URL names. Raises StateError when it names something else."""
    match = _SCHEME.match(url)
    if match is None:
        return _path(url, url)
    scheme = match[1].lower()
    if scheme in _LATER:
        raise StateError("a PostgreSQL state is not in this release; use `sqlite:PATH`")
    if scheme != "sqlite":
        raise StateError(f"unknown kind of state {scheme!r} in {url!r}; use `sqlite:PATH`, a path, or `memory:`")
    rest = url[match.end() :]
    if rest.startswith("//") and not rest.startswith("///"):
        raise StateError(f"{url!r} names a host; a state file is `sqlite:///absolute/path` or `sqlite:relative/path`")
    return _path(rest[2:] if rest.startswith("///") else rest, url)


def _path(text: str, url: str) -> Path:
    if not text or text.endswith("/"):
        raise StateError(f"the state {url!r} names no file; give a path like `sqlite:state.db`")
    if "\0" in text:
        raise StateError("the path of the state has a NUL character in it")
    return Path(os.path.expanduser(text))


def _memory(clock: Clock | None) -> Store:
    import uuid

    from state.clock import system_clock
    from state.memory import MemoryStore

    return MemoryStore(lineage=str(uuid.uuid4()), clock=clock or system_clock())


def _look(path: Path) -> Store:
    # Before SQLite is imported: most dry runs, those in CI, have no state at all.
    from state.place import Place

    Place(Path(os.path.abspath(path))).check_present()
    from state.readonly import ReadOnlyStore

    return ReadOnlyStore.open(path)
