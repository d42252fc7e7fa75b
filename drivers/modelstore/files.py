"""Files that survive a crash and a second process: private folders, whole-or-nothing writes, locks that die with us."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from drivers.errors import Denied, DriverError, Exhausted

POLL_S = 0.2
"""Seconds between two looks at a lock that another process holds."""


def private_folder(path: Path) -> Path:
    """The folder, made where it is missing, for its owner only."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a small file so that readers, and a crash, see the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with open_private(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def open_private(path: Path, flags: int) -> FileIO:
    """Open for bytes, mode 0600, never through a link that somebody put there."""
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    return FileIO(descriptor, "r+" if flags & os.O_RDWR else "w")


def sync_folder(path: Path) -> None:
    """Make renames and new names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(
    path: Path, sleep: Callable[[float], None], while_waiting: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold the lock file alone, among threads and processes. The kernel lets go of it when its holder dies."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        while not _try_lock(descriptor):
            while_waiting()
            sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Whether the lock could be had at once; held inside."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        yield _try_lock(descriptor)
    finally:
        os.close(descriptor)


def translated(error: OSError, what: str) -> DriverError:
    """What an error of the file system means to a driver."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return Exhausted(f"{what}: {reason}; free some space, or move the store")
    return Denied(f"{what}: {reason} ({error.filename or 'in the store'}); its owner and mode must change")


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
