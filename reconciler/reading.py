"""From a source to what is desired: read, load, resolve. Reads nothing anew while the source's head stays the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from reconciler.compose.load import LoadRequest, load
from reconciler.compose.project import Project
from reconciler.desired import Desired, DesiredSettings, desired
from reconciler.errors import SourceError
from reconciler.source import Snapshot, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the source says, understood."""

    project: Project
    desired: Desired
    revision: str
    describe: str
    """For people: where it was read."""
    origin: str
    """The folder it was read from; the same project name read from elsewhere is another project."""


class Reader:
    """Reads one project's source. `request` says how Compose is asked, given the snapshot."""

    def __init__(
        self,
        source: Source,
        request: Callable[[Snapshot], LoadRequest],
        settings: DesiredSettings,
        *,
        follows: Callable[[str, str], bool | None] | None = None,
    ) -> None:
        self._source, self._request, self._settings, self._follows = source, request, settings, follows
        self._head = ""
        self._reading: Reading | None = None
        self._instead: Desired | None = None
        self.last_revision = ""
        """The last revision acted upon, also by an earlier process: history must lead on from it."""

    @property
    def read_head(self) -> str:
        """The head that the present reading is of; empty when there is none or it moved meanwhile."""
        return self._head

    def head(self) -> str:
        """A cheap token that changes when `read` would. Raises SourceError."""
        return self._source.head()

    def watch_paths(self) -> tuple[str, ...]:
        """What a watcher must look at; ask again after each reading."""
        return self._source.watch_paths()

    def read(self) -> Reading:
        """The present reading. Raises SourceError and InputError; the one before then still holds."""
        head = self._source.head()
        if self._reading is not None and head == self._head:
            return self._asked(self._reading)
        snapshot = self._source.read()
        self._check_history(snapshot.revision)
        project = load(self._request(snapshot), snapshot.files)
        self._reading = Reading(
            project=project,
            desired=desired(project, self._settings),
            revision=snapshot.revision,
            describe=snapshot.describe,
            origin=snapshot.root,
        )
        self._head, self.last_revision = self._source.head(), snapshot.revision
        if self._head != head:
            self._head = ""  # it moved while we read: what we have is one consistent revision, but look again
        return self._asked(self._reading)

    def want(self, desired: Desired) -> None:
        """From now on, whatever the files say, this is what is desired: `destroy` wants nothing."""
        self._instead = desired

    def _asked(self, reading: Reading) -> Reading:
        return reading if self._instead is None else replace(reading, desired=self._instead)

    def _check_history(self, revision: str) -> None:
        if self._follows is None or not self.last_revision or self.last_revision == revision:
            return
        if self._follows(self.last_revision, revision) is False:
            raise SourceError(
                f"history was rewritten: {revision[:12]} does not follow {self.last_revision[:12]}, which was applied. "
                "Nothing changes until it does; to follow it anyway set `allow_rewrite: true` for this project"
            )
