"""From a source to what is desired: read, load, resolve. Reads nothing anew while the source's head stays the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from reconciler.compose.load import LoadRequest, load
from reconciler.compose.project import Project
from reconciler.desired import Desired, DesiredSettings, desired
from reconciler.errors import SourceError
from reconciler.render.environments import check_variables
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
    """The project's folder; the same project name read from another one is another project."""


class Reads(Protocol):
    """What an engine needs: the present reading, as often as it asks."""

    def read(self) -> Reading:
        """Raises SourceError and InputError; the reading before then still holds."""
        ...


@dataclass(frozen=True, slots=True)
class Pinned:
    """One reading for good: a person agreed to the plan that was made of it, and to no other."""

    reading: Reading

    def read(self) -> Reading:
        return self.reading


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
            return self._reading
        snapshot = self._source.read()
        self._check_history(snapshot.revision)
        project = load(self._request(snapshot), snapshot.files)
        wanted = desired(project, self._settings)
        # A variable that two models claim is refused now, not when both of them run.
        check_variables(project, api_key_vars(wanted))
        self._reading = Reading(
            project=project,
            desired=wanted,
            revision=snapshot.revision,
            describe=snapshot.describe,
            origin=project.working_dir,
        )
        self._head, self.last_revision = self._source.head(), snapshot.revision
        if self._head != head:
            self._head = ""  # it moved while we read: what we have is one consistent revision, but look again
        return self._reading

    def _check_history(self, revision: str) -> None:
        if self._follows is None or not self.last_revision or self.last_revision == revision:
            return
        if self._follows(self.last_revision, revision) is False:
            raise SourceError(
                f"history was rewritten: {revision[:12]} does not follow {self.last_revision[:12]}, which was applied. "
                "Nothing changes until it does; to follow it anyway set `allow_rewrite: true` for this project"
            )


def api_key_vars(desired: Desired) -> dict[str, str]:
    """By model key, where the file names a variable of its own for the key."""
    named = ((key, model.options.get("cloud.api-key-var")) for key, model in desired.judged.items())
    return {key: option.text for key, option in named if option is not None}
