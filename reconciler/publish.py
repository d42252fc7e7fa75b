"""Where the models answer, written for those who want to know: the override file and the services' env files.

<override>                     for docker compose, last in its list of files
<values>/<service>.env         the same variables for whatever is not Compose; a changed one means a changed service
<values>/keys/<service>.env    the keys that the override file refers to, mode 0600
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from drivers.base import Endpoint
from reconciler.compose.project import Project
from reconciler.errors import ReconcilerError
from reconciler.ports import Published
from reconciler.render.environments import ServiceEnvironment, service_environments
from reconciler.render.text import env_body, key_body, override_body
from reconciler.stamp import parse
from reconciler.write import (
    Damaged,
    NotOurs,
    NotWritten,
    Stamp,
    Written,
    check_ours,
    read_stamp,
    remove_ours,
    stamp_epoch,
    write_fenced,
)
from state.record import OutputRecord

OVERRIDE_NAME = "compose.models.yaml"
_LONGEST_NAME = 100
"""File systems take 255 bytes, and backups and drafts add to the name."""


@dataclass(frozen=True, slots=True)
class Places:
    """Absolute paths. The values hold keys, so they lie outside the repository by default."""

    override: Path
    values: Path


def values_file(values: Path, service: str, folder: str = "") -> Path:
    """Where a service's file lies. A name may hold capitals and dots; whatever else it holds stays in the folder."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", service)[:_LONGEST_NAME]
    if safe != service or not safe or safe.startswith("."):
        safe += "-" + hashlib.sha256(service.encode()).hexdigest()[:8]
    return values / folder / f"{safe.lstrip('.')}.env"


class FileOutputs:
    """The production `Outputs`: files on this host."""

    def __init__(self, places: Places) -> None:
        self._places = places

    @property
    def places(self) -> Places:
        return self._places

    def publish(
        self,
        project: Project,
        endpoints: Mapping[str, Endpoint],
        api_key_vars: Mapping[str, str],
        stamp: Stamp,
        *,
        now: datetime,
        recorded: Mapping[str, OutputRecord],
    ) -> Published:
        """Keys first, then values, then the override file that refers to them: what it names always exists."""
        environments = service_environments(project, endpoints, api_key_vars)
        if not environments and not recorded and not _is_ours(self._places.override, stamp):
            return Published()
        writing = _Writing(stamp, now, recorded)
        keyed = self._write_all_keys(writing, environments)
        for environment in environments:
            writing.write(
                values_file(self._places.values, environment.name), env_body(environment), 0o600, environment.name
            )
        body = override_body(environments, keyed.get, sorted(project.providers))
        writing.write(self._places.override, body, 0o644)
        self._remove_stale(writing, recorded)
        return Published(
            outputs=tuple(writing.outputs),
            changed_services=tuple(writing.changed_services(project)),
            incomplete=tuple(each.name for each in environments if each.missing),
            cautions=(
                *(str(caution) for each in environments if each.active for caution in each.cautions),
                *writing.cautions,
            ),
            repaired=tuple(writing.repaired),
        )

    def highest_epoch(self) -> int:
        return max((stamp.epoch for path in self._paths() if isinstance(stamp := read_stamp(path), Stamp)), default=0)

    def highest_serial(self, *, lineage: str, project: str) -> int:
        stamps = (stamp for path in self._paths() if isinstance(stamp := read_stamp(path), Stamp))
        return max((each.serial for each in stamps if (each.lineage, each.project) == (lineage, project)), default=0)

    def check(self, *, lineage: str, project: str) -> None:
        refuse_foreign(self._places.override)
        for path in self._paths():
            check_ours(path, Stamp(lineage, project, epoch=sys.maxsize, serial=0))

    def claim(self, stamp: Stamp) -> None:
        for path in self._paths():
            if _is_ours(path, stamp):
                stamp_epoch(path, stamp)

    def _paths(self) -> tuple[Path, ...]:
        values = self._places.values
        return (self._places.override, *values.glob("*.env"), *values.glob("keys/*.env"))

    def mentions(self, endpoint: Endpoint) -> bool:
        """By host and port for an address of this host, which every network sees under another name."""
        parts = urlsplit(endpoint.url)
        needle = f":{parts.port}/" if endpoint.on_this_host and parts.port else endpoint.url
        return any(needle in _text_of(path, otherwise=needle) for path in self._paths())

    def says(self, output: OutputRecord) -> bool:
        try:
            body = parse(Path(output.path).read_bytes(), 0).body
        except OSError:
            return False
        return _checksum(body) == output.checksum

    def _write_all_keys(self, writing: _Writing, environments: Sequence[ServiceEnvironment]) -> dict[str, str]:
        """The key files of services that need one, by service. A key that cannot be read leaves that service's file as
        it is, and everybody else's alone."""
        keyed = {}
        for each in environments:
            if not each.key_variables:
                continue
            path = values_file(self._places.values, each.name, "keys")
            try:
                pairs = {variable: _read_key(Path(file)) for variable, file in each.key_variables.items()}
                writing.write(path, key_body(pairs), 0o600, each.name)
            except UnreadableKey as error:
                writing.keep(path, str(error))
            if path.exists():
                keyed[each.name] = str(path)
        return keyed

    def _remove_stale(self, writing: _Writing, recorded: Mapping[str, OutputRecord]) -> None:
        """Files of services that want no model any more. One that cannot be removed now is tried again later."""
        present = {output.path for output in writing.outputs}
        for path in sorted(recorded.keys() - present):
            try:
                # A folder that somebody removed took the file along, and what somebody put in its place is not ours.
                if _is_ours(Path(path), writing.stamp):
                    remove_ours(Path(path), writing.stamp, now=writing.now)
            except NotWritten as error:
                writing.keep(Path(path), str(error))


