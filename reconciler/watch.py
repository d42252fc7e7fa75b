"""Notices changes of files at once, where the system lets us. Only a hint: it marks, it carries no information.

Watching goes blind without telling anybody: a directory replaced by a fresh clone, an unmounted disk, an overflowing
queue, a handler that raised (which ends watchdog's thread for good). So the poll stays the truth; here, what is
watched is compared with what is there every few seconds, and watched anew where it differs.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from reconciler.timers import Ticker, guarded

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent

log = logging.getLogger(__name__)

CHECK_EVERY_S = 5.0
_LIMITS = {
    errno.ENOSPC: "the system's limit of inotify watches is reached (sysctl fs.inotify.max_user_watches)",
    errno.EMFILE: "the system's limit of inotify instances is reached (sysctl fs.inotify.max_user_instances)",
}
_Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Health:
    """Whether changes are noticed at once. When not, the poll notices them, later."""

    ok: bool
    reason: str = ""


class Watcher:
    """Calls `mark(key)` when something happens to a path that was named for the key; from a thread of its own.

    Paths need not exist. Directories are watched, not files: what matters is replaced by renaming as a rule.
    """

    def __init__(self, mark: Callable[[str], None], *, check_every_s: float = CHECK_EVERY_S) -> None:
        self._mark = mark
        self._paths: dict[str, frozenset[str]] = {}
        self._interest: Mapping[str, frozenset[str]] = {}
        self._lock = threading.RLock()
        self._observer: Any = None
        self._watched: dict[str, tuple[_Identity, Any]] = {}
        self._health = Health(False, "not started")
        self._overflow = _OverflowListener(self._mark_all)
        self._keeper = Ticker("watch-keeper", check_every_s, self.check)

    def start(self) -> None:
        """Begin to watch. Never fails: what is wrong is in `health`."""
        logging.getLogger("watchdog.observers").addHandler(self._overflow)
        self.check()
        self._keeper.start()

    def stop(self) -> None:
        """Mark nothing more."""
        self._keeper.stop()
        with self._lock:
            self._drop_observer()
        logging.getLogger("watchdog.observers").removeHandler(self._overflow)

    def set_paths(self, key: str, paths: Iterable[str]) -> None:
        """From now on these paths matter to `key`, and no others. None at all forgets the key."""
        wanted = frozenset(os.path.abspath(path) for path in paths)
        with self._lock:
            if self._paths.get(key, frozenset()) == wanted:
                return
            self._paths[key] = wanted
            if not wanted:
                del self._paths[key]
        self._keeper.nudge()

    def health(self) -> Health:
        """As of the last check, some seconds ago at most."""
        return self._health

    def check(self) -> Health:
        """Compare what is watched with what is there, and watch anew what differs. Everything is marked when there was
        a gap in which a change may have gone unseen."""
        with self._lock:
            gap = self._ensure_observer()
            self._interest = _interest(self._paths)
            wanted = _directories(self._interest)
            gap |= self._unwatch(wanted)
            added, reasons = self._watch(wanted)
            reason = "; ".join(sorted(reasons)) if self._observer is not None else self._health.reason
            self._set_health(Health(not reason, reason))
        if gap or added:
            self._mark_all()
        return self._health

    def _ensure_observer(self) -> bool:
        """Have a living observer where that is possible; True when the one before had died."""
        died = self._observer is not None and not self._observer.is_alive()
        if died:
            log.warning("the file watcher died and is started again")
            self._drop_observer()
        if self._observer is None:
            self._start_observer()
        return died

    def _start_observer(self) -> None:
        try:
            from watchdog.observers import Observer

            observer = Observer()
            observer.start()
        except (ImportError, OSError, RuntimeError) as exc:
            self._health = Health(False, _why(exc))
            return
        self._observer = observer

    def _drop_observer(self) -> None:
        observer, self._observer, self._watched = self._observer, None, {}
        if observer is not None:
            observer.stop()
            observer.join(5)

    def _unwatch(self, wanted: Mapping[str, _Identity]) -> bool:
        """Stop watching what is gone, replaced or not wanted; True when something was gone or replaced."""
        gap = False
        for path, (identity, watch) in list(self._watched.items()):
            if wanted.get(path) == identity and self._is_fed(watch):
                continue
            gap |= path in wanted or not os.path.isdir(path)
            del self._watched[path]
            guarded("unwatching a directory", partial(self._observer.unschedule, watch))
        return gap

    def _watch(self, wanted: Mapping[str, _Identity]) -> tuple[bool, set[str]]:
        """Watch what is not watched yet; whether there was any, and why it could not be done."""
        added, reasons = False, set[str]()
        if self._observer is None:
            return added, reasons
        handler = _Handler(self._on_event)
        for path in sorted(wanted.keys() - self._watched.keys()):
            try:
                watch = self._observer.schedule(handler, path, recursive=False, event_filter=_events())
            except FileNotFoundError:
                self._keeper.nudge()  # gone since we looked; look again
            except OSError as exc:
                reasons.add(_why(exc))
            else:
                self._watched[path] = wanted[path], watch
                added = True
        return added, reasons

    def _is_fed(self, watch: Any) -> bool:
        """Whether the thread that reads this watch's events lives; it ends when the directory is deleted."""
        return any(emitter.watch == watch and emitter.is_alive() for emitter in self._observer.emitters)

    def _on_event(self, event: FileSystemEvent) -> None:
        interest = self._interest
        for path in (os.fsdecode(event.src_path), os.fsdecode(event.dest_path)):
            keys = interest.get(path, frozenset())
            for key in keys:
                self._mark(key)
            # Something above a file that matters came or went: other directories are to be watched from now on.
            if keys and (event.is_directory or os.path.islink(path)):
                self._keeper.nudge()

    def _mark_all(self) -> None:
        for key in tuple(self._paths):
            self._mark(key)

    def _set_health(self, health: Health) -> None:
        if health.reason and health.reason != self._health.reason:
            log.warning("changes are noticed by polling only: %s", health.reason)
        self._health = health


