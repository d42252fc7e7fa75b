"""Restarts go to exactly the running services whose values changed; what cannot be known is never taken for "no"."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.base import Endpoint
from reconciler.commands.serve import _follow
from reconciler.compose.project import Project
from reconciler.errors import SourceError
from reconciler.services import ComposeServices, Launch, Running, mentions, redact
from reconciler.settings import ProjectSettings, default_settings
from reconciler.supervise import run
from reconciler.wiring import Drivers
from state.memory import MemoryStore
from tests import parts
from tests.reconciler.repositories import Repo

LOCAL = Endpoint(url="http://127.0.0.1:18431/v1/", model_id="m", on_this_host=True)
REMOTE = Endpoint(url="https://models.example.org/chat/v1/", model_id="m")


def project(folder: Path, name: str = "demo") -> Project:
    return Project(
        name=name,
        working_dir=str(folder),
        files=(str(folder / "compose.yaml"),),
        compose_files=(str(folder / "compose.yaml"),),
        models={},
        unused_models={},
        services={},
        defaults=(),
        warnings=(),
    )


def script(folder: Path, name: str, body: str) -> Path:
    """A small program that stands for a docker command which fails in a certain way."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def with_commands(tmp_path: Path, proc: Path = Path("/proc"), **bodies: str) -> ComposeServices:
    for name, body in bodies.items():
        script(tmp_path / "bin", name.replace("_", "-"), body)
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    environment = {"PATH": str(tmp_path / "bin"), "API_TOKEN": "canary-secret"}
    return ComposeServices(
        Launch(override=tmp_path / "compose.models.yaml"), environment, ask_within_s=2, roll_out_within_s=1, proc=proc
    )


PS = """case "$*" in *" ps "*) echo '{"Service": "app", "State": "running"}'; exit 0;; esac"""


def test_without_any_docker_command_nobody_uses_anything(tmp_path: Path) -> None:
    assert with_commands(tmp_path).users("demo", {"d1": LOCAL}) == {}


