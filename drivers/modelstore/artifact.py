"""What a source offers under a reference: which files, how large, with which digests. OCI registries and the Hub agree
on these values, so that one downloader serves both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Role(Enum):
    """What a file is to the server."""

    WEIGHTS = "weights"
    MMPROJ = "mmproj"
    CHAT_TEMPLATE = "chat_template"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One file of an artifact. `size` in bytes; `location` is what the source needs to find it again."""

    role: Role
    digest: str
    size: int
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A whole model as its source describes it. Weights come first, parts of a split model in order."""

    digest: str
    """The manifest's, or for the Hub the first file's: what the reference meant when it was asked."""
    files: tuple[RemoteFile, ...]
    context_size: int | None = None
    """Tokens, where the artifact's own configuration recommends so many."""
    revision: str | None = None
    """The commit at the Hub."""

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


class Body(Protocol):
    """An answer that is being read."""

    status: int

    def header(self, name: str) -> str | None:
        """A header's value."""
        ...

    def read(self, count: int) -> bytes:
        """At most so many bytes; empty at the end, also at an untimely one."""
        ...

    def close(self) -> None:
        """Give the connection up."""
        ...


class Source(Protocol):
    """Where artifacts come from. Raises only `drivers.errors`."""

    def resolve(self) -> Artifact:
        """What the reference means now."""
        ...

    def open(self, file: RemoteFile, headers: Mapping[str, str]) -> Body:
        """Begin to read a file, with a Range header where only the rest is wanted. Status 200, 206 or 416."""
        ...
