"""A llama.cpp platform of a test's own: a run root, a shelf with a real model, real servers, all stopped at the end."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from drivers.base import Deployment, ModelSpec, Observation, Phase
from drivers.errors import DriverError
from drivers.llamacpp import process
from drivers.llamacpp.driver import LlamaCppDriver
from drivers.llamacpp.record import RunRecord
from drivers.llamacpp.rundir import RunFolder
from drivers.llamacpp.settings import LlamaCppSettings
from drivers.modelstore.gguf import GgufHeader, read_header
from drivers.naming import external_name
from tests import builders, parts

PATIENCE_S = 60.0
"""Real seconds: a machine that runs other tests beside these may be slow, and none of them needs nearly as long."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A model file as a store hands it out."""

    path: Path
    header: GgufHeader
    mmproj: Path | None = None
    chat_template: Path | None = None
    context_size: int | None = None


@dataclass(kw_only=True)
class Pull:
    state: str = "idle"
    done_bytes: int = 0
    total_bytes: int | None = None
    error: DriverError | None = None


@dataclass
class Shelf:
    """A model store in memory: what lies on it is here, everything else would have to be pulled."""

    files: dict[str, File]
    pull: Pull = field(default_factory=Pull)
    pulled: list[str] = field(default_factory=list)

    def find(self, reference: str) -> File | None:
        return self.files.get(reference)

    def start_pull(self, reference: str) -> None:
        self.pulled.append(reference)
        self.pull.state = "running"

    def pull_status(self, reference: str) -> Pull:
        return self.pull


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def real_file(path: Path | None = None) -> File:
    """SmolLM2, or another GGUF file."""
    path = (path or parts.smollm2()).resolve()
    return File(path=path, header=read_header(path))


class Llamas:
    """The harness. `settings` overrides fields of the settings."""

    def __init__(self, root: Path, *, monotonic: Callable[[], float] = time.monotonic, **settings: Any) -> None:
        given = {"run_root": root / "run", "server": parts.llama_server()} | settings
        self.settings = LlamaCppSettings(**given)
        self.shelf = Shelf({"ai/smollm2": real_file()})
        self.monotonic = monotonic
        # Real ids of this run, so that two runs on one machine never take each other's servers for their own.
        self.lineage = os.urandom(4).hex() + builders.LINEAGE[8:]
        self.driver = self.after_a_crash()

    def after_a_crash(self) -> LlamaCppDriver:
        return LlamaCppDriver(self.settings, self.shelf, monotonic=self.monotonic)

    def deployment(self, number: int = 1, spec: ModelSpec | None = None, **given: Any) -> Deployment:
        """A deployment of SmolLM2 with a small context; `given` are fields of its spec."""
        spec = spec or builders.model_spec(**({"context_size": 512} | given))
        made = builders.deployment(number, lineage=self.lineage, spec=spec)
        return replace(made, name=external_name(self.lineage, made.model, made.id))

    def refused_spec(self) -> ModelSpec:
        return builders.model_spec(runtime_flags=("--log-file", "/tmp/x"))

    def folder(self, deployment: Deployment) -> RunFolder:
        return RunFolder(self.settings.run_root / deployment.name)

    def record(self, deployment: Deployment) -> RunRecord:
        record = self.folder(deployment).read()
        assert record is not None
        return record

    def processes(self, deployment: Deployment) -> list[process.Seen]:
        return [
            seen for seen in process.marked() if seen.marks[process.MARKER] == deployment.id and self._is_here(seen)
        ]

    def things(self, deployment: Deployment) -> int:
        return len(self.processes(deployment))

    def occupy(self, deployment: Deployment) -> Callable[[], bool]:
        stranger = replace(deployment, id=builders.deployment_id(999), lineage=builders.LINEAGE)
        folder = self.folder(deployment)
        folder.prepare()
        folder.write(RunRecord(deployment=stranger, host="127.0.0.1", port=1, model_id="x"))
        before = (folder.path / "deployment.json").read_bytes()
        return lambda: (folder.path / "deployment.json").read_bytes() == before

    def until(self, ask: Callable[[Deployment], Observation], deployment: Deployment, *phases: Phase) -> Observation:
        seen: list[str] = []
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            observation = ask(deployment)
            if observation.phase in phases:
                return observation
            seen.append(f"{observation.phase.value}: {observation.detail}")
            time.sleep(min(observation.look_again_s or 0.02, 0.05))
        raise AssertionError(f"waited for {phases}, saw {list(dict.fromkeys(seen))}")

    def ready(self, number: int = 1, **given: Any) -> tuple[Deployment, Observation]:
        """A deployment that was created and is READY."""
        deployment = self.deployment(number, **given)
        self.driver.create(deployment)
        return deployment, self.until(self.driver.observe, deployment, Phase.READY)

    def gone(self, deployment: Deployment) -> None:
        """Wait until no process of the deployment is left."""
        deadline = time.monotonic() + PATIENCE_S
        while self.processes(deployment) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not self.processes(deployment)

    def close(self) -> None:
        """Kill what is left, whatever state a test left it in."""
        for seen in process.marked():
            if self._is_here(seen):
                process.send(seen, signal.SIGKILL)
        shutil.rmtree(self.settings.run_root, ignore_errors=True)

    def _is_here(self, seen: process.Seen) -> bool:
        return seen.marks.get("CMR_LINEAGE") == self.lineage


@contextmanager
def llamas(root: Path, **settings: Any) -> Iterator[Llamas]:
    """A platform that is gone afterwards."""
    platform = Llamas(root, **settings)
    try:
        yield platform
    finally:
        platform.close()


def freeze(server: process.Seen) -> None:
    """Stop a process as SIGSTOP does, and wait until it has stopped."""
    process.send(server, signal.SIGSTOP)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
            return
        time.sleep(0.005)
    raise AssertionError(f"{server.pid} does not stop")


def environment_of(pid: int) -> Mapping[str, str]:
    """The environment a process was started with."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(entry.decode().split("=", 1) for entry in entries if entry)


def words_of(pid: int) -> list[str]:
    """The command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
