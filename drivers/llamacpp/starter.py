"""The one start of a deployment's server: everything that is decided, checked and written before the process exists.

The order is the safety: folder, lock, key, record, process, pid. Whoever dies in between leaves either nothing that
runs, or a process that holds the lock and carries the marker, by which the next one finds it.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from drivers.base import Deployment
from drivers.errors import Ambiguous, Denied, Exhausted
from drivers.llamacpp import command, find, fit, host, log, options, process
from drivers.llamacpp.claims import claims
from drivers.llamacpp.keys import kept_key, model_identity
from drivers.llamacpp.models import ModelFile
from drivers.llamacpp.record import RunRecord, encode_deployment
from drivers.llamacpp.rundir import RunFolder, Unreadable, folders
from drivers.llamacpp.settings import LlamaCppSettings

RECORD_MARK = "CMR_RECORD"
"""What a server says it is, should its folder vanish."""
LARGEST_MARK = 100_000
"""The kernel refuses longer variables; a spec of that size is found by its folder alone."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """Starts servers, one at a time per lock. `monotonic` is the kernel's, in seconds: it outlives this process."""

    settings: LlamaCppSettings
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]
    start: process.Start
    deciding: threading.Lock = field(default_factory=threading.Lock)
    """Two that start at once must not be given the same memory and the same port."""

    def begin(
        self, deployment: Deployment, folder: RunFolder, file: ModelFile, lock: int, previous: RunRecord | None
    ) -> RunRecord:
        """Start the server under a lock that the caller holds, and return its record at once.

        Raises Denied where there is no llama-server, Exhausted where memory or ports do not suffice, Rejected where the
        spec cannot be expressed, Ambiguous where the server was started and that could not be written down.
        """
        server = find.find_server(self.settings)
        environment = self._environment(deployment, folder)
        have = fit.narrow(host.survey(server, environment), deployment.spec)
        with self.deciding:
            takes = fit.check(deployment.spec, file, have, claims(folder.path.parent, but=deployment.id))
            record = self._record(deployment, folder, file, previous, takes)
            words = command.build(
                deployment.spec,
                file,
                _place(record, folder),
                offload=bool(have.devices),
                knows=lambda option: find.knows(server, option),
            )
            self._prepare(folder, record, previous)
        return self._spawn((str(server), *words), environment, folder, lock, record)

    def _prepare(self, folder: RunFolder, record: RunRecord, previous: RunRecord | None) -> None:
        """Everything that must be written before the process exists; the record last: it holds port and memory."""
        kept = kept_key(record.deployment, folder.path.parent)
        if previous is not None and log.port_was_taken(folder.log):
            # Whoever took the port may have been shown the key, by us or by a client.
            folder.key_file.unlink(missing_ok=True)
            kept.unlink(missing_ok=True)
        if record.keyed:
            folder.key(kept)
        folder.clear_marks()
        folder.write(record)

    def _spawn(
        self, argv: tuple[str, ...], environment: Mapping[str, str], folder: RunFolder, lock: int, record: RunRecord
    ) -> RunRecord:
        output = folder.open_log()
        try:
            pid = self.start(
                process.Launch(argv=argv, environment=environment, folder=folder.path, log=output, lock=lock)
            )
        except OSError as refused:
            raise Denied(f"starting {argv[0]}: {refused.strerror}; name another llama-server in {find.VARIABLE}") from (
                refused
            )
        finally:
            os.close(output)
        try:
            return note_process(folder, record, pid)
        except OSError as trouble:
            raise Ambiguous(
                f"starting {record.deployment.name}: it runs as process {pid}, which could not be written down: "
                f"{trouble.strerror}"
            ) from trouble

    def _record(
        self,
        deployment: Deployment,
        folder: RunFolder,
        file: ModelFile,
        previous: RunRecord | None,
        takes: fit.Takes,
    ) -> RunRecord:
        address = options.address(deployment.spec, self.settings)
        preferred, taken = _ports(deployment, folder, previous)
        port = host.free_port(address, model_identity(deployment), preferred, taken)
        if port is None:
            last = host.FIRST_PORT + host.PORTS - 1
            raise Exhausted(f"no port of {address} is free between {host.FIRST_PORT} and {last}")
        return RunRecord(
            deployment=replace(deployment, handle={}),
            host=address,
            port=port,
            model_id=deployment.spec.model,
            purpose=command.purpose(deployment.spec, file),
            keyed=options.needs_key(deployment.spec),
            file=str(file.path),
            weights_bytes=takes.host.weights,
            working_bytes=takes.host.cache + takes.host.work,
            device_bytes=takes.devices.total,
            boot=process.boot_id(),
            started_at=self.clock().isoformat(timespec="seconds"),
            started_tick_s=self.monotonic(),
            oom_kills=process.oom_kills(),
        )

    def _environment(self, deployment: Deployment, folder: RunFolder) -> dict[str, str]:
        """Built from nothing: LLAMA_ARG_*, GGML_BACKEND_PATH, LD_PRELOAD and credentials of ours stay with us."""
        own = {"PATH": _PATH, "HOME": str(folder.home), "TMPDIR": str(folder.home), "LANG": "C.UTF-8"}
        marks = {process.MARKER: deployment.id, process.LINEAGE: deployment.lineage}
        record = json.dumps(encode_deployment(deployment), separators=(",", ":"))
        if len(record) < LARGEST_MARK:
            marks[RECORD_MARK] = record
        return own | dict(self.settings.server_environment) | marks


def _ports(deployment: Deployment, folder: RunFolder, previous: RunRecord | None) -> tuple[list[int], set[int]]:
    """Ports to prefer and ports to leave alone.

    To prefer are those by which services may know this model already: its own from before a reboot, then those of its
    earlier deployments, newest first; one that is free again makes a crash something no service needs a restart for.
    To leave alone are those of servers that live: one that was just started has not taken its port yet.
    """
    own = [previous.port] if previous is not None and previous.boot != process.boot_id() else []
    earlier, taken = [], set()
    for other in folders(folder.path.parent):
        try:
            record = other.read()
        except Unreadable:
            continue
        if record is None or record.deployment.id == deployment.id:
            continue
        if other.is_locked():
            taken.add(record.port)
        elif model_identity(record.deployment) == model_identity(deployment):
            earlier.append((record.deployment.id, record.port))
    return own + [port for _, port in sorted(earlier, reverse=True)], taken


def note_process(folder: RunFolder, record: RunRecord, pid: int) -> RunRecord:
    """Write down which process it is. Also when a server is found that somebody started and did not live to note."""
    process.forbid_core_dumps(pid)
    seen = process.look(pid)
    noted = replace(record, pid=pid, ticks=seen.ticks if seen is not None else 0)
    if noted != record:
        folder.write(noted)
    return noted


def _place(record: RunRecord, folder: RunFolder) -> command.Place:
    return command.Place(
        host=record.host,
        port=record.port,
        aliases=(record.model_id, record.deployment.name),
        key_file=folder.key_file.absolute() if record.keyed else None,
    )
