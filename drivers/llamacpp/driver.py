"""llama-server on this host as a platform: the driver's contract, kept with folders, locks and processes.

Every method looks first (`life`), and what it finds decides: a server that lives is adopted whoever started it, one
that is gone is reported with its last words, and nothing is started while the lock is held by anybody.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from drivers.base import Capabilities, Deployment, Finding, ModelSpec, Observation, Phase, unknown
from drivers.errors import DriverError, Taken, Unavailable
from drivers.llamacpp import command, find, log, options, process
from drivers.llamacpp.edge import at_edge
from drivers.llamacpp.health import Health, creating
from drivers.llamacpp.keys import forget_with_the_last
from drivers.llamacpp.life import deployment_of, ended, life_of, processes_of, read
from drivers.llamacpp.models import ModelFile, ModelFiles
from drivers.llamacpp.record import RunRecord
from drivers.llamacpp.rundir import RunFolder, Unreadable, folders
from drivers.llamacpp.settings import LlamaCppSettings
from drivers.llamacpp.starter import Starter, note_process

GENTLE_S = 10.0
"""Seconds between asking a server to stop and making it."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_FOREIGN = Observation(phase=Phase.ABSENT, detail="a folder of its name belongs to another deployment", foreign=True)


@dataclass(slots=True)
class _Memory:
    """What only this process knows; after its death it is found out anew."""

    asked: set[str] = field(default_factory=set)
    """Deployments for which a pull was asked here."""
    stopping: dict[str, float] = field(default_factory=dict)
    """When servers without a folder were asked to stop."""


