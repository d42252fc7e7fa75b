"""Files that we write for others to read: replaced in one piece, fenced by epoch, and never over what is not ours.

Each begins with two comment lines that say whose it is, so that a foreign file, a foreign edit and a newer reconciler
are noticed *before* anything is overwritten. A reader, or a crash at any moment, finds the old or the new version.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reconciler.errors import ReconcilerError, Refused
from reconciler.stamp import Damaged, Found, Stamp, compose, parse

__all__ = [
    "Damaged",
    "NotOurs",
    "NotWritten",
    "Outranked",
    "Stamp",
    "Written",
    "compose",
    "read_stamp",
    "remove_ours",
    "stamp_epoch",
    "write_fenced",
]

_LARGEST = 16 * 1024 * 1024
_LOCK_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a write."""

    changed: bool
    checksum: str
    """SHA-256 of the whole file as it is now."""
    backup: Path | None = None
    """Where somebody's edits of our file were saved before they were overwritten."""


class NotOurs(Refused):
    """What stands at the path was not written by us, or by another installation; it is left alone."""


class Outranked(Refused):
    """The file carries a higher epoch: another reconciler took over. Stop at once, write nothing more."""


class NotWritten(ReconcilerError):
    """The system did not let us write (no space, no permission); the old file is intact."""


def read_stamp(path: Path) -> Stamp | Damaged | None:
    """The stamp of a file; None where there is no file or one that is not ours. A symbolic link is not ours."""
    try:
        with _Folder(path, lock_within_s=None) as folder:
            found = folder.look()
    except NotOurs:
        return None
    return found.stamp if found is not None else None


def write_fenced(
    path: Path,
    body: str,
    stamp: Stamp,
    *,
    now: datetime,
    mode: int = 0o644,
    adopt: bool = False,
    lock_within_s: float = 10.0,
) -> Written:
    """Make the file say `body` under our stamp, and touch nothing when it does already.

    A file of ours that somebody edited is saved beside it once (`.bak-` and `now`) and overwritten. `adopt` accepts
    a file of another lineage or project. Raises NotOurs, Outranked, NotWritten; in all three nothing has changed.
    """
    with _Folder(path, lock_within_s=lock_within_s) as folder:
        found = folder.look()
        _may_write(path, found, stamp, adopt=adopt)
        if found is not None and found.says(body, stamp) and found.mode == mode:
            return Written(False, found.checksum)
        backup = folder.save(found, now) if found is not None and not found.intact else None
        text = compose(stamp, body).encode()
        folder.replace(text, mode)
    return Written(True, hashlib.sha256(text).hexdigest(), backup)


def stamp_epoch(path: Path, stamp: Stamp, *, lock_within_s: float = 10.0) -> bool:
    """Put our stamp on a file of ours and leave its body, so that a predecessor that wakes up is refused.

    Returns whether the file carries our epoch now: False where there is none, or one that somebody edited (the next
    write saves that edit). Raises NotOurs, Outranked, NotWritten.
    """
    with _Folder(path, lock_within_s=lock_within_s) as folder:
        found = folder.look()
        _may_write(path, found, stamp, adopt=False)
        if found is None or not found.intact or not isinstance(found.stamp, Stamp):
            return False
        if (found.stamp.epoch, found.stamp.serial) != (stamp.epoch, stamp.serial):
            folder.replace(compose(stamp, found.body).encode(), found.mode)
    return True


def check_ours(path: Path, stamp: Stamp) -> None:
    """Raise what `write_fenced` would raise for this file and stamp, and change nothing. It needs no folder yet."""
    with _Folder(path, lock_within_s=None) as folder:
        _may_write(path, folder.look(), stamp, adopt=False)


def remove_ours(path: Path, stamp: Stamp, *, now: datetime, lock_within_s: float = 10.0) -> bool:
    """Remove a file of ours; absent is success and False. Somebody's edits are saved first. Raises as write_fenced."""
    with _Folder(path, lock_within_s=lock_within_s) as folder:
        found = folder.look()
        _may_write(path, found, stamp, adopt=False)
        if found is None:
            return False
        if not found.intact:
            folder.save(found, now)
        folder.remove()
    return True


def _may_write(path: Path, found: Found | None, stamp: Stamp, *, adopt: bool) -> None:
    if found is None:
        return
    if found.stamp is None:
        raise NotOurs(f"{path} is there and was not written by us: move it away, or choose another output path")
    if isinstance(found.stamp, Damaged):
        return
    theirs = (found.stamp.lineage, found.stamp.project)
    if theirs != (stamp.lineage, stamp.project) and not adopt:
        raise NotOurs(
            f"{path} belongs to project {theirs[1]} of the state {theirs[0]}, not to project {stamp.project} of"
            f" {stamp.lineage}: choose another output path, or remove it if that one is gone with all that it made;"
            f" where only its record is lost, `reconcile recover --lineage {theirs[0]}` takes over what it made"
        )
    if theirs[0] == stamp.lineage and found.stamp.epoch > stamp.epoch:
        raise Outranked(f"{path} was written under lease {found.stamp.epoch}, ours is {stamp.epoch}: we were replaced")


