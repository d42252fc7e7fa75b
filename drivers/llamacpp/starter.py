"""The one start of a deployment's server: everything that is decided, checked and written before the process exists.

The order is the safety: folder, lock, key, record, process, pid. Whoever dies in between leaves either nothing that
runs, or a process that holds the lock and carries the marker, by which the next one finds it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from drivers import flags, values
from drivers.base import Deployment, ModelSpec
from drivers.errors import Ambiguous, Denied, Exhausted
from drivers.llamacpp import command, find, host, memory, options, process
from drivers.llamacpp.models import ModelFile
from drivers.llamacpp.record import RunRecord, encode_deployment
from drivers.llamacpp.rundir import RunFolder
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

    def begin(
        self, deployment: Deployment, folder: RunFolder, file: ModelFile, lock: int, previous: RunRecord | None
    ) -> RunRecord:
        """Start the server under a lock that the caller holds, and return its record at once.

        Raises Denied where there is no llama-server, Exhausted where memory or ports do not suffice, Rejected where the
        spec cannot be expressed, Ambiguous where the server was started and that could not be written down.
        """
        server = find.find_server(self.settings)
        environment = self._environment(deployment, folder)
        have = host.survey(server, environment)
        _check_fit(deployment.spec, file, have)
        record = self._record(deployment, file, previous)
        words = command.build(
            deployment.spec,
            file,
            _place(record, folder),
            offload=bool(have.devices),
            knows=lambda option: find.knows(server, option),
        )
        argv = (str(server), *words)
        record = replace(record, argv_digest=hashlib.sha256(json.dumps(argv).encode()).hexdigest()[:12])
        if record.keyed:
            folder.key()
        folder.clear_marks()
        folder.write(record)
        return self._spawn(argv, environment, folder, lock, record)

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

    def _record(self, deployment: Deployment, file: ModelFile, previous: RunRecord | None) -> RunRecord:
        address = options.address(deployment.spec, self.settings)
        port = host.free_port(address, deployment.name, self._kept_port(previous))
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
            boot=process.boot_id(),
            started_at=self.clock().isoformat(timespec="seconds"),
            started_tick_s=self.monotonic(),
            oom_kills=process.oom_kills(),
        )

    @staticmethod
    def _kept_port(previous: RunRecord | None) -> int | None:
        """After a reboot the old address is kept, so that no service needs a restart."""
        return previous.port if previous is not None and previous.boot != process.boot_id() else None

    def _environment(self, deployment: Deployment, folder: RunFolder) -> dict[str, str]:
        """Built from nothing: LLAMA_ARG_*, GGML_BACKEND_PATH, LD_PRELOAD and credentials of ours stay with us."""
        own = {"PATH": _PATH, "HOME": str(folder.home), "TMPDIR": str(folder.home), "LANG": "C.UTF-8"}
        marks = {process.MARKER: deployment.id, "CMR_LINEAGE": deployment.lineage}
        record = json.dumps(encode_deployment(deployment), separators=(",", ":"))
        if len(record) < LARGEST_MARK:
            marks[RECORD_MARK] = record
        return own | dict(self.settings.server_environment) | marks


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


def _check_fit(spec: ModelSpec, file: ModelFile, have: host.Host) -> None:
    _check_wishes(spec, have)
    wanted = command.sizes(spec, file)
    cache_k, cache_v = (
        flags.value_of(spec.runtime_flags, f"--cache-type-{kind}")
        or spec.options.get(f"llamacpp.cache-type-{kind}", "f16")
        for kind in ("k", "v")
    )
    need = memory.need(file.header, wanted.total_context, cache_k=cache_k, cache_v=cache_v)
    layers = spec.options.get("llamacpp.gpu-layers")
    share = memory.layers_on_devices(file.header, layers) if have.devices else 0.0
    if share:
        split = [float(part) for part in spec.options.get("llamacpp.tensor-split", "").split(",") if part.strip()]
        free = memory.usable([device.free_bytes for device in have.devices], split)
        _refuse_shortage(memory.shortage(need.share(share), free, "the GPU", context=wanted.total_context))
    if share < 1:
        rest = need.share(1 - share)
        _refuse_shortage(memory.shortage(rest, have.free_bytes, "this host", context=wanted.total_context))


def _check_wishes(spec: ModelSpec, have: host.Host) -> None:
    """`cloud.memory`, `cloud.accelerator` and `cloud.accelerator-memory`, against what this host has."""
    if text := spec.options.get("cloud.memory"):
        least = values.sizes(text).low
        if have.total_bytes < least:
            raise Exhausted(f"cloud.memory: this host has {have.total_bytes / 1e9:.0f} GB, {least / 1e9:.0f} are asked")
    text = spec.options.get("cloud.accelerator")
    if text and not any(_has(have.devices, wish) for wish in values.accelerators(text)):
        titles = ", ".join(device.title for device in have.devices) or "none that llama-server can use"
        raise Exhausted(f"cloud.accelerator: {text} is asked, the accelerators of this host: {titles}")
    if text := spec.options.get("cloud.accelerator-memory"):
        total = sum(device.total_bytes for device in have.devices) / 1e9
        wanted = values.read("range", text)
        if isinstance(wanted, values.Range) and total < wanted.low:
            raise Exhausted(f"cloud.accelerator-memory: {wanted.low:g} GB are asked, this host has {total:.0f} GB")


def _has(devices: tuple[host.Device, ...], wish: values.Accelerator) -> bool:
    parts = wish.name.lower().replace("_", "-").split("-")
    titles = (device.title.lower() for device in devices)
    return sum(all(part in title for part in parts) for title in titles) >= wish.count


def _refuse_shortage(text: str) -> None:
    if text:
        raise Exhausted(f"the model does not fit: {text}")
