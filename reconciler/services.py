"""The running services of a Compose project: who still uses an endpoint, and restarting those whose values changed.

Both go through the docker commands that the user has, so contexts, remote engines and credentials work as for them.
What cannot be found out is said to be unknown, never taken for "nobody".
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from drivers.base import Endpoint
from reconciler.compose.project import Project
from reconciler.errors import ReconcilerError
from reconciler.supervise import Finished, run
from reconciler.text import clean

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH", re.IGNORECASE)
_LABEL = "com.docker.compose"


class Running(Enum):
    """Whether a service has containers that run."""

    YES = "running"
    NO = "not running"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What the user's own `docker compose` command names besides the files; all in the order given."""

    override: Path
    """The file that we write; it goes last in the list of files."""
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()


class ComposeServices:
    """The production `Services`: `docker compose` or a stand-alone `docker-compose`, and `docker` to look inside.

    `environment` is what the commands run with; its secrets are taken out of whatever they say. `committed` gives what
    a file was when the project was read, or None where that was read from the disk: docker compose reads the disk.
    """

    def __init__(
        self,
        launch: Launch,
        environment: Mapping[str, str],
        *,
        ask_within_s: float = 20.0,
        roll_out_within_s: float = 300.0,
        proc: Path = Path("/proc"),
        committed: Callable[[str], bytes | None] = lambda path: None,
    ) -> None:
        self._launch = launch
        self._environment = dict(environment)
        self._ask_within_s = ask_within_s
        self._roll_out_within_s = roll_out_within_s
        self._proc = proc
        self._committed = committed
        self._compose: tuple[str, ...] | None = None

    def users(self, project: str, endpoints: Mapping[str, Endpoint]) -> Mapping[str, str]:
        """Deployment id to why it is still in use: a running container of the project has its address in its
        environment. Without any docker command nothing runs under Compose here; where the engine does not answer, all
        may be in use."""
        if not endpoints:
            return {}
        docker = self._which("docker")
        if docker is None:
            reason = "" if self._which("docker-compose") is None else "there is no `docker` command to look with"
            return dict.fromkeys(endpoints, reason) if reason else {}
        containers = self._containers(docker, project)
        if containers is None and self._nothing_can_run():
            return {}
        if containers is None:
            return dict.fromkeys(endpoints, "the Docker engine does not answer, so its containers may still use it")
        used = {}
        for id, endpoint in endpoints.items():
            user = next((each.service for each in containers if mentions(each.values, endpoint)), None)
            if user is not None:
                used[id] = f"service {user} still runs with its address"
        return used

    def _nothing_can_run(self) -> bool:
        """Whether it is certain that no container runs on an engine of this host, although that does not answer: each
        container has a shim process of containerd's, which outlives the engine."""
        if not self._environment.get("DOCKER_HOST", "unix://").startswith("unix://"):
            return False
        asked = [self._which("docker") or "docker", "context", "inspect", "--format", "{{.Name}}"]
        context = self._run(asked, self._ask_within_s)
        return context.ok and context.out.strip() == "default" and not any_process_named("containerd-shim", self._proc)

    def states(self, project: str, services: Sequence[str]) -> Mapping[str, Running]:
        """Whether each service runs. Scaled services count as running when one of their containers does."""
        counted = self._count(project)
        if counted is None:
            return dict.fromkeys(services, Running.UNKNOWN)
        return {name: Running.YES if counted.running[name] else Running.NO for name in services}

    def roll_out(self, project: Project, services: Sequence[str]) -> tuple[str, ...]:
        """Re-create exactly these services with their new values, where they run and without what they depend on.

        docker compose would bring along whatever else lies on the disk: what was read from a commit is rolled out only
        while its files are checked out, unedited. A file that no commit has, such as a private `.env`, is the user's. A
        service that does not run gets its values when it is started. What went wrong comes back as sentences.
        """
        if not services:
            return ()
        counted = self._count(project.name)
        if counted is None:
            return (f"{', '.join(services)}: it cannot be found out whether they run; not restarted",)
        running = [name for name in services if counted.running[name]]
        if not running:
            return ()
        missing = [file for file in project.compose_files if not Path(file).is_file()]
        if missing:
            return (f"{', '.join(running)}: not restarted, as docker compose could not read {', '.join(missing)}",)
        edited = [file for file in project.files if self._is_edited(file)]
        if edited:
            what = f"{', '.join(edited)} on the disk is not what was committed"
            return (f"{', '.join(running)}: not restarted, as {what}: docker compose would roll that out, too",)
        done = self._run(self._up(project, running, counted.existing), self._roll_out_within_s, project.working_dir)
        return () if done.ok else (f"{', '.join(running)}: could not be restarted: {self._complaint(done)}",)

    def _is_edited(self, file: str) -> bool:
        """Whether the disk has something else than what was read. What cannot be compared counts as edited."""
        try:
            wanted = self._committed(file)
            return wanted is not None and Path(file).read_bytes() != wanted
        except (OSError, ReconcilerError):
            return True

    def _up(self, project: Project, services: Sequence[str], existing: Mapping[str, int]) -> list[str]:
        files = [*project.compose_files, str(self._launch.override)]
        command = [*(self._find_compose() or ()), "--project-name", project.name]
        command += ["--project-directory", project.working_dir]
        command += _each("--file", files) + _each("--env-file", self._launch.env_files)
        command += [*_each("--profile", self._launch.profiles), "--ansi", "never", "--progress", "plain"]
        # Without this, `up` would bring a service that was scaled by hand back to the number in the file.
        scales = [f"{name}={existing[name]}" for name in services if existing[name] > 1]
        return [*command, "up", "--detach", "--no-deps", "--no-build", *_each("--scale", scales), "--", *services]

    def _count(self, project: str) -> _Counted | None:
        compose = self._find_compose()
        if compose is None:
            return None
        done = self._run([*compose, "--project-name", project, "ps", "--all", "--format", "json"], self._ask_within_s)
        if not done.ok:
            return None
        try:
            containers = _json_values(done.out)
            existing = Counter(str(each["Service"]) for each in containers)
            running = Counter(str(each["Service"]) for each in containers if each["State"] in ("running", "restarting"))
        except (ValueError, KeyError, TypeError):
            return None
        return _Counted(existing, running)

    def _containers(self, docker: str, project: str) -> list[_Container] | None:
        listed = self._run(
            [docker, "ps", "--quiet", "--no-trunc", "--filter", f"label={_LABEL}.project={project}"],
            self._ask_within_s,
        )
        if not listed.ok:
            return None
        found = []
        for id in listed.out.split():
            looked = self._run([docker, "inspect", "--type", "container", "--", id], self._ask_within_s)
            if looked.ok:
                found.append(_container(looked.out))
            elif "no such" not in looked.err.lower():  # one that ended in between uses nothing
                return None
        return None if None in found else [each for each in found if each is not None]

    def _find_compose(self) -> tuple[str, ...] | None:
        """`docker compose` where the plug-in is there, else `docker-compose`; looked for until it is found."""
        if self._compose is None:
            docker, alone = self._which("docker"), self._which("docker-compose")
            if docker is not None and self._run([docker, "compose", "version"], self._ask_within_s).ok:
                self._compose = (docker, "compose")
            elif alone is not None:
                self._compose = (alone,)
        return self._compose

    def _which(self, program: str) -> str | None:
        import shutil  # brings all the archive formats along: 5 ms for those who never roll out

        return shutil.which(program, path=self._environment.get("PATH"))

    def _run(self, command: Sequence[str], timeout_s: float, directory: str | None = None) -> Finished:
        environment = {name: value for name, value in self._environment.items() if name not in _OURS_TO_SAY}
        place = Path(directory) if directory is not None else None
        return run(command, environment=environment, timeout_s=timeout_s, directory=place)

    def _complaint(self, done: Finished) -> str:
        lines = [line for line in done.err.splitlines() if line.strip()]
        return redact(clean(lines[-1]) if lines else f"exit status {done.status}", self._environment)


