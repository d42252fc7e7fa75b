"""The platform's memory: one folder per deployment, which outlives the reconciler and says whose server that is.

    <run root>/<deployment name>/
        deployment.json   owner tags, spec, port, and how the server was started; written before it starts; no secrets
        lock              held by the server itself, through a descriptor it inherits, for as long as it lives
        key               the API key, mode 0600, made once
        ready, stopping   marks: it answered a real request once; it was asked to stop, and when
        server.log        what the server printed; emptied at each start
        home/             the server's HOME and temporary folder

The lock is what makes a start happen once: whoever dies holding it, reconciler or server, lets it go, and nobody else.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import get_ident
from typing import Any, BinaryIO

from drivers.base import Deployment, ModelSpec, owner_tags

FORMAT = 1
LARGEST_RECORD = 1 << 20


class Unreadable(Exception):
    """A `deployment.json` that cannot be understood: torn by a full disk, edited, or from a newer release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What `deployment.json` holds."""

    deployment: Deployment
    """Without a handle."""
    host: str
    port: int
    model_id: str
    """What clients send as `model`."""
    purpose: str = "chat"
    """`chat`, `embedding` or `rerank`: what kind of request it must answer to be ready."""
    keyed: bool = True
    """Clients must send the key."""
    argv_digest: str = ""
    boot: str = ""
    """The boot id of the kernel the start was made under; processes do not outlive it."""
    started_at: float = 0.0
    """Seconds since the POSIX epoch."""
    oom_kills: int = 0
    """The kernel's count of out-of-memory kills when it was started."""
    pid: int | None = None
    """None until the start was recorded; the process may be there all the same."""
    ticks: int = 0
    """When the process began, in clock ticks since boot: tells it from a later one with its pid."""


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
            return _decode(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as trouble:
            raise Unreadable(f"{self.path / 'deployment.json'} cannot be understood") from trouble

    def write(self, record: RunRecord) -> None:
        """Replace the record, all or nothing. Not synced: no process it could describe survives a power cut."""
        scratch = self.path / f".deployment.json.{os.getpid()}.{get_ident()}"
        with _private(scratch) as file:
            file.write(json.dumps(_encode(record), indent=1, sort_keys=True).encode() + b"\n")
        os.replace(scratch, self.path / "deployment.json")

    def is_ready(self) -> bool:
        """Whether the server that runs now has answered a real request."""
        return (self.path / "ready").exists()

    def mark_ready(self) -> None:
        """Remember that it answered. A file of its own: whoever writes the record cannot lose it."""
        with _private(self.path / "ready"):
            pass

    def stopping_since(self) -> float | None:
        """When it was asked to stop, in seconds since the POSIX epoch; None where it was not."""
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
        for folder in (self.path, self.home):
            folder.mkdir(mode=0o700, exist_ok=True)

    def try_lock(self) -> int | None:
        """A descriptor that holds the lock, for the caller to close; None where a server or another start has it."""
        path = self.path / "lock"
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                if not _lock(descriptor):
                    os.close(descriptor)
                    return None
                if _is_same(descriptor, path):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            # A delete removed the folder between our open and our lock: that file is nobody's any more.
            os.close(descriptor)

    def is_locked(self) -> bool:
        """Whether somebody holds the lock. Asks without taking it: a probe must not make a start beside it fail."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _whole_file(fcntl.F_WRLCK))
        finally:
            os.close(descriptor)
        kind: int = _FLOCK.unpack(answer)[0]
        return kind != fcntl.F_UNLCK

    def key(self) -> str:
        """The API key, made on first use."""
        known = _read(self.key_file, 4096)
        if known and known.strip():
            return known.strip()
        # Written aside and renamed: a crash must not leave an empty key file, which would mean "no key needed".
        scratch = self.path / ".key.new"
        with _private(scratch) as file:
            file.write(secrets.token_urlsafe(32).encode() + b"\n")
        os.replace(scratch, self.key_file)
        return self.key()

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


def encode_deployment(deployment: Deployment) -> dict[str, Any]:
    """A deployment as plain JSON values, without its handle."""
    spec = deployment.spec
    return {
        "id": deployment.id,
        "lineage": deployment.lineage,
        "project": deployment.project,
        "model": deployment.model,
        "name": deployment.name,
        "spec": {
            "model": spec.model,
            "context_size": spec.context_size,
            "runtime_flags": list(spec.runtime_flags),
            "options": dict(spec.options),
        },
    }


def decode_deployment(values: Mapping[str, Any]) -> Deployment:
    """The other way. Raises KeyError, TypeError or ValueError for anything else."""
    spec = values["spec"]
    return Deployment(
        id=_text(values["id"]),
        lineage=_text(values["lineage"]),
        project=_text(values["project"]),
        model=_text(values["model"]),
        name=_text(values["name"]),
        spec=ModelSpec(
            model=_text(spec["model"]),
            context_size=None if spec["context_size"] is None else int(spec["context_size"]),
            runtime_flags=tuple(_text(flag) for flag in spec["runtime_flags"]),
            options={_text(key): _text(value) for key, value in spec["options"].items()},
        ),
    )


_RUN_FIELDS = tuple(name for name in RunRecord.__slots__ if name != "deployment")


def _encode(record: RunRecord) -> dict[str, Any]:
    values = asdict(replace(record, deployment=None))  # type: ignore[arg-type]
    return {
        "format": FORMAT,
        "tags": owner_tags(record.deployment),
        "deployment": encode_deployment(record.deployment),
        "run": {name: values[name] for name in _RUN_FIELDS},
    }


def _decode(values: Mapping[str, Any]) -> RunRecord:
    if values["format"] != FORMAT:
        raise ValueError(f"format {values['format']}")
    run = values["run"]
    return RunRecord(
        deployment=decode_deployment(values["deployment"]), **{name: run[name] for name in _RUN_FIELDS if name in run}
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _read(path: Path, most: int) -> str | None:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), encoding="utf-8") as file:
            return file.read(most)
    except FileNotFoundError:
        return None


def _private(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    return open(os.open(path, flags, 0o600), "wb")


# struct flock of fcntl(2) on 64-bit Linux: type, whence, start, length, pid (must be 0 here), padding. A lock of the
# open file description is inherited through fork and exec, as flock's is, and unlike that one can be asked about.
_FLOCK = struct.Struct("@hhqqi4x")


def _whole_file(kind: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _whole_file(fcntl.F_WRLCK))
    except (BlockingIOError, PermissionError):  # fcntl(2) allows EAGAIN and EACCES for "somebody has it"
        return False
    return True


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
