"""`file:` references: models that are served from where they lie, and only from the folders the operator allows."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from drivers.errors import Denied, Rejected
from drivers.modelstore.gguf import GgufHeader, read_model, shard_names

_Found = tuple[tuple[Path, ...], GgufHeader, int]


@dataclass(slots=True)
class LocalFiles:
    """The allowed folders, and the headers read so far: a server's restart must not parse a header a second time."""

    roots: tuple[Path, ...]
    _headers: dict[tuple[tuple[str, int, int], ...], GgufHeader] = field(default_factory=dict)

    def find(self, path: Path) -> _Found | None:
        """Parts, header and size in bytes; None where no file is. Denied outside the folders, Rejected for no GGUF."""
        actual = Path(os.path.realpath(path))
        self._check(path, actual)
        names = shard_names(actual.name)
        parts = tuple(actual.with_name(name) for name in names)
        for part in parts[1:]:
            # A part beside it may be a link that leads elsewhere.
            self._check(part, Path(os.path.realpath(part)))
        try:
            statuses = [part.stat() for part in parts]
            key = tuple((str(p), s.st_size, s.st_mtime_ns) for p, s in zip(parts, statuses, strict=True))
            header = self._headers.get(key) or read_model(parts)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError as error:
            raise Denied(f"{path} cannot be read: {error.strerror}") from error
        except (OSError, ValueError) as error:
            raise Rejected(f"file:{path} cannot be served: {error}") from error
        self._headers[key] = header
        return parts, header, sum(status.st_size for status in statuses)

    def _check(self, path: Path, actual: Path) -> None:
        if any(actual.is_relative_to(os.path.realpath(root)) for root in self.roots):
            return
        allowed = ", ".join(map(str, self.roots)) or "none"
        raise Denied(f"file:{path} lies outside the folders that the operator allows in `models_roots` ({allowed})")
