"""Killing a real reconciler at a named point of a change, starting it again, and looking at what became of it.

Used by the tests and the benchmark. A change (`CHANGES`) is prepared once and put back for every kill: the folder of
the lab, the world of the platform. `Way` is how the reconciler runs: as one command, or as the service.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from infra.cloud import docker
from infra.cloud.driver import PLATFORM
from infra.cloud.loopback import TIMING, LoopbackCloud
from infra.lab import Lab, wait_for
from reconciler.settings import MIN_LEASE_TTL_S
from state.open import open_store
from state.record import Recorded
from state.store import StateError

PROJECT = "crash"
CHOICE = {"model": "ai/smollm2", "context_size": 1024, "x-cloud-options": [f"cloud.platform={PLATFORM}"]}
"""What a model says; `rest` says it all the time, and must never be touched."""
RENEWED_AFTER_S = 18.0
"""By then the shortest lease that can be set has been renewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What the file says of the model `llm` before and after; None for nothing."""

    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    roll_out: bool = False
    """Whether the service runs in a container, which is made anew when its values changed."""
    create_s: float = 0.0
    """How long the platform takes for it."""
    only: tuple[str, ...] = ()
    """The effects that it is about; without any, all of them."""


_ANOTHER = CHOICE | {"runtime_flags": ["--temp", "0.5"]}
CHANGES: Mapping[str, Change] = {
    "create": Change(after=CHOICE),
    "update": Change(before=CHOICE, after=CHOICE | {"context_size": 2048}),
    "replace": Change(before=CHOICE, after=_ANOTHER),
    "remove": Change(before=CHOICE),
    "roll-out": Change(before=CHOICE, after=_ANOTHER, roll_out=True),
    "wait": Change(after=CHOICE, create_s=RENEWED_AFTER_S, only=("renew",)),
}


class Way(Enum):
    """How the reconciler is run."""

    ONCE = "reconcile --yes"
    SERVICE = "reconcile serve"


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that was to be killed: its exit status, and what it said."""

    status: int
    said: str