class _Writing:
    """One run over the files: what was written, and whose values changed."""

    def __init__(self, stamp: Stamp, now: datetime, recorded: Mapping[str, OutputRecord]) -> None:
        self.stamp, self.now = stamp, now
        self._recorded = recorded
        self.outputs: list[OutputRecord] = []
        self.repaired: list[str] = []
        self.cautions: list[str] = []

    def keep(self, path: Path, why: str) -> None:
        """A file that stays as it is, and ours."""
        self.cautions.append(why)
        if str(path) in self._recorded:
            self.outputs.append(self._recorded[str(path)])

    def write(self, path: Path, body: str, mode: int, service: str = "") -> None:
        _make_folder(path.parent)
        written: Written = write_fenced(path, body, self.stamp, now=self.now, mode=mode)
        if written.backup is not None:
            self.repaired.append(f"{path} had been edited; the edited version is {written.backup}")
        old = self._recorded.get(str(path))
        checksum = _checksum(body)
        if old is not None and old.checksum == checksum:
            self.outputs.append(old)
        else:
            fresh = OutputRecord(path=str(path), checksum=checksum, written_at=self.now, service=service)
            self.outputs.append(replace(fresh, applied=old.applied) if old is not None else fresh)

    def changed_services(self, project: Project) -> Iterator[str]:
        """Active services of which a file says something else than the record does."""
        for service in sorted({output.service for output in self.outputs if self._is_news(output)}):
            if service in project.services and project.services[service].active:
                yield service

    def _is_news(self, output: OutputRecord) -> bool:
        old = self._recorded.get(output.path)
        return old is None or old.checksum != output.checksum


class UnreadableKey(ReconcilerError):
    """The key of a model is not where its server left it."""


def refuse_foreign(override: Path) -> None:
    """Before anything is begun: raises NotOurs where the override file could not be written in the end anyway."""
    if read_stamp(override) is None and os.path.lexists(override):
        raise NotOurs(
            f"{override} is there and was not written by us: move it away, or choose another with --output (the "
            "service: `output:`)"
        )


def clear_away(paths: Iterable[Path], stamp: Stamp, *, now: datetime) -> Iterator[str]:
    """Remove those of the files that are ours, and the folders that this leaves empty in the service's own; a sentence
    for each that has to stay."""
    values = set[Path]()
    for path in paths:
        try:
            if path.parent.is_dir():
                remove_ours(path, stamp, now=now)
        except ReconcilerError as error:
            yield str(error)
        if path.suffix == ".env":
            values.add(path.parent)
    for folder in sorted(values, key=lambda folder: len(folder.parts), reverse=True):
        with suppress(OSError):  # not empty, or gone
            folder.rmdir()


def _is_ours(path: Path, stamp: Stamp) -> bool:
    """Whether a file of this project and state stands there, under whichever lease."""
    found = read_stamp(path)
    return isinstance(found, Damaged) or (
        isinstance(found, Stamp) and (found.lineage, found.project) == (stamp.lineage, stamp.project)
    )


def _checksum(body: str) -> str:
    """Of what a file says, as the record has it."""
    return hashlib.sha256(body.encode()).hexdigest()


def _make_folder(folder: Path) -> None:
    try:
        for each in (*reversed(folder.parents), folder):  # `parents=True` would give those in between another mode
            if not each.is_dir():
                each.mkdir(mode=0o700, exist_ok=True)
    except OSError as exc:
        raise NotWritten(f"the folder {folder} cannot be made: {exc.strerror}") from exc


def _text_of(path: Path, *, otherwise: str) -> str:
    """What a file says; `otherwise` where that cannot be found out, because nothing is deleted on ignorance."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError:
        return otherwise


def _read_key(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").splitlines()[0]
    except (OSError, IndexError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it holds no text"  # the text itself is a secret
        raise UnreadableKey(
            f"the key of a model cannot be read from {file}: {why}; its services keep what they have"
        ) from exc
