"""Pulls: one transfer from beginning to end, and the same as a job that is started, looked at and never waited for."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.errors import DriverError, Rejected, Unavailable
from drivers.modelstore.artifact import Artifact, RemoteFile, Role
from drivers.modelstore.files import private_folder, translated
from drivers.modelstore.gguf import GgufHeader, read_model
from drivers.modelstore.index import Entry, IndexedFile
from drivers.modelstore.reference import Kind, Reference
from drivers.modelstore.removal import discard_unneeded

if TYPE_CHECKING:
    from drivers.modelstore.store import ModelStore, StoredModel

log = logging.getLogger(__name__)

AT_ONCE = 2
"""Transfers of one process at a time; more only share the same line and the same disk."""

Progress = Callable[[int, int], None]


class PullState(StrEnum):
    """Where a pull stands."""

    IDLE = "idle"
    """Neither here nor being fetched."""
    RUNNING = "running"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullStatus:
    """A pull as it is now. `total_bytes` is 0 until the source has said how much it is."""

    state: PullState
    done_bytes: int = 0
    total_bytes: int = 0
    error: DriverError | None = None
    detail: str = ""
    """One stable sentence, without numbers."""


class Jobs:
    """The pulls of this process, one thread each. Another process that pulls the same waits on the blob's lock."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._statuses: dict[str, PullStatus] = {}

    def start(self, reference: Reference) -> None:
        """Begin unless it is running. Rejected for what cannot be pulled."""
        if reference.kind is Kind.FILE:
            raise Rejected(f"{reference} is not there, and nothing can be pulled for a `file:` reference")
        key = reference.canonical
        with self._lock:
            if (known := self._statuses.get(key)) and known.state is PullState.RUNNING:
                return
            self._statuses[key] = PullStatus(state=PullState.RUNNING, detail=f"pulling {key}")
        # A daemon: an interrupted transfer is a partial file, and nobody should wait for hours to exit.
        threading.Thread(target=self._run, args=(reference,), name=f"pull {key}", daemon=True).start()

    def status(self, reference: Reference) -> PullStatus:
        """How far it is."""
        with self._lock:
            known = self._statuses.get(reference.canonical)
        if known and known.state is PullState.RUNNING:
            return known
        # Whatever this process remembers, the files decide: they may have been removed, or pulled by somebody else.
        stored = self._store.find(reference.canonical)
        if stored is None and known and known.state is PullState.FAILED:
            return known
        if stored is None:
            return PullStatus(state=PullState.IDLE, detail=f"{reference} is not on this host")
        return PullStatus(
            state=PullState.DONE, done_bytes=stored.size, total_bytes=stored.size, detail=f"{reference} is on this host"
        )

    def _run(self, reference: Reference) -> None:
        try:
            with self._slots:
                pull(self._store, reference, lambda done, total: self._advance(reference, done, total), refresh=False)
        except DriverError as error:
            self._fail(reference, error)
        except Exception as error:
            # A bug of ours must be seen where people look, not only on a thread's stderr.
            log.exception("pulling %s failed", reference)
            self._fail(reference, Unavailable(f"pulling {reference} failed: {type(error).__name__}"))
        else:
            log.info("pulled %s", reference)
            self._set(reference, PullStatus(state=PullState.DONE))

    def _advance(self, reference: Reference, done: int, total: int) -> None:
        with self._lock:
            known = self._statuses[reference.canonical]
            self._statuses[reference.canonical] = replace(known, done_bytes=done, total_bytes=total)

    def _fail(self, reference: Reference, error: DriverError) -> None:
        with self._lock:
            known = self._statuses[reference.canonical]
            failed = replace(known, state=PullState.FAILED, error=error, detail=str(error))
            self._statuses[reference.canonical] = failed

    def _set(self, reference: Reference, status: PullStatus) -> None:
        with self._lock:
            self._statuses[reference.canonical] = status


def pull(store: ModelStore, reference: Reference, progress: Progress, *, refresh: bool) -> StoredModel:
    """Resolve, make sure of the room, fetch what is missing, read the header, remember. Raises `drivers.errors`."""
    found = store.find(reference.canonical)
    if found and (not refresh or reference.kind is Kind.FILE):
        progress(found.size, found.size)
        return found
    source = store.source(reference)
    artifact = source.resolve()
    if artifact.size > store.largest_model:
        raise Rejected(f"{reference} claims to be {artifact.size} bytes large; {store.largest_model} are allowed")
    try:
        blobs = store.blobs()
        blobs.check_room(blobs.missing_bytes(artifact.files), str(reference))
        is_trusted = _vouched_for(store)
        counter = _Counter(progress, artifact.size)
        for file in artifact.files:
            blobs.fetch(file, source, counter.tell, is_trusted)
            counter.finished(file.size)
        return publish(store, reference, artifact, origin="pulled")
    except OSError as error:
        raise translated(error, f"storing {reference}") from error


class _Counter:
    """From bytes of one file to bytes of all."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._before = progress, total, 0

    def tell(self, here: int) -> None:
        self._progress(self._before + here, self._total)

    def finished(self, size: int) -> None:
        self._before += size


def publish(store: ModelStore, reference: Reference, artifact: Artifact, *, origin: str) -> StoredModel:
    """Make it findable. Under the index's lock, so that a removal at the same moment sees it or is seen."""
    with store.index.locked():
        paths = _named_paths(store, artifact)
        if not all(path.exists() for path, _ in paths):
            raise Unavailable(f"{reference} was removed while it was pulled; pull it again")
        header = _header(store, reference, artifact, [path for path, file in paths if file.role is Role.WEIGHTS])
        entry = Entry(
            reference=reference.canonical,
            digest=artifact.digest,
            size=artifact.size,
            files=tuple(IndexedFile.of(file.role, file.digest, path, store.root) for path, file in paths),
            header=header,
            source=origin,
            stored_at=store.clock(),
            context_size=artifact.context_size,
            revision=artifact.revision,
        )
        store.index.write(entry)
    return store.stored(entry)


def _header(store: ModelStore, reference: Reference, artifact: Artifact, weights: list[Path]) -> GgufHeader:
    try:
        return read_model(weights)
    except ValueError as error:
        discard_unneeded(store, {file.digest for file in artifact.files})
        raise Rejected(f"{reference} is here but cannot be served: {error}") from error


def _named_paths(store: ModelStore, artifact: Artifact) -> list[tuple[Path, RemoteFile]]:
    """Where each file lies. The parts of a split model get links with the names by which llama.cpp finds them."""
    blobs = store.blobs()
    weights = [file for file in artifact.files if file.role is Role.WEIGHTS]
    extra = [(blobs.path(file.digest), file) for file in artifact.files if file.role is not Role.WEIGHTS]
    if len(weights) == 1:
        return [(blobs.path(weights[0].digest), weights[0]), *extra]
    folder = private_folder(store.root / "models" / artifact.digest.removeprefix("sha256:"))
    links = []
    for number, file in enumerate(weights, 1):
        link = folder / f"model-{number:05}-of-{len(weights):05}.gguf"
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(blobs.path(file.digest), folder))
        links.append((link, file))
    return links + extra


def _vouched_for(store: ModelStore) -> Callable[[Path], bool]:
    """Tells of a blob whether some entry saw it verified and it is untouched since; others must be hashed again."""
    untouched = {
        os.path.realpath(store.root / file.path)
        for entry in store.index.all()
        for file in entry.files
        if file.is_untouched(store.root)
    }
    return lambda path: os.path.realpath(path) in untouched