class CrashLab:
    """One change, to be begun anew as often as wanted. A context manager that ends what it started."""

    def __init__(self, folder: Path, environment: Mapping[str, str], change: str) -> None:
        self._folder, self._kept = folder / change, folder / f"{change}-kept"
        self._change = CHANGES[change]
        self._after = self._change.after
        timing = TIMING | ({"lease_ttl": f"{MIN_LEASE_TTL_S}s"} if "renew" in self._change.only else {})
        self.lab = Lab(self._folder, environment, settings={"timing": timing}, roll_out=self._change.roll_out)
        self.cloud = LoopbackCloud(self.lab)
        if self._change.roll_out:
            path = docker.install(str(self._folder))
            self.lab.environment["PATH"] = os.pathsep.join((path, self.lab.environment["PATH"]))
        self._quiet = dict(self.lab.environment)
        self._prepare()

    def _prepare(self) -> None:
        """Everything as before the change, and the change committed."""
        self.lab.git("init", "--quiet", "--initial-branch=main")
        self._write(self._change.before)
        self.recover(Way.ONCE)
        self._write(self._after)
        shutil.copytree(self._folder, self._kept, symlinks=True)
        self.cloud.keep()
        self.cloud.latencies(create_s=self._change.create_s, delete_s=0.0)

    def begin(self) -> None:
        """Back to the moment before the change is acted upon."""
        shutil.rmtree(self._folder)
        shutil.copytree(self._kept, self._folder, symlinks=True)
        self.cloud.restore()

    def trace(self, way: Way) -> tuple[str, ...]:
        """The points that this change is about and passes when nothing happens, numbered: `before-rename:2`."""
        self.begin()
        file = self._folder / "points"
        self.run(way, CMR_POINTS=str(file))
        points, only = file.read_text(encoding="ascii").split(), self._change.only
        return tuple(point for point in points if not only or _effect(point) in only)

    def run(self, way: Way, **variables: str) -> Ended:
        """Run it with these variables, to its end or until nothing is left to do."""
        self.lab.environment = self._quiet | variables
        try:
            if way is Way.ONCE:
                done = self.lab.reconcile(*self.command(), timeout_s=60)
                return Ended(done.returncode, done.stdout + done.stderr)
            with self.lab.serve() as service:
                wait_for(
                    "an end", lambda: service.process.poll() is not None or not self.faults(), within_s=30, every_s=0.01
                )
                return Ended(service.stop(), self.lab.log.read_text(encoding="utf-8"))
        finally:
            self.lab.environment = self._quiet

    def recover(self, way: Way) -> float:
        """Start it again with nobody's help; seconds from the start of the process until all is as it should be.

        Raises NotInTime, with what is wrong, and whatever a test cannot go on after.
        """
        began = time.perf_counter()
        if way is Way.ONCE:
            done = self.lab.reconcile(*self.command(), timeout_s=60)
            if done.returncode != 0:
                raise RuntimeError(f"the run after a crash ended with {done.returncode}: {done.stdout}{done.stderr}")
            return time.perf_counter() - began
        with self.lab.serve() as service:
            wait_for(f"{self._folder.name} is done", lambda: not self.faults(), within_s=30, every_s=0.005)
            taken = time.perf_counter() - began
            service.stop()
        return taken

    def command(self) -> tuple[str, ...]:
        """The arguments with which `Way.ONCE` runs."""
        words = ("--config", str(self.lab.configuration), "--yes", "--output", str(self.lab.override))
        return (*words, "--roll-out") if self._change.roll_out else words

    def say(self, said: Mapping[str, Any] | None) -> None:
        """From now on the file says this of the model, committed."""
        self._after = said
        self._write(said)

    def record(self) -> Recorded:
        """What is recorded now. Raises StateError."""
        with closing(open_store(f"sqlite:{self.lab.state_dir / 'state.db'}", readonly=True)) as store:
            return store.load(PROJECT)

    def is_idle(self, way: Way) -> bool:
        """Whether one more run finds nothing to do on the platform."""
        before = self.cloud.world()["journal"]
        self.run(way)
        return bool(self.cloud.world()["journal"] == before)

    def faults(self) -> tuple[str, ...]:
        """Everything that is not as it should be after the change; empty when it is done and nothing went wrong."""
        return tuple(self._faults())

    def _faults(self) -> Iterator[str]:
        world = self.cloud.world()
        yield from world["wrong"]
        wanted = {"rest": CHOICE} | ({"llm": self._after} if self._after is not None else {})
        things = {thing["model"]: thing for thing in world["things"]}
        if sorted(thing["model"] for thing in world["things"]) != sorted(wanted):
            yield f"the platform has {world['things']}"
            return
        for model, said in wanted.items():
            if things[model]["spec"] != _fields(said):
                yield f"{model} is {things[model]['spec']}"
        yield from self._wrong_values(things)
        yield from self._wrong_container()
        yield from self._wrong_record(things)

    def _wrong_values(self, things: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
        values = self.lab.values(PROJECT, "app")
        for model in ("llm", "rest"):
            url = values.get(f"{model.upper()}_URL", "")
            right = f"http://10.9.8.7:{things[model]['port']}/v1/" if model in things else ""
            if url != right:
                yield f"{model} is at {right or 'no address'}, and the service's file says {url or 'none'}"
            override = self.lab.override.read_text(encoding="utf-8") if self.lab.override.exists() else ""
            if (right not in override) or (not right and f"{model.upper()}_URL" in override):
                yield f"the override file does not say that {model} is at {right or 'no address'}"

    def _wrong_container(self) -> Iterator[str]:
        wanted, runs_with = self.lab.values(PROJECT, "app"), docker.environment(str(self._folder))
        if self._change.roll_out and runs_with != wanted:
            yield f"the service runs with {runs_with}, and its file says {wanted}"

    def _wrong_record(self, things: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
        try:
            records = self.record().deployments
        except StateError as error:
            yield str(error)
            return
        if set(records) != {thing["deployment"] for thing in things.values()}:
            yield f"the record has {sorted(records)}"
        for record in records.values():
            if record.request_open or not record.active:
                yield f"{record.deployment.name}: still something to do in the record"

    def _write(self, said: Mapping[str, Any] | None) -> None:
        models = {"rest": CHOICE} | ({"llm": said} if said is not None else {})
        services = {"app": {"image": "busybox", "models": sorted(models)}}
        text = json.dumps({"name": PROJECT, "services": services, "models": models}, indent=2) + "\n"
        (self.lab.repository / "compose.yaml").write_text(text, encoding="utf-8")
        self.lab.commit("a change")

    def __enter__(self) -> CrashLab:
        return self

    def __exit__(self, *_: object) -> None:
        self.cloud.__exit__(None, None, None)


def _effect(point: str) -> str:
    """`roll-out` of `before-roll-out:1`."""
    return point.partition("-")[2].partition(":")[0]


def _fields(said: Mapping[str, Any]) -> dict[str, str]:
    """What the platform's tags say of such a model."""
    fields = {"model": said["model"], "context_size": str(said["context_size"]), "cloud.platform": PLATFORM}
    return fields | ({"runtime_flags": json.dumps(said["runtime_flags"])} if "runtime_flags" in said else {})
