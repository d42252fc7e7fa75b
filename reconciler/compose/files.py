"""Where the bytes come from: the work tree, a git commit, or a dictionary in a test."""

from __future__ import annotations

from typing import Protocol


class Files(Protocol):
    """Read-only access by absolute POSIX path."""

    def read(self, path: str) -> bytes:
        """The whole file. Raises FileNotFoundError, IsADirectoryError or PermissionError; may raise InputError (a
        symbolic link in a commit) or SourceError (the source went away)."""
        ...

    def is_file(self, path: str) -> bool:
        """Whether `read` would find a regular file there."""
        ...
