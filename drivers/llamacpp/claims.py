"""What the other servers of a run root will still take of this host, although it does not show yet. Looks only.

`MemAvailable` lacks what a process has touched and nobody can push out. It does not lack weights that are mapped from
their file: they are page cache, given up for whoever asks, and the server that computes with them then reads its disk
for every token. And it lacks nothing of a server that has only just been started. So of each server that lives we count
what it needs by the estimate it was started with (`memory.need`, written down in its record), less what its process
holds for good by now. That is one rule for those that start and those that serve, mapped or not.

Of devices a server takes its part while it loads; from when it is ready on, they show it themselves.
"""

from __future__ import annotations

from pathlib import Path

from drivers.llamacpp import process
from drivers.llamacpp.fit import Claim
from drivers.llamacpp.record import RunRecord
from drivers.llamacpp.rundir import RunFolder, Unreadable, folders


def claims(run_root: Path, *, but: str) -> tuple[Claim, ...]:
    """Of every server under the root that lives and stays; `but` is the deployment that asks. Raises OSError."""
    found = []
    for folder in folders(run_root):
        try:
            record = folder.read()
        except Unreadable:
            continue
        if record is not None and record.deployment.id != but and _stays(folder):
            found.append(_claim(record, folder))
    return tuple(found)


def _stays(folder: RunFolder) -> bool:
    """One that was asked to stop gives everything back within seconds."""
    return folder.is_locked() and folder.stopping_since() is None


def _claim(record: RunRecord, folder: RunFolder) -> Claim:
    return Claim(
        spec=record.deployment.spec,
        file=record.file,
        weights=record.weights_bytes,
        working=record.working_bytes,
        held=process.held_bytes(record.pid, record.ticks) if record.pid is not None else 0,
        on_devices=0 if folder.is_ready() else record.device_bytes,
    )
