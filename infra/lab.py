"""A small world of its own to run the reconciler in: a git repository, a configuration, folders and an environment.

The demonstration, the benchmark and the integration tests use it. Everything it makes lies below one folder, and every
process it starts, also the model servers that outlive the reconciler, can be found again by that folder's name.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.request import ProxyHandler, Request, build_opener

CHECKOUT = Path(__file__).resolve().parent.parent
PARTS = CHECKOUT / ".parts"
MARKER = b"CMR_DEPLOYMENT="
"""What the reconciler puts into the environment of every model server it starts."""

T = TypeVar("T")

_GIT_IDENTITY = {
    "GIT_AUTHOR_NAME": "Somebody",
    "GIT_AUTHOR_EMAIL": "somebody@example.invalid",
    "GIT_COMMITTER_NAME": "Somebody",
    "GIT_COMMITTER_EMAIL": "somebody@example.invalid",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
}


class NotInTime(Exception):
    """Something that was waited for did not happen; the text says what, and what was there instead."""


@dataclass(frozen=True, slots=True)
class ModelServer:
    """A living model server of this world: its pid and the `CMR_` variables that mark it."""

    pid: int
    marks: Mapping[str, str]

    @property
    def deployment(self) -> str:
        return self.marks["CMR_DEPLOYMENT"]


class Lab:
    """One such world below `folder`. `settings` is added to its `reconciler.yaml`, as YAML or JSON values."""

    def __init__(
        self, folder: Path, base: Mapping[str, str], *, settings: Mapping[str, Any] | None = None, **project: Any
    ) -> None:
        self.folder = folder
        self.repository = folder / "repository"
        self.configuration = folder / "reconciler.yaml"
        self.override = folder / "compose.models.yaml"
        self.state_dir = folder / "state"
        self.log = folder / "serve.log"
        self.environment = _environment(folder, base)
        for made in (self.repository, folder / "home"):
            made.mkdir(parents=True, exist_ok=True)
        written = {
            "state_dir": str(self.state_dir),
            "models_dir": str(folder / "models"),
            "projects": [{"checkout": str(self.repository), "output": str(self.override), **project}],
            **(settings or {}),
        }
        # JSON is YAML, and needs no library to write.
        self.configuration.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")

    # -- the repository -----------------------------------------------------------------------------------------------

    def git(self, *arguments: str) -> str:
        """What git prints in the repository. Raises CalledProcessError."""
        command = ["git", "-C", str(self.repository), *arguments]
        done = subprocess.run(command, env=self.environment | _GIT_IDENTITY, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def start_repository(self, example: Path) -> None:
        """A repository that holds the files of the example, all in one first commit."""
        # Whoever followed the example's README left files beside it that belong to their own state.
        shutil.copytree(
            example, self.repository, dirs_exist_ok=True, ignore=shutil.ignore_patterns("compose.models.yaml*")
        )
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("the first version")

    def commit(self, message: str) -> str:
        """Commit everything that lies in the repository; the new revision, shortened."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "--short", "HEAD")

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text in a file of the repository; it must be there."""
        path = self.repository / name
        text = path.read_text(encoding="utf-8")
        if old not in text:
            raise ValueError(f"{name} does not hold {old!r}")
        path.write_text(text.replace(old, new), encoding="utf-8")

    # -- the command --------------------------------------------------------------------------------------------------

    def reconcile(
        self, *arguments: str, timeout_s: float = 120, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the command to its end, as a user would."""
        return subprocess.run(
            [*command(), *arguments],
            env=self.environment,
            cwd=cwd or self.repository,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    def serve(self, log: Path | None = None) -> Service:
        """Start the service; it runs until it is stopped, killed or left as a context manager. `log` takes its output
        instead of the lab's own log."""
        return Service(self, log or self.log)

    def values(self, project: str, service: str) -> dict[str, str]:
        """What the service would see in its environment on this host, keys included; empty before there is anything."""
        folder = self.state_dir / "projects" / project
        files = (folder / f"{service}.env", folder / "keys" / f"{service}.env")
        return {name: value for file in files for name, value in _assignments(file)}

    # -- what runs ----------------------------------------------------------------------------------------------------

    def servers(self) -> tuple[ModelServer, ...]:
        """The living model servers of this world, found by the marker in their environment and our folder's name."""
        return tuple(_marked(str(self.folder).encode()))

    def clean_up(self) -> None:
        """Kill whatever model server of this world still lives. For the end of a run that went wrong."""
        for server in self.servers():
            os.kill(server.pid, signal.SIGKILL)


class Service:
    """A running `reconcile serve`, its output appended to the log."""

    def __init__(self, lab: Lab, log_file: Path) -> None:
        self.lab = lab
        with log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*command(), "serve", "--config", str(lab.configuration)],
                env=lab.environment,
                cwd=lab.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self, timeout_s: float = 30) -> int:
        """Ask it to end and wait; its exit status. Model servers go on."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """End it as a power cut would: no handler runs."""
        self.process.kill()
        self.process.wait(30)

    def resident_bytes(self) -> int:
        """Resident memory of the process now, as the kernel counts it."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def __enter__(self) -> Service:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.kill()


