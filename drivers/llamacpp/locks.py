"""A lock that a process inherits: held by whoever has the descriptor, let go by the kernel when the last one is gone.

Locks of the open file description (fcntl(2), Linux 3.15): inherited through fork and exec as flock's are, and unlike
those they can be asked about without being taken.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

# struct flock on 64-bit Linux: type, whence, start, length, pid (must be 0 for these locks), padding.
_FLOCK = struct.Struct("@hhqqi4x")


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock, for the caller to close or hand on; None where somebody has it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if not _take(descriptor):
                os.close(descriptor)
                return None
            if _is_same(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # A delete removed the file between our open and our lock: that one is nobody's any more.
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock. Asks without taking it: a probe must not make a start beside it fail."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _whole_file(fcntl.F_WRLCK))
    finally:
        os.close(descriptor)
    kind: int = _FLOCK.unpack(answer)[0]
    return kind != fcntl.F_UNLCK


def _take(descriptor: int) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _whole_file(fcntl.F_WRLCK))
    except (BlockingIOError, PermissionError):  # fcntl(2) allows EAGAIN and EACCES for "somebody has it"
        return False
    return True


def _whole_file(kind: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0)


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
