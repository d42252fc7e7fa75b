"""Copies of a state, and the two ways back after a loss: from a copy, or empty under the same identity.

Both ways (`reconcile recover`) are safe because of what a pass does first: it adopts what carries our tags, and never
sweeps a thing merely because the state does not know it. Both need `acquire(…, floor=…)` with the epoch of the last
override file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from state.connect import check_identity, connect, create_database
from state.faults import told_of
from state.lease import try_lock
from state.place import Place, sync_folder
from state.sqlite import SqliteStore
from state.store import Held, StateDamaged, StateError, StateMissing

KEPT_BACKUPS = 48
EVERY = timedelta(hours=1)
_STAMP = "%Y%m%dT%H%M%SZ"


def backup_if_due(
    store: SqliteStore, now: datetime, *, every: timedelta = EVERY, keep: int = KEPT_BACKUPS
) -> Path | None:
    """Copy the state into its backups folder unless the newest copy is younger than `every`; the path of the new one.

    Copies beyond the newest `keep` are removed. A copy dated in the future (the clock was set back) counts as old.
    """
    place = store.place
    newest = next(iter(backups(place.database)), None)
    if newest is not None and timedelta(0) <= now - _taken_at(newest) < every:
        return None
    target = place.backups / f"state-{now.astimezone(UTC).strftime(_STAMP)}.db"
    store.backup(target)
    for old in backups(place.database)[keep:]:
        old.unlink(missing_ok=True)
    return target


def backups(path: Path) -> tuple[Path, ...]:
    """The dated copies of the state at this path, newest first."""
    found = (copy for copy in _place(path).backups.glob("state-*.db") if _taken_at(copy) is not _NEVER)
    return tuple(sorted(found, key=_taken_at, reverse=True))


def restore(path: Path, backup: Path, now: datetime) -> Path | None:
    """Put a copy in the place of the state; what was there is set aside, and the folder it went to is returned.

    Raises Held while a reconciler runs on the state, StateDamaged when the copy is unsound or of another lineage.
    """
    place = _place(path)
    with _nobody_writing(place):
        lineage = _check_copy(place, backup)
        draft = place.database.with_name(f"{place.database.name}.new-{os.getpid()}")
        try:
            _copy_durably(backup, draft)
            aside = _set_aside(place, now)
            draft.replace(place.database)
            sync_folder(place.database.parent)
        except OSError as exc:
            raise StateError(f"the backup {backup} cannot be put in place: {exc.strerror}") from exc
        finally:
            draft.unlink(missing_ok=True)
        place.write_marker(lineage)
    return aside


def begin_again(path: Path, now: datetime, *, lineage: str | None = None) -> Path | None:
    """Make an empty state with the identity in the marker, so that what still runs is found by its tags and adopted.

    What was there is set aside, and the folder it went to is returned. Raises StateMissing without a marker.
    `lineage` is the identity where the marker was lost as well, or is that of a state which has made nothing.
    """
    place = _place(path)
    given, lineage = lineage, lineage or place.read_marker()
    if not lineage:
        raise StateMissing(f"no marker at {place.marker}: the identity of the state that was there is not known")
    with _nobody_writing(place):
        aside = _set_aside(place, now)
        # The marker stays until the new state is there: a crash in between must still read as a loss.
        if given:
            place.write_marker(given)
        create_database(place, lineage, after_loss=True)
    return aside


def _place(path: Path) -> Place:
    return Place(Path(os.path.abspath(path)))


_NEVER = datetime.min.replace(tzinfo=UTC)


def _taken_at(backup: Path) -> datetime:
    try:
        return datetime.strptime(backup.stem.removeprefix("state-"), _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return _NEVER


def _check_copy(place: Place, backup: Path) -> str:
    """The lineage of a sound copy."""
    copy = _place(backup)
    copy.check_present()
    with told_of(backup):
        connection = connect(copy.database, mode="ro&immutable=1", busy_timeout_s=0)
        try:
            lineage = check_identity(connection, copy).lineage
        finally:
            connection.close()
    marked = place.read_marker()
    if marked not in (None, lineage):
        raise StateDamaged(f"{backup} is a copy of another state (lineage {lineage}, the marker says {marked})")
    return lineage


@contextmanager
def _nobody_writing(place: Place) -> Iterator[None]:
    """Hold every project's lock meanwhile. Raises Held when somebody else does."""
    with ExitStack() as held:
        place.make_folders()
        for lock in sorted(place.folder.glob("*.lock")):
            descriptor = try_lock(lock)
            if descriptor is None:
                raise Held(f"a reconciler is running on the state {place.database}; stop it first")
            held.callback(os.close, descriptor)
        yield


def _set_aside(place: Place, now: datetime) -> Path | None:
    """Move the database, its log and its shared memory away together: a log must never meet another database."""
    present = [file for file in (place.wal, place.shm, place.database) if os.path.lexists(file)]
    if not present:
        return None
    aside = place.folder / f"replaced-{now.astimezone(UTC).strftime(_STAMP)}"
    try:
        aside.mkdir(mode=0o700)
        for file in present:
            file.rename(aside / file.name)
        sync_folder(place.database.parent)
    except OSError as exc:
        raise StateError(f"{place.database} cannot be set aside in {aside}: {exc.strerror}") from exc
    return aside


def _copy_durably(source: Path, target: Path) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with source.open("rb") as old, os.fdopen(descriptor, "wb") as new:
        shutil.copyfileobj(old, new)
        new.flush()
        os.fsync(new.fileno())
