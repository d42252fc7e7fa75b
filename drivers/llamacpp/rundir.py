"""The platform's memory: one folder per deployment, which outlives the reconciler and says whose server that is.

    <run root>/<deployment name>/
        deployment.json   owner tags, spec, port, and how the server was started; written before it starts; no secrets
        lock              held by the server itself, through a descriptor it inherits, for as long as it lives
        key               the API key, mode 0600, made once
        ready, stopping   marks: it answered a real request once; it was asked to stop, and when
        server.log        what the server printed; emptied at each start
        home/             the server's HOME and temporary folder
    <run root>/keys/      the key of each model, so that its next deployment answers to the same one; see `keys`

The lock is what makes a start happen once: whoever dies holding it, reconciler or server, lets it go, and nobody else.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from threading import get_ident
from typing import BinaryIO

from drivers.llamacpp import locks
from drivers.llamacpp.record import RunRecord, decode, encode

LARGEST_RECORD = 1 << 20


class Unreadable(Exception):
    """A `deployment.json` that cannot be understood: torn by a full disk, edited, or from a newer release."""


class RunFolder:
    """The folder of one deployment. Methods raise OSError; a missing folder reads as None."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "server.log"
        self.key_file = path / "key"
        self.home = path / "home"

    def read(self) -> RunRecord | None:
        """The record, None where there is none. Raises Unreadable."""
        text = _read(self.path / "deployment.json", LARGEST_RECORD)
        if text is None:
            return None
        try:
            return decode(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as trouble:
            raise Unreadable(f"{self.path / 'deployment.json'} cannot be understood") from trouble

    def write(self, record: RunRecord) -> None:
        """Replace the record, all or nothing. Not synced: no process it could describe survives a power cut."""
        scratch = self.path / f".deployment.json.{os.getpid()}.{get_ident()}"
        with _private(scratch) as file:
            file.write(json.dumps(encode(record), indent=1, sort_keys=True).encode() + b"\n")
        os.replace(scratch, self.path / "deployment.json")

    def is_ready(self) -> bool:
        """Whether the server that runs now has answered a real request."""
        return (self.path / "ready").exists()

    def mark_ready(self) -> None:
        """Remember that it answered. A file of its own: whoever writes the record cannot lose it."""
        with _private(self.path / "ready"):
            pass

    def stopping_since(self) -> float | None:
        """When it was asked to stop, in seconds of the monotonic clock; None where it was not."""
        text = _read(self.path / "stopping", 64)
        try:
            return None if text is None else float(text)
        except ValueError:
            return 0.0

    def mark_stopping(self, now: float) -> None:
        """Remember when it was asked to stop."""
        scratch = self.path / ".stopping.new"
        with _private(scratch) as file:
            file.write(repr(now).encode())
        os.replace(scratch, self.path / "stopping")

    def clear_marks(self) -> None:
        """Before a new server starts, forget what the last one did."""
        for mark in ("ready", "stopping"):
            (self.path / mark).unlink(missing_ok=True)

    def prepare(self) -> None:
        """Make the folder, private to this user."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.path.parent.stat().st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "it belongs to another user", str(self.path.parent))
        for folder in (self.path, self.home):
            folder.mkdir(mode=0o700, exist_ok=True)

    def try_lock(self) -> int | None:
        """A descriptor that holds the lock, for the caller to close; None where a server or another start has it."""
        return locks.try_lock(self.path / "lock")

    def is_locked(self) -> bool:
        """Whether somebody holds the lock."""
        return locks.is_locked(self.path / "lock")

    def key(self, kept: Path | None = None) -> str:
        """The API key, made on first use; `kept` is where the next deployment of the same model finds it again."""
        import secrets

        known = _first_word(self.key_file)
        if known:
            return known
        key = (_first_word(kept) if kept is not None else "") or secrets.token_urlsafe(32)
        for file in (kept, self.key_file):
            if file is not None:
                _write_key(file, key)
        return key

    def open_log(self) -> int:
        """A descriptor on the emptied log; appending, so that stdout and stderr do not overwrite each other."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self.log, flags, 0o600)

    def remove(self) -> None:
        """Remove everything, the record first: a half-removed folder is no deployment any more. The lock goes last."""
        import shutil

        if not self.path.is_dir():
            return
        (self.path / "deployment.json").unlink(missing_ok=True)
        shutil.rmtree(self.path)


def folders(run_root: Path) -> Iterator[RunFolder]:
    """All deployment folders under the root, by name."""
    try:
        names = sorted(entry.name for entry in os.scandir(run_root) if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return
    for name in names:
        yield RunFolder(run_root / name)


def _first_word(path: Path) -> str:
    return (_read(path, 4096) or "").strip()


def _write_key(path: Path, key: str) -> None:
    # Written aside and renamed: a crash must not leave an empty key file, which would mean "no key needed".
    path.parent.mkdir(mode=0o700, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}")
    with _private(scratch) as file:
        file.write(key.encode() + b"\n")
    os.replace(scratch, path)


def _read(path: Path, most: int) -> str | None:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), encoding="utf-8") as file:
            return file.read(most)
    except FileNotFoundError:
        return None


def _private(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    return open(os.open(path, flags, 0o600), "wb")
