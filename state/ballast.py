"""Space set aside, so that on a full disk what was done can still be written down and what costs money be deleted."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from state.place import Place

BALLAST_BYTES = 1 << 20
_ROOM_TO_STOCK = 8 * BALLAST_BYTES
"""Free bytes below which the ballast is not put back: it would only be needed again at once."""


@dataclass(frozen=True, slots=True)
class Ballast:
    """One file of 1 MiB beside the database."""

    path: Path

    @classmethod
    def of(cls, place: Place) -> Ballast:
        return cls(place.folder / "ballast")

    @property
    def stocked(self) -> bool:
        try:
            return self.path.stat().st_size >= BALLAST_BYTES
        except OSError:
            return False

    def drop(self) -> bool:
        """Give the space up; False where there was none to give."""
        try:
            self.path.unlink()
        except OSError:
            return False
        return True

    def stock(self) -> None:
        """Set the space aside when there is plenty; quietly does without otherwise, `stocked` tells."""
        if self.stocked:
            return
        try:
            if shutil.disk_usage(self.path.parent).free >= _ROOM_TO_STOCK:
                self._fill()
        except OSError:
            self.drop()

    def _fill(self) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            # Random bytes: a filesystem that compresses would keep no space for zeros.
            file.write(os.urandom(BALLAST_BYTES))
            file.flush()
            os.fsync(file.fileno())
