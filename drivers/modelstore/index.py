"""What the store remembers of each model: one small JSON file per reference, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from drivers.modelstore.artifact import Role
from drivers.modelstore.files import locked, private_folder, write_atomically
from drivers.modelstore.gguf import GgufHeader

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedFile:
    """A file of a model as it was when it was verified. `path` is relative to the store's root."""

    role: Role
    digest: str
    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, role: Role, digest: str, path: Path, root: Path) -> IndexedFile:
        """The file as it lies there now."""
        status = path.stat()
        relative = str(path.relative_to(root))
        return cls(role=role, digest=digest, path=relative, size=status.st_size, mtime_ns=status.st_mtime_ns)

    def is_untouched(self, root: Path) -> bool:
        """Whether it is still that file."""
        try:
            status = (root / self.path).stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model in the store."""

    reference: str
    """Canonical."""
    digest: str
    size: int
    files: tuple[IndexedFile, ...]
    header: GgufHeader
    source: str
    """`pulled` or `imported from /path`."""
    stored_at: datetime
    context_size: int | None = None
    revision: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The entry as it is written."""
        return {
            "format": FORMAT,
            "reference": self.reference,
            "digest": self.digest,
            "size": self.size,
            "source": self.source,
            "stored_at": self.stored_at.isoformat(),
            "context_size": self.context_size,
            "revision": self.revision,
            "header": self.header.to_json(),
            "files": [
                {"role": f.role.value, "digest": f.digest, "path": f.path, "size": f.size, "mtime_ns": f.mtime_ns}
                for f in self.files
            ],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Entry:
        """The entry that was written. KeyError, TypeError or ValueError where it is damaged or of another format."""
        if values["format"] != FORMAT:
            raise ValueError(f"unknown format {values['format']!r}")
        return cls(
            reference=values["reference"],
            digest=values["digest"],
            size=values["size"],
            source=values["source"],
            stored_at=datetime.fromisoformat(values["stored_at"]),
            context_size=values["context_size"],
            revision=values["revision"],
            header=GgufHeader.from_json(values["header"]),
            files=tuple(IndexedFile(**{**entry, "role": Role(entry["role"])}) for entry in values["files"]),
        )


@dataclass(frozen=True, slots=True)
class Index:
    """The entries below one root."""

    root: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold it alone: between looking at which blobs are used and acting on that. Held for milliseconds."""
        private_folder(self.root)
        with locked(self.root / "lock", time.sleep):
            yield

    def read(self, reference: str) -> Entry | None:
        """The entry of a canonical reference. A damaged one reads as none: the model is then pulled again."""
        return _read(self._path(reference))

    def all(self) -> tuple[Entry, ...]:
        """All entries, by reference."""
        folder = self.root / "index"
        paths = folder.glob("*.json") if folder.is_dir() else ()
        return tuple(sorted((entry for path in paths if (entry := _read(path))), key=lambda entry: entry.reference))

    def write(self, entry: Entry) -> None:
        """Remember it, in the place of what was known under its reference."""
        private_folder(self.root / "index")
        content = json.dumps(entry.to_json(), ensure_ascii=True, indent=1).encode()
        write_atomically(self._path(entry.reference), content)

    def delete(self, reference: str) -> None:
        """Forget it; absent is fine."""
        self._path(reference).unlink(missing_ok=True)

    def _path(self, reference: str) -> Path:
        # A readable beginning for people, a hash for uniqueness: references hold slashes and may be long.
        readable = "".join(c if c.isalnum() and c.isascii() else "-" for c in reference)[-60:].strip("-")
        return self.root / "index" / f"{readable}-{hashlib.sha256(os.fsencode(reference)).hexdigest()[:16]}.json"


def _read(path: Path) -> Entry | None:
    try:
        return Entry.from_json(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