def test_an_engine_that_does_not_answer_may_be_running_everything(tmp_path: Path) -> None:
    services = with_commands(tmp_path, docker="echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    used = services.users("demo", {"d1": LOCAL, "d2": REMOTE})
    assert set(used) == {"d1", "d2"}
    assert "does not answer" in used["d1"]
    assert services.states("demo", ["app"]) == {"app": Running.UNKNOWN}
    (sentence,) = services.roll_out(project(tmp_path), ["app"])
    assert "cannot be found out" in sentence


@pytest.mark.parametrize(("name", "users"), [("containerd-shim\n", {"d1"}), ("bash\n", set())])
def test_an_engine_that_is_gone_runs_nothing_when_no_container_left_its_shim(
    tmp_path: Path, name: str, users: set[str]
) -> None:
    (tmp_path / "proc" / "77").mkdir(parents=True)
    (tmp_path / "proc" / "77" / "comm").write_text(name)
    down = 'if [ "$1" = context ]; then echo default; else exit 1; fi'
    services = with_commands(tmp_path, proc=tmp_path / "proc", docker=down)
    assert set(services.users("demo", {"d1": LOCAL})) == users


@pytest.mark.parametrize("answer", ["{not json", '{"State": "running"}', "[1]", "7"])
def test_an_answer_that_is_not_understood_is_unknown(tmp_path: Path, answer: str) -> None:
    services = with_commands(tmp_path, docker_compose=f"echo '{answer}'")
    assert services.states("demo", ["app"]) == {"app": Running.UNKNOWN}


def test_a_container_that_is_not_understood_may_use_everything(tmp_path: Path) -> None:
    services = with_commands(tmp_path, docker='if [ "$1" = ps ]; then echo abc; else echo "[{}]"; fi')
    assert set(services.users("demo", {"d1": LOCAL})) == {"d1"}


def test_both_forms_of_compose_output_are_read(tmp_path: Path) -> None:
    lines = '{"Service": "a", "State": "running"}\n{"Service": "b", "State": "exited"}'
    listed = json.dumps([json.loads(line) for line in lines.splitlines()])
    for output in (lines, listed):
        services = with_commands(tmp_path, docker_compose=f"echo '{output}'")
        states = services.states("demo", ["a", "b", "c"])
        assert states == {"a": Running.YES, "b": Running.NO, "c": Running.NO}


def test_a_failed_roll_out_is_told_without_secrets(tmp_path: Path) -> None:
    failing = f"{PS}\necho 'first' >&2; echo \"pull failed: canary-secret http://me:pw123456@host/x\" >&2; exit 1"
    (sentence,) = with_commands(tmp_path, docker_compose=failing).roll_out(project(tmp_path), ["app"])
    assert sentence == "app: could not be restarted: pull failed: *** http://me:***@host/x"


def test_a_roll_out_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    hanging = f"{PS}\ntrap '' TERM\n/bin/sleep 600 & echo $! > {tmp_path}/child; wait"
    start = time.monotonic()
    (sentence,) = with_commands(tmp_path, docker_compose=hanging).roll_out(project(tmp_path), ["app"])
    assert "was killed" in sentence
    assert time.monotonic() - start < 10
    child = Path(f"/proc/{(tmp_path / 'child').read_text().strip()}/stat")
    limit = time.monotonic() + 2
    while child.exists() and child.read_text().rpartition(")")[2].split()[0] not in "ZX":
        assert time.monotonic() < limit
        os.sched_yield()


def test_services_that_do_not_run_are_left_alone(tmp_path: Path) -> None:
    recording = f'echo "$*" >> {tmp_path}/calls\n{PS}'
    services = with_commands(tmp_path, docker_compose=recording)
    assert services.roll_out(project(tmp_path), ["stopped"]) == ()
    assert services.roll_out(project(tmp_path), []) == ()
    assert " up " not in (tmp_path / "calls").read_text()


def test_files_that_only_the_commit_has_cannot_be_rolled_out(tmp_path: Path) -> None:
    services = with_commands(tmp_path, docker_compose=PS)
    (tmp_path / "compose.yaml").unlink()
    (sentence,) = services.roll_out(project(tmp_path), ["app"])
    assert "could not read" in sentence


COMMITTED = "name: shop\nservices:\n  app: {image: app}\n"


def _unedited(path: str) -> bytes:
    return b"services: {}\n"


def _pruned(path: str) -> bytes:
    raise SourceError("its history was pruned")


def test_what_nobody_committed_is_not_rolled_out(tmp_path: Path) -> None:
    """`docker compose up` reads the work tree: somebody's unfinished edits once went out with a new address."""
    services = with_commands(tmp_path, docker_compose=f'echo "$*" >> {tmp_path}/calls\n{PS}')
    services._committed = _unedited
    (tmp_path / "compose.yaml").write_text("services: {app: {image: unfinished}}\n")
    (sentence,) = services.roll_out(project(tmp_path), ["app"])
    assert sentence.startswith(f"app: not restarted, as {tmp_path}/compose.yaml on the disk is not what was committed")
    assert " up " not in (tmp_path / "calls").read_text()
    (tmp_path / "compose.yaml").write_bytes(_unedited(""))
    assert services.roll_out(project(tmp_path), ["app"]) == ()
    assert " up " in (tmp_path / "calls").read_text()


def test_the_service_compares_with_the_commit_that_it_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = Repo(tmp_path / "shop")
    repo.commit({"compose.yaml": COMMITTED})
    script(tmp_path / "bin", "docker-compose", PS)
    script(tmp_path / "bin", "docker", "exit 1")  # whatever else this machine has is not asked
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    settings = default_settings({"HOME": str(tmp_path)})
    followed = _follow(ProjectSettings(checkout=repo.path), settings, MemoryStore(), Drivers(settings, {}))
    read = followed.reader.read().project
    services = followed.engine._ports.services(read)
    assert services.roll_out(read, ["app"]) == ()
    (repo.path / "compose.yaml").write_text(COMMITTED + "  extra: {image: unfinished}\n")
    assert "is not what was committed" in services.roll_out(read, ["app"])[0]


def test_an_edited_include_is_not_rolled_out_either(tmp_path: Path) -> None:
    services = with_commands(tmp_path, docker_compose=PS)
    services._committed = _unedited
    included = tmp_path / "more.yaml"
    both = project(tmp_path)._replace(files=(str(tmp_path / "compose.yaml"), str(included)))
    (sentence,) = services.roll_out(both, ["app"])
    assert "more.yaml on the disk" in sentence
    included.write_bytes(_unedited(""))
    assert services.roll_out(both, ["app"]) == ()


def test_what_cannot_be_compared_is_not_rolled_out(tmp_path: Path) -> None:
    services = with_commands(tmp_path, docker_compose=PS)
    services._committed = _pruned
    assert len(services.roll_out(project(tmp_path), ["app"])) == 1


def test_the_whole_command_of_the_user_is_repeated(tmp_path: Path) -> None:
    recording = f'for word in "$@"; do echo "$word" >> {tmp_path}/words; done\n{PS}'
    services = with_commands(tmp_path, docker_compose=recording)
    services._launch = replace(services._launch, env_files=("a.env", "b.env"), profiles=("gpu",))
    assert services.roll_out(project(tmp_path), ["app"]) == ()
    words = (tmp_path / "words").read_text().split("\n")
    up = words[words.index("json") + 1 :]
    assert up == [
        *("--project-name", "demo", "--project-directory", str(tmp_path)),
        *("--file", str(tmp_path / "compose.yaml"), "--file", str(tmp_path / "compose.models.yaml")),
        *("--env-file", "a.env", "--env-file", "b.env", "--profile", "gpu", "--ansi", "never", "--progress", "plain"),
        *("up", "--detach", "--no-deps", "--no-build", "--", "app", ""),
    ]


@pytest.mark.parametrize(
    ("value", "endpoint", "expected"),
    [
        ("http://127.0.0.1:18431/v1/", LOCAL, True),
        ("http://host.docker.internal:18431/v1/", LOCAL, True),
        ("http://127.0.0.1:1843/v1/", LOCAL, False),
        ("http://127.0.0.1:184312/v1/", LOCAL, False),
        ("https://models.example.org/chat/v1", REMOTE, True),
        ("https://models.example.org/chat/v10/", REMOTE, False),
        ("https://models.example.org/other/v1/", REMOTE, False),
        ("", LOCAL, False),
    ],
)
def test_an_address_is_recognised_in_a_value(value: str, endpoint: Endpoint, expected: bool) -> None:
    assert mentions([value], endpoint) is expected


def test_redaction_keeps_what_is_no_secret() -> None:
    environment = {"HF_TOKEN": "hf_abcdef", "HOME": "/home/me", "DB_PASSWORD": "x"}
    assert redact("hf_abcdef in /home/me, x marks", environment) == "*** in /home/me, x marks"


def test_a_command_that_cannot_be_started_is_a_result() -> None:
    done = run(["/nonexistent/program"], environment={}, timeout_s=1)
    assert (done.status, done.ok) == (None, False)
    assert "could not be started" in done.err


COMPOSE = f"""
services:
  app:
    image: {parts.IMAGE}
    command: ["sleep", "600"]
    stop_grace_period: 0s
    depends_on: [db]
  db:
    image: {parts.IMAGE}
    command: ["sleep", "600"]
    stop_grace_period: 0s
    environment: {{LLM_URL: "${{DB_URL:-none}}"}}
  idle:
    image: {parts.IMAGE}
    command: ["sleep", "600"]
    profiles: [never]
"""


class Stack:
    """A real Compose project that runs `app` twice and `db` once."""

    def __init__(self, folder: Path, engine: parts.Engine) -> None:
        self.folder, self.engine = folder, engine
        self.name = f"t{uuid.uuid4().hex[:10]}"
        self.override = folder / "compose.models.yaml"
        (folder / "compose.yaml").write_text(COMPOSE)
        self.project = project(folder, self.name)
        path = f"{engine.compose.parent}:{engine.docker.parent}:{os.environ.get('PATH', os.defpath)}"
        self.environment = {**engine.environment, "PATH": path}
        self.services = ComposeServices(Launch(override=self.override), self.environment)
        self.point_at("http://host.docker.internal:18431/v1/")

    def point_at(self, url: str) -> None:
        self.override.write_text(json.dumps({"services": {"app": {"environment": {"LLM_URL": url}}}}))

    def compose(self, *arguments: str) -> str:
        files = ["-f", str(self.folder / "compose.yaml"), "-f", str(self.override)]
        command = [str(self.engine.compose), "-p", self.name, *files, *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def containers(self, service: str) -> set[str]:
        return set(self.compose("ps", "-q", service).split())


@pytest.fixture
def stack(tmp_path: Path, engine: parts.Engine) -> Iterator[Stack]:
    made = Stack(tmp_path, engine)
    try:
        made.compose("up", "-d", "--scale", "app=2")
        yield made
    finally:
        made.compose("down", "-t", "0", "--remove-orphans")


@pytest.mark.docker
@pytest.mark.oracle
def test_exactly_the_changed_service_is_restarted_with_its_new_value(stack: Stack) -> None:
    new = Endpoint(url="http://127.0.0.1:19999/v1/", model_id="m", on_this_host=True)
    states = stack.services.states(stack.name, ["app", "db", "idle"])
    assert states == {"app": Running.YES, "db": Running.YES, "idle": Running.NO}
    used = stack.services.users(stack.name, {"old": LOCAL, "new": new})
    assert used == {"old": "service app still runs with its address"}
    before = {name: stack.containers(name) for name in ("app", "db")}
    stack.point_at("http://host.docker.internal:19999/v1/")
    (stack.folder / ".env").write_text("DB_URL=changed\n")  # makes db differ, too; yet nobody asked for db
    assert stack.services.roll_out(stack.project, ["app", "idle"]) == ()
    assert stack.containers("db") == before["db"]
    assert len(stack.containers("app")) == 2
    assert stack.containers("app").isdisjoint(before["app"])
    assert stack.containers("idle") == set()
    assert set(stack.services.users(stack.name, {"old": LOCAL, "new": new})) == {"new"}


@pytest.mark.docker
@pytest.mark.oracle
def test_an_unchanged_service_is_not_restarted(stack: Stack) -> None:
    before = stack.containers("app")
    assert stack.services.roll_out(stack.project, ["app"]) == ()
    assert stack.containers("app") == before


@pytest.mark.docker
@pytest.mark.oracle
def test_a_file_that_compose_refuses_is_told_in_its_own_words(stack: Stack) -> None:
    before = stack.containers("app")
    kept = stack.override.read_text()
    stack.override.write_text("services: {app: {unknown_key: 1}}\n")
    (sentence,) = stack.services.roll_out(stack.project, ["app"])
    stack.override.write_text(kept)
    assert sentence.startswith("app: could not be restarted: ")
    assert "unknown_key" in sentence
    assert stack.containers("app") == before
