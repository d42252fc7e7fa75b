"""Plain files as source: for local work, and for one-shot runs, which read what lies there like docker compose does.

The service may use it too (`stable`), but a directory that people write in is seen half-written sooner or later:
60 checkouts of a branch made a naive reader find the Compose file missing 748 times and empty 41 times. There, a file
counts only when it has been the same for half a second.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Sequence

from reconciler.errors import InputError, Location, SourceError
from reconciler.source import LARGEST_FILE, Changing, Snapshot, reject_empty
from reconciler.source.fence import Fence

SETTLE_S = 0.5
"""Seconds for which a file must have been the same before a service believes it."""
_ABSENT_FACTOR = 4
_USUAL = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml", ".env")

Print = tuple[int, int, int, int, int] | None
"""What tells two states of a path apart without reading: device, inode, size, mtime, ctime (ns). None: not there."""


class WorktreeSource:
    """The files under `root` as they lie. `files` are those known to matter, absolute or relative to the root; which
    others matter is learned from what is asked for. `named` are further ones that the user named: only they may lie
    outside the checkout. With `stable`, a reading that is not settled raises Changing."""

    def __init__(
        self,
        root: str | os.PathLike[str],
        files: Sequence[str] = (),
        *,
        named: Sequence[str] = (),
        stable: bool = False,
        settle_s: float = SETTLE_S,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._root = os.path.abspath(root)
        self._known = {os.path.join(self._root, name) for name in (files or _USUAL)}
        self._fence = Fence(
            self._root,
            [os.path.normpath(os.path.join(self._root, name)) for name in files],
            [os.path.normpath(os.path.join(self._root, name)) for name in named],
            os.path.realpath(os.path.expanduser("~")),
        )
        self._lock = threading.Lock()  # head() is asked by watcher and poller while a pass learns new files
        self._settled = _Settled(settle_s, monotonic, wall) if stable else None

    def head(self) -> str:
        """A digest over the state of all files that matter, without reading them."""
        self._check_root()
        digest = hashlib.blake2b(digest_size=16)
        for path in self._paths():
            digest.update(f"{path}\0{fingerprint(path)}\0".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def read(self) -> Snapshot:
        """What lies there now. Raises SourceError when the directory is missing, Changing when not settled."""
        self._check_root()
        if self._settled is not None:
            self._settled.check(self._paths())
        files = WorktreeFiles(self._learn, self._fence, self._settled)
        return Snapshot(f"worktree:{self._content()}", files, self._root, f"the files in {self._root}")

    def watch_paths(self) -> tuple[str, ...]:
        """All files that matter, as far as is known by now."""
        return tuple(self._paths())

    def close(self) -> None:
        """Nothing runs for this source; here so that all sources can be closed alike."""

    def _content(self) -> str:
        """Twelve hex digits over the content of all files that matter: the same files, the same revision."""
        digest = hashlib.sha256()
        for path in self._paths():
            try:
                data = read_regular(path)
            except (OSError, InputError):
                continue
            digest.update(f"{os.path.relpath(path, self._root)}\0{len(data)}\0".encode("utf-8", "surrogateescape"))
            digest.update(data)
        return digest.hexdigest()[:12]

    def _check_root(self) -> None:
        if not os.path.isdir(self._root):
            raise SourceError(f"{self._root} is not there: the directory is missing or not mounted")

    def _paths(self) -> list[str]:
        with self._lock:
            return sorted(self._known)

    def _learn(self, path: str) -> None:
        with self._lock:
            self._known.add(path)


class WorktreeFiles:
    """Files by absolute path, as they lie. Every path that is asked for, present or not, is told to `learn`."""

    def __init__(self, learn: Callable[[str], None], fence: Fence, settled: _Settled | None = None) -> None:
        self._learn, self._fence = learn, fence
        self._settled = settled

    def read(self, path: str) -> bytes:
        """A regular file's bytes. Raises OSError as `open` does, InputError for a pipe, a device, a huge file or one
        outside the checkout, SourceError for an empty YAML file, Changing when the file is being written."""
        self._look(path)
        self._fence.check(path)
        before = fingerprint(path)
        data = read_regular(path)
        if self._settled is not None and fingerprint(path) != before:
            raise Changing(f"{path} changed while it was read", self._settled.settle_s)
        return reject_empty(path, data)

    def is_file(self, path: str) -> bool:
        """Whether there is a regular file, or a link to one."""
        self._look(path)
        return os.path.isfile(path)

    def _look(self, path: str) -> None:
        self._learn(path)
        if self._settled is not None:
            self._settled.check((path,))


class _Settled:
    """Knows since when each path has been as it is: two equal looks half a second apart, or, on the first look, a
    state that is older than that by the file's own times.

    A path that is not there has no state of its own, and two looks may both fall into a moment between removal and
    replacement. There the directory's state counts; in one that never rests, absence in every look for four times as
    long.
    """

    def __init__(self, settle_s: float, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self.settle_s = settle_s
        self._monotonic = monotonic
        self._wall = wall
        self._since: dict[str, tuple[Print, float]] = {}

    def check(self, paths: Sequence[str]) -> None:
        """Return when all paths have been the same long enough; else raise Changing for the longest wait."""
        waits = [(self._wait(path), path) for path in paths]
        wait, path = max(waits, default=(0.0, ""))
        if wait > 0:
            raise Changing(f"{path} changed less than {self.settle_s:g} s ago", wait)

    def _wait(self, path: str) -> float:
        now, state = self._monotonic(), fingerprint(path)
        folder = os.path.dirname(path)
        same_s = self._same_for(path, state, now)
        around_s = self._same_for(f"{folder}/.", fingerprint(folder), now)
        if state is not None:
            return max(0.0, self.settle_s - same_s)
        return max(0.0, min(self.settle_s - around_s, _ABSENT_FACTOR * self.settle_s - same_s))

    def _same_for(self, key: str, state: Print, now: float) -> float:
        """Seconds for which every look found this state."""
        seen = self._since.get(key)
        if seen is None or seen[0] != state:
            seen = self._since[key] = state, now - self.settle_s if self._is_old(state) else now
        return now - seen[1]

    def _is_old(self, state: Print) -> bool:
        # Times in the future prove nothing, and neither does a path that is not there.
        return state is not None and self._wall() - max(state[3], state[4]) / 1e9 >= self.settle_s


def fingerprint(path: str) -> Print:
    """The state of a path as `stat` shows it; None when there is nothing. Raises SourceError on any other trouble."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise SourceError(f"{path} cannot be looked at: {exc.strerror}") from exc
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def read_regular(path: str) -> bytes:
    """A regular file's bytes; a pipe is never waited for. Raises OSError, or InputError for anything else."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        raise InputError("is not a regular file", Location(path))
    with open(handle, "rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise InputError(f"is larger than {LARGEST_FILE} bytes", Location(path))
    return data