class LlamaCppDriver:
    """The local platform. `clock` stamps starts for people; `monotonic`, in seconds, measures patience."""

    name = "llamacpp"
    capabilities = Capabilities(
        local=True, settle_s=0.0, delete_again_s=0.0, startup_timeout_s=1800.0, degraded_grace_s=10.0
    )

    def __init__(
        self,
        settings: LlamaCppSettings,
        models: ModelFiles,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
        start: process.Start = process.start,
    ) -> None:
        self._settings = settings
        self._models = models
        self._root = settings.run_root.absolute()
        self._monotonic = monotonic
        self._starter = Starter(settings=settings, clock=clock, monotonic=monotonic, start=start)
        self._health = Health(settings.health_timeout_s, settings.answer_timeout_s)
        self._memory = _Memory()

    def check(self, spec: ModelSpec) -> tuple[Finding, ...]:
        """See `Driver.check`."""
        return options.check(spec, self._settings)

    def observe(self, deployment: Deployment) -> Observation:
        """What the folder, the lock and the process say. Starts, stops and removes nothing."""
        with at_edge("observing", deployment):
            return self._observe(deployment)

    def observe_many(self, deployments: Sequence[Deployment]) -> Mapping[str, Observation]:
        """`observe` for each: on one host that is as cheap as a listing. One that fails reads as UNKNOWN."""
        if len(deployments) < 2:
            return {deployment.id: self._observe_or_unknown(deployment) for deployment in deployments}
        from concurrent.futures import ThreadPoolExecutor

        # Side by side: a hung server takes its time to be recognised, and the others must not wait for it.
        with ThreadPoolExecutor(max_workers=min(16, len(deployments))) as pool:
            seen = pool.map(self._observe_or_unknown, deployments)
            return {deployment.id: observation for deployment, observation in zip(deployments, seen, strict=True)}

    def create(self, deployment: Deployment) -> Observation:
        """Start its server, or the pull of its model. A server that lives already is adopted, never doubled."""
        with at_edge("creating", deployment):
            options.refuse(deployment.spec, self._settings)
            folder = self._folder(deployment)
            if _is_foreign(read(folder), deployment):
                raise Taken(f"creating {deployment.name}: {folder.path} belongs to another deployment; left alone")
            if life_of(deployment, folder).seen is not None:
                return self._adopt(deployment, folder)
            find.find_server(self._settings)  # before a long pull that would be for nothing
            file = self._models.find(command.reference(deployment.spec))
            if file is None:
                return self._pull(deployment)
            folder.prepare()
            lock = folder.try_lock()
            if lock is None:
                return self._adopt(deployment, folder)
            try:
                return self._start(deployment, folder, file, lock)
            finally:
                os.close(lock)

    def update(self, deployment: Deployment) -> Observation:
        """Nothing can change in a running server: a changed spec is a new deployment."""
        return self.observe(deployment)

    def delete(self, deployment: Deployment) -> Observation:
        """Ask the server to stop, on a later call make it, and at last remove the folder. Never waits."""
        with at_edge("deleting", deployment):
            folder = self._folder(deployment)
            if _is_foreign(read(folder), deployment):
                return _FOREIGN
            self._memory.asked.discard(deployment.id)
            self._health.silences.pop(deployment.id, None)
            living = list(processes_of(deployment))
            if living:
                return self._stop(deployment, folder, living)
            return self._remove(deployment, folder)

    def in_flight(self, deployment: Deployment) -> int | None:
        """See `Driver.in_flight`."""
        folder = self._folder(deployment)
        try:
            record = read(folder)
            return None if record is None else self._health.in_flight(folder, record)
        except OSError:
            return None

    def owned(self, lineage: str) -> Iterable[Deployment]:
        """Every folder of the lineage in which there is anything, and every server whose folder vanished."""
        found: dict[str, Deployment] = {}
        for folder in folders(self._root):
            try:
                record = folder.read()
            except (Unreadable, OSError) as trouble:
                raise Unavailable(f"listing {self._root}: {trouble}") from trouble
            if record is None or record.deployment.lineage != lineage:
                continue
            if self._is_anything(record.deployment, folder):
                found[record.deployment.id] = record.deployment
        for seen in process.marked():
            stray = deployment_of(seen)
            if stray is not None and stray.lineage == lineage:
                found.setdefault(stray.id, stray)
        return tuple(found.values())

    def logs(self, deployment: Deployment, lines: int = 200) -> Iterable[str]:
        """The last lines the server printed."""
        with at_edge("reading the log of", deployment):
            return log.tail(self._folder(deployment).log, lines)

    def _observe(self, deployment: Deployment) -> Observation:
        folder = self._folder(deployment)
        try:
            record = folder.read()
        except Unreadable as torn:
            return Observation(phase=Phase.FAILED, detail=str(torn))
        if _is_foreign(record, deployment):
            return _FOREIGN
        life = life_of(deployment, folder)
        since = folder.stopping_since()
        if since is not None:
            detail = "the server is stopping" if life.seen else "the server has stopped"
            return _leaving(detail, self._monotonic() - since)
        if record is None and life.seen is not None:
            return Observation(phase=Phase.FAILED, detail="the server runs and its folder is gone")
        if record is not None and life.seen is not None:
            return self._health.observe(folder, record, self._monotonic() - record.started_tick_s)
        if life.held and (record is None or record.pid is None):
            return Observation(phase=Phase.CREATING, detail="the server is being started", look_again_s=0.05)
        return self._not_started(deployment) if record is None else ended(folder, record)

    def _is_anything(self, deployment: Deployment, folder: RunFolder) -> bool:
        """Whether more than a folder is left of it. A server that lives is not asked how it is: it might hang."""
        if life_of(deployment, folder).seen is not None:
            return True
        return self.observe(deployment).phase is not Phase.ABSENT

    def _observe_or_unknown(self, deployment: Deployment) -> Observation:
        try:
            return self.observe(deployment)
        except DriverError as trouble:
            return unknown(trouble)

    def _start(self, deployment: Deployment, folder: RunFolder, file: ModelFile, lock: int) -> Observation:
        """Under the lock nobody else starts it: what is seen here holds until it is started, or is not."""
        previous = read(folder)
        if life_of(deployment, folder).seen is not None or folder.stopping_since() is not None:
            return self._observe(deployment)
        if previous is not None and (end := ended(folder, previous)).phase is Phase.FAILED:
            return end
        record = self._starter.begin(deployment, folder, file, lock, previous)
        return creating("the server is starting", record, 0.0)

    def _adopt(self, deployment: Deployment, folder: RunFolder) -> Observation:
        """Somebody started it: note the process for the next one who looks, and say how it is."""
        record, life = read(folder), life_of(deployment, folder)
        if record is not None and life.seen is not None and record.pid != life.seen.pid:
            note_process(folder, record, life.seen.pid)
        return self._observe(deployment)

    def _pull(self, deployment: Deployment) -> Observation:
        self._memory.asked.add(deployment.id)
        self._models.start_pull(command.reference(deployment.spec))
        pulling = self._not_started(deployment)
        if pulling.phase is Phase.ABSENT:  # it was that quick: the caller may go on at once
            return Observation(phase=Phase.CREATING, detail="pulling the model", look_again_s=0.02)
        return pulling

    def _not_started(self, deployment: Deployment) -> Observation:
        """No server yet: how far its model is. ABSENT asks for another create, which takes the next step."""
        reference = command.reference(deployment.spec)
        pull = self._models.pull_status(reference)
        if pull.state == "running":
            share = pull.done_bytes / pull.total_bytes if pull.total_bytes else None
            return Observation(phase=Phase.CREATING, detail="pulling the model", progress=share, look_again_s=0.25)
        if pull.state == "failed" and deployment.id in self._memory.asked:
            return Observation(phase=Phase.FAILED, detail=f"pulling the model: {pull.error or 'it failed'}")
        return Observation(phase=Phase.ABSENT)

    def _stop(self, deployment: Deployment, folder: RunFolder, living: Sequence[process.Seen]) -> Observation:
        now = self._monotonic()
        since = folder.stopping_since() if folder.path.is_dir() else self._memory.stopping.get(deployment.id)
        if since is None:
            if folder.path.is_dir():
                folder.mark_stopping(now)
            self._memory.stopping[deployment.id] = now
        if since is None or now - since >= GENTLE_S:
            number = signal.SIGTERM if since is None else signal.SIGKILL
            for seen in living:
                process.send(seen, number)
        return _leaving("the server is stopping", 0.0 if since is None else now - since)

    def _remove(self, deployment: Deployment, folder: RunFolder) -> Observation:
        self._memory.stopping.pop(deployment.id, None)
        record = read(folder)
        if record is not None and record.pid is not None:
            process.exit_status(record.pid)
        if folder.path.is_dir():
            lock = folder.try_lock()
            if lock is None:
                return _leaving("its lock is still held", 0.0)
            try:
                folder.remove()
            finally:
                os.close(lock)
        forget_with_the_last(deployment, self._root)
        return Observation(phase=Phase.ABSENT)

    def _folder(self, deployment: Deployment) -> RunFolder:
        if not _NAME.fullmatch(deployment.name):
            raise ValueError(f"{deployment.name!r} is not a deployment's name")
        return RunFolder(self._root / deployment.name)


def _leaving(detail: str, for_s: float) -> Observation:
    """On its way out, asked `for_s` seconds ago. Most are gone in a moment; one that hangs takes its ten seconds."""
    return Observation(phase=Phase.DELETING, detail=detail, look_again_s=min(0.5, max(0.05, for_s / 10)))


def _is_foreign(record: RunRecord | None, deployment: Deployment) -> bool:
    if record is None:
        return False
    theirs = record.deployment
    return (theirs.id, theirs.lineage) != (deployment.id, deployment.lineage)
