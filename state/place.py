"""Where a state lives on disk, and what stands there now: nothing, a state, or the traces of one that is gone.

state.db            the database          state.db.d/*.lock     held by the process that may write a project
state.db.lineage    the marker            state.db.d/ballast    space given up when the disk is full
state.db-wal, -shm  SQLite's own          state.db.d/backups/   copies
                                          state.db.d/requests/  what people asked for while a service writes
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import NamedTuple

from state.store import StateDamaged, StateError, StateExists, StateLost, StateMissing

_MARKER_NOTE = (
    "# The identity of the state file beside this one. With it a lost state is noticed, not silently made anew.\n"
)


class Place(NamedTuple):
    """The files of one state. `database` is absolute."""

    database: Path

    @property
    def marker(self) -> Path:
        return self._beside(".lineage")

    @property
    def wal(self) -> Path:
        return self._beside("-wal")

    @property
    def shm(self) -> Path:
        return self._beside("-shm")

    @property
    def folder(self) -> Path:
        return self._beside(".d")

    @property
    def backups(self) -> Path:
        return self.folder / "backups"

    def lock(self, project: str) -> Path:
        """The project's lock file; its name is a digest, so that no project name can leave the folder."""
        return self.folder / f"{_digest(project)}.lock"

    def requests(self, project: str) -> Path:
        """The folder of what was asked about the project while somebody else held its lease."""
        return self.folder / "requests" / _digest(project)

    def _beside(self, suffix: str) -> Path:
        return self.database.with_name(self.database.name + suffix)

    def make_folders(self) -> None:
        """The folders for the state's files, with mode 0700 where they are new."""
        for folder in (self.database.parent, self.folder, self.backups):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def check_present(self) -> os.stat_result:
        """Raise StateMissing, StateLost or StateDamaged unless a non-empty regular file is there.

        Never opens the file: closing a second descriptor would drop the locks SQLite holds in this process.
        """
        try:
            found = self.database.stat()
        except FileNotFoundError:
            raise self._gone() from None
        except OSError as exc:
            raise StateError(f"the state {self.database} cannot be reached: {exc.strerror}") from exc
        if not stat.S_ISREG(found.st_mode):
            raise StateDamaged(f"{self.database} is not a file; give the path of the state's file")
        if found.st_size == 0:
            raise self._emptied()
        return found

    def check_vacant(self) -> None:
        """Raise StateExists where something is, StateLost where a state once was."""
        if self.database.exists() or self.database.is_symlink():
            raise StateExists(f"there is already something at {self.database}; it is left alone")
        if self.read_marker() is not None:
            raise self._gone()

    def read_marker(self) -> str | None:
        """The lineage in the marker, None where there is no marker."""
        try:
            text = self.marker.read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise StateError(f"the marker {self.marker} cannot be read: {exc.strerror}") from exc
        return text.split("\n", 1)[0].strip()

    def write_marker(self, lineage: str) -> None:
        """Leave the marker, durably and whole."""
        draft = self._beside(f".lineage.new-{os.getpid()}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(f"{lineage}\n{_MARKER_NOTE}")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.marker)
            sync_folder(self.database.parent)
        except OSError as exc:
            raise StateError(f"the marker {self.marker} cannot be written: {exc.strerror}") from exc

    def _gone(self) -> StateMissing:
        if self.read_marker() is None:
            return StateMissing(f"no state at {self.database}: nothing was recorded yet; `reconcile` makes it")
        return StateLost(f"the state {self.database} is gone: its marker is still there. {self._way_out()}")

    def _emptied(self) -> StateLost:
        if self.read_marker() is None:
            return StateLost(f"{self.database} has zero bytes and is no state; remove it if nothing was lost with it")
        return StateLost(f"the state {self.database} has zero bytes: its content is gone. {self._way_out()}")

    def _way_out(self) -> str:
        return (
            "What it had made may still be running. `reconcile recover` puts the newest copy back; without one, "
            "`reconcile recover --empty` begins again under the same identity and finds what runs by its marks"
        )


def _digest(project: str) -> str:
    return hashlib.sha256(project.encode()).hexdigest()[:16]


def sync_folder(folder: Path) -> None:
    """Make creations and renames in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
