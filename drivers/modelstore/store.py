"""The model store: which file on this host a reference means, and the one object a driver needs to get it here.

    <root>/index/    what is known of each reference      <root>/blobs/   the files, by digest, shared by references
    <root>/models/   split models under proper names      <root>/partial/ transfers on their way

Asking is cheap and touches no network. Everything that transfers is imported when it is first needed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.errors import Rejected
from drivers.modelstore.artifact import Role, Source
from drivers.modelstore.gguf import GgufHeader
from drivers.modelstore.index import Entry, Index
from drivers.modelstore.local import LocalFiles
from drivers.modelstore.reference import Kind, Reference, parse_reference

if TYPE_CHECKING:
    from drivers.modelstore.blobs import Blobs
    from drivers.modelstore.importing import Mode
    from drivers.modelstore.pull import Jobs, PullStatus

RESERVE_BYTES = 512 << 20
"""Bytes that a pull leaves free: the state database and the logs live on some disk too."""
LARGEST_MODEL = 2 << 40
"""Bytes; what claims more is a mistake or an attack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """A model that lies on this host, verified and ready to be served. Paths are absolute."""

    path: Path
    """The weights; of a split model its first part, with the others beside it."""
    mmproj: Path | None
    chat_template: Path | None
    digest: str | None
    """What the reference meant when it was stored; None for a `file:` that is served in place."""
    size: int
    """Bytes of all files together."""
    reference: str
    """Canonical."""
    context_size: int | None
    """Tokens that the artifact recommends."""
    header: GgufHeader
    paths: tuple[Path, ...]
    """All parts of the weights, in order."""
    source: str = "in place"
    stored_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """What a removal did. `shared` names the references that still need some of the same files."""

    reference: str
    freed_bytes: int
    shared: tuple[str, ...]


def _free_space(path: Path) -> int:
    """Bytes that we may still write there: what is kept for root does not count."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


class ModelStore:
    """The store below `root`, which need not exist yet.

    `environ` holds what tools agree on: `DOCKER_CONFIG`, `HF_TOKEN`, `HTTPS_PROXY`. `models_roots` are the folders
    from which `file:` references may be served. `insecure_registries` are asked over http. `transport` replaces the
    way to a source, `free_space`, `clock` and `sleep` the machine's. Methods raise only `drivers.errors`; all are
    safe among threads and processes.
    """

    def __init__(
        self,
        root: Path,
        *,
        environ: Mapping[str, str] | None = None,
        models_roots: Collection[Path] = (),
        insecure_registries: Collection[str] = (),
        hub: str = "https://huggingface.co",
        hub_revision: str = "main",
        reserve_bytes: int = RESERVE_BYTES,
        largest_model: int = LARGEST_MODEL,
        transport: Callable[[Reference], Source] | None = None,
        free_space: Callable[[Path], int] = _free_space,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.root = root.absolute()
        self.index = Index(self.root)
        self.largest_model = largest_model
        self.clock = clock
        self.sleep = sleep
        self._environ = os.environ if environ is None else environ
        self._local = LocalFiles(tuple(models_roots))
        self._insecure = frozenset(insecure_registries)
        self._hub = (hub, hub_revision)
        self._reserve_bytes = reserve_bytes
        self._transport = transport
        self._free_space = free_space
        self._jobs: Jobs | None = None

    def find(self, reference_text: str) -> StoredModel | None:
        """The model, if all its files are here as they were verified. Denied for a file outside the allowed folders."""
        reference = parse(reference_text)
        if reference.kind is Kind.FILE:
            return self._find_in_place(reference)
        entry = self.index.read(reference.canonical)
        if entry is None or not all(file.is_untouched(self.root) for file in entry.files):
            return None
        return self.stored(entry)

    def ls(self) -> tuple[StoredModel, ...]:
        """All models whose files are here, by reference."""
        entries = self.index.all()
        return tuple(self.stored(e) for e in entries if all(file.is_untouched(self.root) for file in e.files))

    def start_pull(self, reference_text: str) -> None:
        """Begin to fetch the model in the background, unless it is being fetched; returns at once."""
        self._pulls().start(parse(reference_text))

    def pull_status(self, reference_text: str) -> PullStatus:
        """How far that is. After a failure `error` says what it takes; `start_pull` tries again."""
        return self._pulls().status(parse(reference_text))

    def pull(
        self,
        reference_text: str,
        progress: Callable[[int, int], None] = lambda done, total: None,
        *,
        refresh: bool = False,
    ) -> StoredModel:
        """Fetch the model and wait for it; `progress` is told bytes here and bytes in all.

        What is here already is taken as it is; with `refresh` the source is asked what the reference means today.
        """
        from drivers.modelstore.pull import pull

        return pull(self, parse(reference_text), progress, refresh=refresh)

    def import_file(self, path: Path, as_reference: str, mode: Mode = "copy") -> StoredModel:
        """Take a GGUF file into the store under a reference: `copy`, `hardlink` or `reflink`. Rejected for no GGUF."""
        from drivers.modelstore.importing import import_file

        return import_file(self, path, parse(as_reference), mode)

    def remove(self, reference_text: str) -> Removal:
        """Forget the reference and delete the files that no other one needs. Rejected where it is not in the store."""
        from drivers.modelstore.removal import remove

        return remove(self, parse(reference_text))

    def prune(self) -> int:
        """Delete abandoned transfers and files that no reference needs; bytes freed."""
        from drivers.modelstore.removal import prune

        return prune(self)

    def stored(self, entry: Entry) -> StoredModel:
        """An entry with its paths worked out."""
        weights = tuple(self.root / file.path for file in entry.files if file.role is Role.WEIGHTS)
        extra = {file.role: self.root / file.path for file in entry.files if file.role is not Role.WEIGHTS}
        return StoredModel(
            path=weights[0],
            mmproj=extra.get(Role.MMPROJ),
            chat_template=extra.get(Role.CHAT_TEMPLATE),
            digest=entry.digest,
            size=entry.size,
            reference=entry.reference,
            context_size=entry.context_size,
            header=entry.header,
            paths=weights,
            source=entry.source,
            stored_at=entry.stored_at,
        )

    def blobs(self) -> Blobs:
        """The files below the store."""
        from drivers.modelstore.blobs import Blobs

        return Blobs(root=self.root, free_space=self._free_space, sleep=self.sleep, reserve_bytes=self._reserve_bytes)

    def source(self, reference: Reference) -> Source:
        """Where a reference is fetched from."""
        if self._transport:
            return self._transport(reference)
        from drivers.modelstore.sources import open_source

        return open_source(reference, self._environ, insecure=self._insecure, hub=self._hub)

    def _find_in_place(self, reference: Reference) -> StoredModel | None:
        found = self._local.find(Path(reference.repository))
        if found is None:
            return None
        paths, header, size = found
        return StoredModel(
            path=paths[0],
            mmproj=None,
            chat_template=None,
            digest=None,
            size=size,
            reference=reference.canonical,
            context_size=None,
            header=header,
            paths=paths,
        )

    def _pulls(self) -> Jobs:
        if self._jobs is None:
            from drivers.modelstore.pull import Jobs

            # Two threads may make two; the one that setdefault keeps is the one both use.
            self._jobs = self.__dict__.setdefault("_the_jobs", Jobs(self))
        return self._jobs


def parse(text: str) -> Reference:
    """The reference, or Rejected with the same sentence."""
    try:
        return parse_reference(text)
    except ValueError as error:
        raise Rejected(str(error)) from error
