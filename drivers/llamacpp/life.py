"""What of a deployment lives on this host, and why what does not has ended. Looks only."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass

from drivers.base import Deployment, Observation, Phase
from drivers.llamacpp import log, process
from drivers.llamacpp.health import handle
from drivers.llamacpp.record import RunRecord, decode_deployment
from drivers.llamacpp.rundir import RunFolder, Unreadable
from drivers.llamacpp.starter import RECORD_MARK


@dataclass(frozen=True, slots=True)
class Life:
    """`seen`: its process; `held`: somebody holds its lock, so it lives or is being started."""

    seen: process.Seen | None
    held: bool


def life_of(deployment: Deployment, folder: RunFolder) -> Life:
    """The recorded process, if it is that one; else whoever carries the marker."""
    record = read(folder)
    if record is not None and record.pid is not None and record.boot == process.boot_id():
        process.exit_status(record.pid)  # reaps it, should it be a dead child of ours
        seen = process.look(record.pid)
        if seen is not None and seen.ticks == record.ticks and _is_of(seen, deployment):
            return Life(seen, held=True)
    # The lock is asked before the processes: who starts one holds it until the process can be seen.
    held = folder.is_locked()
    return Life(min(processes_of(deployment), key=lambda seen: (seen.ticks, seen.pid), default=None), held)


def processes_of(deployment: Deployment) -> Iterator[process.Seen]:
    """All processes that carry the deployment's markers: the server, and whatever it started."""
    return (seen for seen in process.marked() if _is_of(seen, deployment))


def _is_of(seen: process.Seen, deployment: Deployment) -> bool:
    """By id and lineage: a state that was copied to make a second one has the same ids in it."""
    return (seen.marks.get(process.MARKER), seen.marks.get(process.LINEAGE)) == (deployment.id, deployment.lineage)


def ended(folder: RunFolder, record: RunRecord) -> Observation:
    """A recorded server that no longer lives. ABSENT where starting it again is the answer, FAILED where it is not."""
    if record.pid is None:
        return Observation(phase=Phase.ABSENT, detail="its start was prepared and not made")
    if record.boot != process.boot_id():
        return Observation(phase=Phase.ABSENT, detail="this host was restarted")
    if log.port_was_taken(folder.log):
        return Observation(phase=Phase.ABSENT, detail="another program took its port")
    dying = process.is_dying(record.pid, record.ticks)
    status = process.exit_status(record.pid)
    if status is None and dying:
        # Between its last breath and its status there is a moment, longer for a large model.
        phase = Phase.DEGRADED if folder.is_ready() else Phase.CREATING
        return Observation(phase=phase, detail="the server is ending", handle=handle(record), look_again_s=0.02)
    how = "ended" if status is None else process.describe(status)
    if status in (None, -signal.SIGKILL) and process.oom_kills() > record.oom_kills:
        how += " (this host ran out of memory)"
    last = log.reason(folder.log, guess=not folder.is_ready())
    return Observation(
        phase=Phase.FAILED,
        detail=f"llama-server {how}{': ' + last if last else ''}",
        handle=handle(record),
        spec_digest=record.deployment.spec.digest,
    )


def read(folder: RunFolder) -> RunRecord | None:
    """The record; one that cannot be understood reads as none, and `observe` says so."""
    try:
        return folder.read()
    except Unreadable:
        return None


def deployment_of(seen: process.Seen) -> Deployment | None:
    """What a process says it is, None where its marks are not ours to read."""
    try:
        return decode_deployment(json.loads(seen.marks[RECORD_MARK]))
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
