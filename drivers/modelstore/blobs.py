"""Files by their SHA-256: fetched once, resumed after a cut, and given their name only when every byte was verified.

    blobs/sha256/HEX    whole and verified           partial/HEX    what came so far           locks/HEX    who fetches

A partial file is only a head start: it is hashed again from its first byte before it is continued, so whatever a crash
left in it is found out at the end.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from drivers.errors import Exhausted, Unavailable
from drivers.modelstore.artifact import RemoteFile, Source
from drivers.modelstore.files import locked, locked_if_free, open_private, private_folder, sync_folder, translated
from drivers.modelstore.reference import is_digest
from drivers.modelstore.transfer import Progress, Transfer

MOST_IDLE_ATTEMPTS = 4
"""How often in a row a transfer may be begun without a single byte coming."""
MOST_ATTEMPTS = 100
LONGEST_WAIT_S = 60.0
"""Seconds between two tries, whatever the source asks for: some name a day, and a pull must come to an end."""
HEADROOM = 1.05


class _Mismatch(Exception):
    """What came is not what the digest says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blobs:
    """The blobs below one root. `free_space` says how many bytes are free; `reserve_bytes` of them are left alone."""

    root: Path
    free_space: Callable[[Path], int]
    sleep: Callable[[float], None]
    reserve_bytes: int

    def path(self, digest: str) -> Path:
        """Where the blob lies, or would. ValueError for what is no digest: it becomes a file name here."""
        return self.root / "blobs" / "sha256" / _hex(digest)

    def partial(self, digest: str) -> Path:
        """Where its beginning lies while it comes."""
        return self.root / "partial" / _hex(digest)

    def missing_bytes(self, files: tuple[RemoteFile, ...]) -> int:
        """How many bytes must still come, each digest counted once."""
        return sum(
            file.size - min(_size(self.partial(file.digest)), file.size)
            for file in {file.digest: file for file in files}.values()
            if not self.path(file.digest).exists()
        )

    def check_room(self, needed: int, what: str) -> None:
        """Exhausted unless so many bytes fit, with some headroom, without touching the reserve."""
        if needed <= 0:
            return
        free = self.free_space(private_folder(self.root))
        wanted = int(needed * HEADROOM) + self.reserve_bytes
        if free < wanted:
            raise Exhausted(
                f"no room for {what}: {_human(needed)} are to come and {_human(self.reserve_bytes)} are kept free, "
                f"{_human(free)} are free at {self.root}; remove models with `reconcile models rm`"
            )

    def fetch(self, file: RemoteFile, source: Source, progress: Progress, is_trusted: Callable[[Path], bool]) -> Path:
        """The blob, fetched unless it is here. A blob that nobody vouches for is hashed before it is used.

        Whoever comes second, thread or process, waits for the first and then finds the file. Exhausted when the disk
        is full, Unavailable when the source stays silent or sends something else.
        """
        path, partial = self.path(file.digest), self.partial(file.digest)
        with self._locked(file.digest, lambda: progress(min(_size(partial), file.size))):
            try:
                if path.exists() and not (
                    _size(path) == file.size and (is_trusted(path) or _sha256(path) == file.digest)
                ):
                    path.unlink()
                if not path.exists():
                    self._transfer(file, source, progress)
            except OSError as error:
                failure = translated(error, f"writing {file.digest}")
                if isinstance(failure, Exhausted):
                    # A full disk is everybody's trouble: give back what was taken.
                    partial.unlink(missing_ok=True)
                raise failure from error
        progress(file.size)
        return path

    def adopt(self, digest: str, temporary: Path) -> Path:
        """Give a verified file, written below the root, its place. The caller has synced it.

        A sound one that is there stays: other references vouch for it by its time of change.
        """
        path = self.path(digest)
        private_folder(path.parent)
        with self._locked(digest):
            if path.exists() and _sha256(path) == digest:
                temporary.unlink()
            else:
                os.replace(temporary, path)
                sync_folder(path.parent)
        return path

    def discard(self, digest: str) -> int:
        """Remove blob and partial, unless somebody is at it; bytes freed."""
        freed = 0
        private_folder(self.root / "locks")
        with locked_if_free(self.root / "locks" / _hex(digest)) as is_free:
            for path in (self.path(digest), self.partial(digest)) if is_free else ():
                freed += _size(path)
                path.unlink(missing_ok=True)
        return freed

    def discard_abandoned_imports(self) -> int:
        """Remove what imports that died left behind; bytes freed. Their files are named after their processes."""
        freed = 0
        for path in (self.root / "partial").glob("import.*"):
            process = path.name.split(".")[1]
            if not Path("/proc", process).exists():
                freed += _size(path)
                path.unlink(missing_ok=True)
        return freed

    def all(self) -> frozenset[str]:
        """The digests of everything that lies here, whole or not."""
        folders = (self.root / "blobs" / "sha256", self.root / "partial")
        names = (path.name for folder in folders if folder.is_dir() for path in folder.iterdir())
        return frozenset(digest for name in names if is_digest(digest := f"sha256:{name}"))

    @contextmanager
    def _locked(self, digest: str, while_waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        private_folder(self.root)
        for folder in ("locks", "partial", "blobs", "blobs/sha256"):
            private_folder(self.root / folder)
        with locked(self.root / "locks" / _hex(digest), self.sleep, while_waiting):
            yield

    def _transfer(self, file: RemoteFile, source: Source, progress: Progress) -> None:
        partial = self.partial(file.digest)
        had_a_head_start = _size(partial) > 0
        try:
            self._fill(partial, file, source, progress)
        except _Mismatch:
            partial.unlink()
            if not had_a_head_start:
                raise Unavailable(
                    f"what the source sent for {file.digest} does not match that digest: refused"
                ) from None
            # The head start itself may have been damaged; once more from the beginning tells.
            return self._transfer(file, source, progress)
        os.replace(partial, self.path(file.digest))
        sync_folder(self.path(file.digest).parent)
        return None

    def _fill(self, partial: Path, file: RemoteFile, source: Source, progress: Progress) -> None:
        with open_private(partial, os.O_CREAT | os.O_RDWR) as out:
            transfer = Transfer(out, file, progress)
            transfer.rehash()
            idle = 0
            for _ in range(MOST_ATTEMPTS):
                before = transfer.done
                try:
                    if transfer.advance(source):
                        break
                except Unavailable as error:
                    idle = idle + 1 if transfer.done == before else 0
                    if idle >= MOST_IDLE_ATTEMPTS:
                        raise
                    self.sleep(min(error.retry_after_s or 0.5 * 2**idle, LONGEST_WAIT_S))
            else:
                raise Unavailable(f"the transfer of {file.digest} was cut {MOST_ATTEMPTS} times")
            os.fsync(out.fileno())
            if transfer.digest() != file.digest:
                raise _Mismatch


def _hex(digest: str) -> str:
    if not is_digest(digest):
        raise ValueError(f"{digest[:80]!r} is no digest")
    return digest.removeprefix("sha256:")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _human(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):.1f} MiB"
