"""Where the desired state is read from: one reading is a `Snapshot`, and ignorance is an error, never an empty one.

`git.py` reads commits, `worktree.py` reads files as they lie. Both are looked at often (`head`) and read seldom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from reconciler.errors import SourceError

if TYPE_CHECKING:
    from reconciler.compose.files import Files

LARGEST_FILE = 8 * 1024 * 1024
"""Bytes. Far above any Compose or env file; it is there for the file that is something else."""


class Snapshot(NamedTuple):
    """One reading of the source. Its files are read on demand and all belong to the same revision."""

    revision: str
    """A full commit id, or `worktree:` and a digest."""
    files: Files
    root: str
    """Absolute path of the project directory as the files know it; in a bare repository nothing lies there."""
    describe: str
    """For people: `/srv/app at main (3f2a91c0b7d4)`."""


class Source(Protocol):
    """Something that holds Compose files."""

    def read(self) -> Snapshot:
        """The present state. Raises SourceError when it is missing, empty, unreachable or changing."""
        ...

    def head(self) -> str:
        """A cheap token that changes when, and only when, `read` would differ. Raises SourceError like `read`."""
        ...

    def watch_paths(self) -> tuple[str, ...]:
        """Absolute paths, present or not, whose change may change `head`. Ask again after each reading."""
        ...

    def close(self) -> None:
        """Let go of what runs for this source; it can be read again afterwards."""
        ...


class Changing(SourceError):
    """Somebody is writing right now; look again in `look_again_s` seconds."""

    def __init__(self, message: str, look_again_s: float) -> None:
        super().__init__(message)
        self.look_again_s = look_again_s


def reject_empty(path: str, data: bytes) -> bytes:
    """The data, unless this is a YAML file with nothing in it: that is an interrupted write, not a wish for nothing."""
    if path.endswith((".yaml", ".yml")) and not data.strip():
        raise SourceError(
            f"{path} is empty: nothing is known, so nothing changes (write `models: {{}}` to ask for none)"
        )
    return data
