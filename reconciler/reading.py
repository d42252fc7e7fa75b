"""From a source to what is desired: read, load, resolve. Reads nothing anew while the source's head stays the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from reconciler.compose.load import LoadRequest, load
from reconciler.compose.project import Project
from reconciler.desired import Desired, DesiredSettings, desired
from reconciler.errors import InputError, SourceError
from reconciler.render.environments import check_variables
from reconciler.source import Snapshot, Source

if TYPE_CHECKING:
    from reconciler.compose.files import Files


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

    def recall(self) -> Reading | None:
        """The last good reading, be it of an earlier process; None where there is none or it cannot be had."""
        ...

    def committed(self, path: str) -> bytes | None:
        """What the last reading has at the path of a file that it was made of, where the disk may have something else;
        None where the disk is the source. Raises SourceError and InputError."""
        ...


@dataclass(frozen=True, slots=True)
class Pinned:
    """One reading for good: a person agreed to the plan that was made of it, and to no other."""

    reading: Reading

    def read(self) -> Reading:
        return self.reading

    def recall(self) -> Reading:
        return self.reading

    def committed(self, path: str) -> bytes | None:
        return None  # a person looked at the files as they lie


class Reader:
    """Reads one project's source. `request` says how Compose is asked, given the snapshot. A source that keeps what it
    once held is asked for an earlier revision with `at`."""

    def __init__(
        self,
        source: Source,
        request: Callable[[Snapshot], LoadRequest],
        settings: DesiredSettings,
        *,
        follows: Callable[[str, str], bool | None] | None = None,
        at: Callable[[str], Source] | None = None,
    ) -> None:
        self._source, self._request, self._settings, self._follows = source, request, settings, follows
        self._at = at
        self._files: Files | None = None
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
        self._reading = self._understand(snapshot)
        self._head, self.last_revision = self._source.head(), snapshot.revision
        if self._head != head:
            self._head = ""  # it moved while we read: what we have is one consistent revision, but look again
        return self._reading

    def recall(self) -> Reading | None:
        """See `Reads.recall`. The source is read anew as before: what is recalled is no present reading."""
        if self._reading is None and self._at is not None and self.last_revision:
            with suppress(
                SourceError, InputError
            ):  # its history was pruned, or it asks for what is not allowed any more
                source = self._at(self.last_revision)
                with closing(source):
                    self._reading = self._understand(source.read())
        return self._reading

    def committed(self, path: str) -> bytes | None:
        """See `Reads.committed`."""
        return None if self._files is None else self._files.read(path)

    def _understand(self, snapshot: Snapshot) -> Reading:
        project = load(self._request(snapshot), snapshot.files)
        wanted = desired(project, self._settings)
        # A variable that two models claim is refused now, not when both of them run.
        check_variables(project, api_key_vars(wanted))
        self._files = snapshot.files if self._at is not None else None
        return Reading(
            project=project,
            desired=wanted,
            revision=snapshot.revision,
            describe=snapshot.describe,
            origin=project.working_dir,
        )

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
