"""The scene of a soak: a lab with two services on one state and one checkout, and hands on everything in it."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType

from infra.lab import PARTS, Lab, Service, wait_for
from infra.soak.kernel import is_stopped, lock_holders, mount, unmount
from infra.soak.looks import Look, Process, Server
from infra.soak.wishes import PROJECT, SERVICE, changed, first_wish, prefix
from reconciler.stamp import Stamp
from reconciler.write import read_stamp
from state.open import open_store
from state.record import Recorded
from state.store import StateError

GGUF = Path(os.environ.get("RECONCILE_TEST_MODEL", PARTS / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"))
SLOTS = ("first", "second")
LEASE_S = 45.0
DISK_BYTES = 64 << 20
"""Size of the state's own small disk."""
SETTINGS = {
    "timing": {
        "poll_interval": "5s",
        "local_bake": "2s",
        "local_removal_grace": "3s",
        "lease_ttl": f"{LEASE_S:g}s",
    },
    "llamacpp": {"bind": "127.0.0.1", "answer_timeout": "5s"},
}


class Stage:
    """Made in a folder of its own; left as a context manager, nothing of it runs or is mounted any more."""

    def __init__(self, folder: Path, *, own_disk: bool) -> None:
        self.disk = folder / "state"
        self.has_own_disk = own_disk and mount(self.disk, DISK_BYTES)
        self.lab = Lab(folder, os.environ, settings=SETTINGS)
        self.wish = first_wish()
        self.services: dict[str, Service] = {}
        self.hurt: set[str] = set()
        """Deployments whose server we killed or stopped."""
        self.repository = threading.Lock()
        """Held by whoever writes to the repository."""
        self.revision = ""
        self.copy: Path | None = None
        """The last copy of the state."""
        self._frozen: set[str] = set()
        self._end = threading.Event()
        self._began = time.monotonic()

    def prepare(self) -> None:
        """The repository with its first commit, the model imported, both services started."""
        lab = self.lab
        lab.git("init", "--quiet", "--initial-branch=main")
        self._write_and_commit(self.wish.as_compose(), "the first version")
        done = lab.reconcile("--config", str(lab.configuration), "models", "import", str(GGUF), "--as", "ai/smollm2")
        if done.returncode != 0:
            raise OSError(f"the model cannot be imported: {done.stderr.strip()}")
        for slot in SLOTS:
            self.start(slot)

    # -- time ---------------------------------------------------------------------------------------------------------

    def clock(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def pause(self, seconds: float) -> bool:
        """Wait, unless the run is to end; whether it is."""
        return self._end.wait(max(seconds, 0.0))

    @property
    def is_over(self) -> bool:
        return self._end.is_set()

    def end(self) -> None:
        self._end.set()

    # -- services -----------------------------------------------------------------------------------------------------

    def start(self, slot: str) -> None:
        self.services[slot] = self.lab.serve(self.log_of(slot))

    def log_of(self, slot: str) -> Path:
        return self.lab.folder / f"{slot}.log"

    def stop(self, slot: str) -> None:
        """In order, as a supervisor does. Raises TimeoutExpired."""
        self.services.pop(slot).stop()

    def kill(self, slot: str) -> None:
        self.services.pop(slot).kill()

    def freeze(self, slot: str) -> None:
        self._frozen.add(slot)
        self.services[slot].process.send_signal(signal.SIGSTOP)

    def thaw(self, slot: str) -> None:
        self.services[slot].process.send_signal(signal.SIGCONT)
        self._frozen.discard(slot)

    def revive(self) -> tuple[tuple[str, int], ...]:
        """Start again what ended by itself, as a supervisor would: which it was, and its exit status."""
        ended = [(slot, one.process.poll()) for slot, one in tuple(self.services.items())]
        fallen = tuple((slot, status) for slot, status in ended if status is not None and not self.is_over)
        for slot, _ in fallen:
            if self.services.pop(slot, None) is not None:
                self.start(slot)
        return fallen

    def leader(self) -> str | None:
        """The slot whose process holds the lock of the project."""
        holders = lock_holders(self.disk / "state.db.d")
        return next((slot for slot, service in self.services.items() if service.process.pid in holders), None)

    def wait_for_leader(self) -> str:
        """Raises NotInTime."""
        return wait_for("a service holds the lease", self.leader, within_s=30)

    def stand_by(self) -> str:
        """Raises NotInTime."""
        leader = self.wait_for_leader()
        return next(slot for slot in SLOTS if slot != leader)

    # -- the repository -----------------------------------------------------------------------------------------------

    def change(self, chance: random.Random) -> str:
        """Commit the next wish; what it brings. Keeps a copy of the state as it was before."""
        with self.repository:
            wish, message = changed(self.wish, chance)
            self.keep_copy()
            self.wish = wish
            self._write_and_commit(wish.as_compose(), message)
        return message

    def commit_text(self, text: str, message: str) -> None:
        """Commit a Compose file that says something else than the wish, or the wish again. With the lock held."""
        self._write_and_commit(text, message)

    def _write_and_commit(self, text: str, message: str) -> None:
        (self.lab.repository / "compose.yaml").write_text(text, encoding="utf-8")
        self.lab.commit(message)
        self.revision = self.lab.git("rev-parse", "HEAD")

    # -- the state ----------------------------------------------------------------------------------------------------

    def keep_copy(self) -> None:
        """Copy the state as a backup does."""
        target = self.lab.folder / "copy.db"
        with (
            suppress(sqlite3.Error),
            closing(sqlite3.connect(f"file:{self.disk / 'state.db'}?mode=ro", uri=True)) as live,
        ):
            target.unlink(missing_ok=True)
            with closing(sqlite3.connect(target)) as copy:
                live.backup(copy)
            self.copy = target

    def recorded(self) -> Recorded | None:
        """None where it cannot be read just now."""
        try:
            with closing(open_store(f"sqlite://{self.disk / 'state.db'}", readonly=True)) as store:
                return store.load(PROJECT)
        except (StateError, OSError):
            return None

    # -- looking ------------------------------------------------------------------------------------------------------

    def look(self) -> Look:
        """Everything that is there now. What services are given is read first: nobody deletes before it is changed."""
        wish, revision = self.wish, self.revision
        values = self.values()
        urls = {name: values[f"{prefix(name)}_URL"] for name in wish.models if f"{prefix(name)}_URL" in values}
        leader = self.leader()
        return Look(
            at_s=self.clock(),
            wish=wish,
            revision=revision,
            servers=self.servers(),
            processes=tuple(
                seen for slot in tuple(self.services) if (seen := self._process(slot, leads=slot == leader))
            ),
            recorded=self.recorded(),
            urls=urls,
            override_intact=self._override_is_intact(urls),
        )

    def values(self) -> dict[str, str]:
        return self.lab.values(PROJECT, SERVICE)

    def servers(self) -> tuple[Server, ...]:
        return tuple(
            Server(seen.pid, seen.deployment, _model_of(seen.marks.get("CMR_RECORD", "")), is_stopped(seen.pid))
            for seen in self.lab.servers()
        )

    def _process(self, slot: str, *, leads: bool) -> Process | None:
        service = self.services.get(slot)
        if service is None or service.process.poll() is not None:
            return None
        pid = service.process.pid
        try:
            descriptors = len(os.listdir(f"/proc/{pid}/fd"))
            threads = len(os.listdir(f"/proc/{pid}/task"))
            return Process(slot, pid, service.resident_bytes(), descriptors, threads, leads, slot in self._frozen)
        except OSError:
            return None  # it ended meanwhile

    def _override_is_intact(self, urls: dict[str, str]) -> bool:
        if not isinstance(read_stamp(self.lab.override), Stamp):
            return False
        try:
            text = self.lab.override.read_text(encoding="utf-8")
        except FileNotFoundError:
            return False
        whole = "# edited by hand" not in text
        return whole and urls.keys() == self.wish.models.keys() and all(_port(url) in text for url in urls.values())

    # -- the end ------------------------------------------------------------------------------------------------------

    def close(self) -> tuple[str, ...]:
        """Both services end in order, the models are destroyed; what did not go as it should."""
        complaints = []
        for slot in tuple(self.services):
            if slot in self._frozen:
                self.thaw(slot)
            try:
                status = self.services.pop(slot).stop()
            except subprocess.TimeoutExpired:
                complaints.append(f"the {slot} service does not end")
            else:
                if status != 0:
                    complaints.append(f"the {slot} service ended with {status}")
        done = self.lab.reconcile("--config", str(self.lab.configuration), "-p", PROJECT, "destroy", "--yes")
        if done.returncode != 0:
            complaints.append(f"destroy ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        if self.servers():
            complaints.append(f"{len(self.servers())} servers run after destroy")
        return tuple(complaints)

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        for service in self.services.values():
            if service.process.poll() is None:
                service.kill()
        self.lab.clean_up()
        if self.has_own_disk:
            unmount(self.disk)


def _port(url: str) -> str:
    return ":" + url.rpartition(":")[2].partition("/")[0]


def _model_of(record: str) -> str:
    """The model of a deployment, from what its server's environment says."""
    try:
        return str(json.loads(record)["model"])
    except (ValueError, KeyError):
        return ""
