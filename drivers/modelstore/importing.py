"""Taking a file that is already on this host into the store."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from drivers.errors import Denied, Rejected
from drivers.modelstore.artifact import Artifact, RemoteFile, Role
from drivers.modelstore.files import open_private, private_folder, translated
from drivers.modelstore.gguf import read_model, shard_names
from drivers.modelstore.pull import publish
from drivers.modelstore.reference import Kind, Reference

if TYPE_CHECKING:
    from drivers.modelstore.store import ModelStore, StoredModel

Mode = Literal["copy", "hardlink", "reflink"]
"""`copy` needs the room twice; `hardlink` shares the file, so a later edit of it makes the model pulled again;
`reflink` shares the blocks and nothing else, on file systems that can (btrfs, XFS)."""

CHUNK = 1 << 20
_FICLONE = 0x40049409


def import_file(store: ModelStore, path: Path, reference: Reference, mode: Mode) -> StoredModel:
    """The stored model. All parts of a split one are taken. Rejected where it is no GGUF or the reference is a file."""
    if reference.kind is Kind.FILE:
        raise Rejected(f"{reference} is served in place; import it under a name such as 'local.example/team/chat:v1'")
    paths = [path.with_name(name) for name in shard_names(path.name)]
    try:
        _check(paths)
        blobs = store.blobs()
        blobs.discard_abandoned_imports()
        if mode == "copy":
            blobs.check_room(sum(part.stat().st_size for part in paths), str(path))
        files = tuple(_take(store, part, mode) for part in paths)
    except OSError as error:
        raise _translated(error, path, mode) from error
    artifact = Artifact(digest=files[0].digest, files=files)
    return publish(store, reference, artifact, origin=f"imported from {path.absolute()}")


def _check(paths: Sequence[Path]) -> None:
    try:
        read_model(paths)
    except FileNotFoundError as error:
        raise Rejected(f"{error.filename} does not exist") from error
    except ValueError as error:
        raise Rejected(str(error)) from error


def _take(store: ModelStore, path: Path, mode: Mode) -> RemoteFile:
    """Bring one file below the root, hash what arrived there, and give it its place."""
    folder = private_folder(store.root / "partial")
    temporary = folder / f"import.{os.getpid()}.{os.urandom(6).hex()}"
    try:
        digest = _link(path, temporary) if mode == "hardlink" else _copy(path, temporary, mode)
        size = temporary.stat().st_size
        store.blobs().adopt(digest, temporary)
    finally:
        temporary.unlink(missing_ok=True)
    return RemoteFile(role=Role.WEIGHTS, digest=digest, size=size, location=str(path))


def _link(path: Path, temporary: Path) -> str:
    os.link(os.path.realpath(path), temporary)
    with temporary.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _copy(path: Path, temporary: Path, mode: Mode) -> str:
    content = hashlib.sha256()
    with path.open("rb", buffering=0) as given, open_private(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR) as out:
        if mode == "reflink":
            fcntl.ioctl(out, _FICLONE, given.fileno())
            given = out  # what arrived is hashed, not what may be changing under us
        while chunk := given.read(CHUNK):
            content.update(chunk)
            if mode == "copy":
                view = memoryview(chunk)
                while view:
                    view = view[out.write(view) :]
        os.fsync(out.fileno())
    return f"sha256:{content.hexdigest()}"


def _translated(error: OSError, path: Path, mode: Mode) -> Exception:
    if error.errno in (errno.EXDEV, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL) and mode != "copy":
        return Denied(f"{path} cannot be taken as a {mode} on this file system; use copy")
    return translated(error, f"importing {path}")