def command() -> tuple[str, ...]:
    """The command of the environment we run in."""
    return (str(Path(sys.executable).with_name("reconcile")),)


def wait_for(what: str, look: Callable[[], T | None], *, within_s: float, every_s: float = 0.02) -> T:
    """The first answer of `look` that is not None, False or empty. Raises NotInTime."""
    limit = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > limit:
            raise NotInTime(f"{what}: not within {within_s:g} s")
        time.sleep(every_s)


def complete(
    values: Mapping[str, str], prompt: str, *, tokens: int = 16, prefix: str = "LLM", timeout_s: float = 30
) -> str:
    """A real chat completion, asked for with nothing but a service's variables. Raises OSError."""
    body = {
        "model": values[f"{prefix}_MODEL"],
        "max_tokens": tokens,
        "temperature": 0,
        "messages": [{"role": "user", "content": prompt}],
    }
    headers = {"Content-Type": "application/json"}
    if f"{prefix}_API_KEY" in values:
        headers["Authorization"] = f"Bearer {values[f'{prefix}_API_KEY']}"
    request = Request(values[f"{prefix}_URL"] + "chat/completions", json.dumps(body).encode(), headers)
    with build_opener(ProxyHandler({})).open(request, timeout=timeout_s) as answer:  # no proxy: it is on this host
        said = json.load(answer)["choices"][0]["message"]["content"]
    return str(said)


def _environment(folder: Path, base: Mapping[str, str]) -> dict[str, str]:
    """What commands of this world see: its own home, the parts first on the path, nothing else of ours."""
    kept = {name: base[name] for name in ("LANG", "LC_ALL", "TERM", "DOCKER_HOST") if name in base}
    path = f"{PARTS / 'bin'}{os.pathsep}{base.get('PATH', os.defpath)}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
    server = base.get("RECONCILE_LLAMA_SERVER", str(PARTS / "bin" / "llama-server"))
    return kept | {"PATH": path, "HOME": str(folder / "home"), "RECONCILE_LLAMA_SERVER": server}


def _assignments(path: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        name, equals, value = line.partition("=")
        if equals and not name.startswith("#"):
            yield name, value


def _marked(folder: bytes) -> Iterator[ModelServer]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environ = (entry / "environ").read_bytes()
            leads = os.getsid(int(entry.name)) == int(entry.name)
        except OSError:  # gone meanwhile, or somebody else's
            continue
        # A server is started in a session of its own; what it, or a script around it, starts is not another server.
        if leads and MARKER in environ and folder in environ:
            pairs = (item.partition(b"=") for item in environ.split(b"\0") if item.startswith(b"CMR_"))
            yield ModelServer(int(entry.name), {name.decode(): value.decode() for name, _, value in pairs})