class _Folder:
    """The directory of one file, held open and locked: whatever happens to its path meanwhile, we stay in it.

    The lock is on the directory itself, so that no lock file lies around in anybody's repository; None takes none.
    """

    def __init__(self, path: Path, *, lock_within_s: float | None) -> None:
        self._path = path
        self._lock_within_s = lock_within_s
        self._handle = -1

    def __enter__(self) -> _Folder:
        try:
            self._handle = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as exc:
            if self._lock_within_s is None and isinstance(exc, FileNotFoundError | NotADirectoryError):
                return self
            raise NotWritten(f"{self._path.parent} cannot be opened as a directory: {exc.strerror}") from exc
        try:
            self._lock()
        except BaseException:
            os.close(self._handle)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle >= 0:
            os.close(self._handle)

    def look(self) -> Found | None:
        """What stands there; None for nothing. Raises NotOurs for a link, a directory or anything that is no file."""
        if self._handle < 0:
            return None
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            handle = os.open(self._path.name, flags, dir_fd=self._handle)
        except FileNotFoundError:
            return None
        except OSError as exc:
            if exc.errno in (errno.ELOOP, errno.ENXIO):
                raise NotOurs(f"{self._path} is not a regular file: we never write over one") from exc
            raise NotWritten(f"{self._path} cannot be read: {exc.strerror}") from exc
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            os.close(handle)
            raise NotOurs(f"{self._path} is not a regular file: we never write over one")
        with open(handle, "rb") as file:
            return parse(file.read(_LARGEST), stat.S_IMODE(status.st_mode))

    def replace(self, data: bytes, mode: int) -> None:
        """Put `data` in the file's place, on the disk before anybody sees it."""
        self._sweep()
        temporary = f".{self._path.name}.{os.urandom(6).hex()}.tmp"
        try:
            self._write(temporary, data, mode)
            os.rename(temporary, self._path.name, src_dir_fd=self._handle, dst_dir_fd=self._handle)
            os.fsync(self._handle)
        except OSError as exc:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=self._handle)
            raise NotWritten(f"{self._path} could not be written: {exc.strerror}; the old one is intact") from exc

    def save(self, found: Found, now: datetime) -> Path:
        """Keep the present bytes beside the file; bytes that were kept before are not kept again."""
        prefix = f"{self._path.name}.bak-"
        for name in sorted(self._names()):
            if name.startswith(prefix) and self._same(name, found.data):
                return self._path.with_name(name)
        name = self._free(f"{prefix}{now:%Y%m%dT%H%M%SZ}")
        try:
            self._write(name, found.data, found.mode)
            os.fsync(self._handle)
        except OSError as exc:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self._handle)
            raise NotWritten(f"{self._path} was edited, and the edit could not be saved: {exc.strerror}") from exc
        return self._path.with_name(name)

    def remove(self) -> None:
        """Take the file away, durably."""
        try:
            os.unlink(self._path.name, dir_fd=self._handle)
            os.fsync(self._handle)
        except OSError as exc:
            raise NotWritten(f"{self._path} could not be removed: {exc.strerror}") from exc

    def _lock(self) -> None:
        if self._lock_within_s is None:
            return
        limit = time.monotonic() + self._lock_within_s
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError as exc:
                if time.monotonic() >= limit:
                    raise NotWritten(f"{self._path.parent} is locked by another process") from exc
                time.sleep(_LOCK_PAUSE_S)

    def _write(self, name: str, data: bytes, mode: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(name, flags, 0o600, dir_fd=self._handle)
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(handle, mode)  # after the content and whatever the umask: nobody reads a half-written secret
            os.fsync(handle)

    def _sweep(self) -> None:
        """Remove what writers left behind that were killed; we hold the lock, so none of them lives."""
        ours = re.compile(re.escape(f".{self._path.name}.") + r"[0-9a-f]{12}\.tmp")
        for name in self._names():
            if ours.fullmatch(name):
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=self._handle)

    def _names(self) -> Iterator[str]:
        return iter(os.listdir(self._handle))

    def _same(self, name: str, data: bytes) -> bool:
        try:
            with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self._handle), "rb") as file:
                return file.read(_LARGEST) == data
        except OSError:
            return False

    def _free(self, name: str) -> str:
        taken = set(self._names())
        candidates = (name, *(f"{name}-{number}" for number in range(2, 1000)))
        return next((candidate for candidate in candidates if candidate not in taken), candidates[-1])