_OURS_TO_SAY = frozenset({"COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_ENV_FILES", "COMPOSE_PROFILES"})
"""Each has a flag that we give from what was resolved once; the variable must not speak a second time."""


@dataclass(frozen=True, slots=True)
class _Counted:
    existing: Counter[str]
    running: Counter[str]


@dataclass(frozen=True, slots=True)
class _Container:
    service: str
    values: tuple[str, ...]


def mentions(values: Iterable[str], endpoint: Endpoint) -> bool:
    """Whether any of the texts points at the endpoint. By port for an address of this host, which every network sees
    under another name."""
    parts = urlsplit(endpoint.url)
    port = rf":{parts.port}(?![0-9])" if endpoint.on_this_host and parts.port else ""
    pattern = re.compile(port or re.escape(endpoint.url.rstrip("/")) + r"(?![A-Za-z0-9._-])")
    return any(pattern.search(value) for value in values)


def any_process_named(beginning: str, proc: Path) -> bool:
    """Whether a process of this host has a name that begins so. Where there is no /proc nobody can tell: True."""
    try:
        return any(_name_of(folder).startswith(beginning) for folder in proc.iterdir() if folder.name.isdigit())
    except OSError:
        return True


def _name_of(process: Path) -> str:
    try:
        return (process / "comm").read_text()
    except OSError:
        return ""  # it has ended


def redact(text: str, environment: Mapping[str, str]) -> str:
    """The text without the values of variables that are secrets by their name, and without passwords in URLs."""
    secrets = {value for name, value in environment.items() if _SECRET_NAME.search(name) and len(value) >= 6}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return re.sub(r"(://[^/\s:@]*):[^/\s@]+@", r"\1:***@", text)


def _container(inspected: str) -> _Container | None:
    """What `docker inspect` says of one container; None when it cannot be understood."""
    try:
        config = json.loads(inspected)[0]["Config"]
        values = tuple(str(entry).partition("=")[2] for entry in config["Env"] or ())
        return _Container(str((config["Labels"] or {}).get(f"{_LABEL}.service", "?")), values)
    except (ValueError, KeyError, IndexError, TypeError):
        return None


def _json_values(text: str) -> list[dict[str, Any]]:
    """Compose prints a list up to 2.20 and one object per line since."""
    text = text.strip()
    if text.startswith("["):
        return list(json.loads(text))
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _each(flag: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (flag, value)]