class _Handler:
    """What watchdog calls. Nothing may be raised from here: its thread would be gone, and nobody would know."""

    def __init__(self, on_event: Callable[[FileSystemEvent], None]) -> None:
        self._on_event = on_event

    def dispatch(self, event: FileSystemEvent) -> None:
        guarded("handling a file event", lambda: self._on_event(event))


class _OverflowListener(logging.Handler):
    """watchdog tells of lost events in its log and nowhere else."""

    def __init__(self, lost: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._lost = lost

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage():
            guarded("marking after lost events", self._lost)


def _interest(paths: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Every real path whose coming, going or changing matters, and to whom: the files, and all that leads to them."""
    found: dict[str, set[str]] = {}
    for key, names in paths.items():
        for place in {place for name in names for place in _real_places(name)}:
            while True:
                found.setdefault(place, set()).add(key)
                parent = os.path.dirname(place)
                if parent == place:
                    break
                place = parent
    return {place: frozenset(keys) for place, keys in found.items()}


def _real_places(path: str) -> set[str]:
    """Where a path really lies, and where each symbolic link on the way to it lies."""
    places, prefix = {os.path.realpath(path)}, path
    while prefix != os.path.dirname(prefix):
        if os.path.islink(prefix):
            places.add(os.path.join(os.path.realpath(os.path.dirname(prefix)), os.path.basename(prefix)))
        prefix = os.path.dirname(prefix)
    return places


def _directories(interest: Mapping[str, frozenset[str]]) -> dict[str, _Identity]:
    """The directories to watch, with what tells one from its replacement: for each path that matters the nearest one
    there is, and the one above that, which sees it being replaced."""
    parents = {os.path.dirname(path) for path in interest}
    found: dict[str, _Identity] = {}
    for place in (path for path in interest if path not in parents):
        directory = os.path.dirname(place)
        while not os.path.isdir(directory):
            directory = os.path.dirname(directory)
        above = os.path.dirname(directory)
        # What we may not read we cannot watch; above the files that is no loss worth a degraded health.
        for path in (directory, *((above,) if os.access(above, os.R_OK) else ())):
            identity = _identity(path)
            if identity is not None:
                found[path] = identity
    return found


def _identity(path: str) -> _Identity | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _events() -> list[type[FileSystemEvent]]:
    """What changes something. Without this, our own reading would wake us; a directory's "modified" only repeats
    that something in it came or went."""
    from watchdog import events

    return [
        events.FileCreatedEvent,
        events.FileModifiedEvent,
        events.FileMovedEvent,
        events.FileDeletedEvent,
        events.DirCreatedEvent,
        events.DirMovedEvent,
        events.DirDeletedEvent,
    ]


def _why(exc: Exception) -> str:
    if isinstance(exc, OSError) and exc.errno in _LIMITS:
        return _LIMITS[exc.errno]
    return f"files cannot be watched: {exc}"
