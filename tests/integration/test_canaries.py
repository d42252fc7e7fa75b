"""Promise: twelve secrets that lie around a reconciler are in no output, log, state or file that it writes."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from infra.lab import Lab, wait_for
from state.open import open_store
from state.record import Append, PutDeployment, PutModel, PutSource
from tests.builders import deployment, deployment_record, event, keyed_endpoint, model_record, source_record
from tests.canaries import NAMES, SECRETS, disguises, found, found_in_files
from tests.integration.conftest import Labs
from tests.scripted import Reply, Request, Scripted, scripted_server

COMPOSE = """\
name: demo
x-cloud-options: [cloud.idle-timeout=10m]
services:
  app:
    image: busybox
    env_file: [app.env]
    environment:
      DB_PASSWORD: ${DB_PASSWORD}
      AWS_SECRET_ACCESS_KEY: ${AWS_SECRET_ACCESS_KEY}
    models: [llm, other]
models:
  llm: {model: ai/smollm2, context_size: 4096, runtime_flags: [--top-k, "4"]}
  other: {model: "HOST/me/chat:1"}
"""
ENVIRONMENT = {
    "AWS_SECRET_ACCESS_KEY": SECRETS["cloud key"],
    "HF_TOKEN": SECRETS["hub token"],
    "GITHUB_TOKEN": SECRETS["ci token"],
    "DATABASE": f"postgres://me:{SECRETS['database password']}@db.example/x",
    "DOCKER_PASSWORD": SECRETS["docker password"],
}


@pytest.fixture
def registry() -> Iterator[Scripted]:
    """One that lets nobody in, and tells everybody what they sent: an error body may hold anything."""

    def answer(request: Request) -> Reply:
        told = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
        body = json.dumps({"errors": [{"code": "DENIED", "message": told}]}).encode()
        return Reply(401, {"WWW-Authenticate": 'Basic realm="here"'}, body)

    with scripted_server(answer) as server:
        yield server


@pytest.fixture
def planted(tmp_path: Path, registry: Scripted) -> Iterator[Lab]:
    """A lab with everything in it that a user's machine has."""
    plant_in = Lab(
        tmp_path / "lab",
        os.environ,
        settings={
            "llamacpp": {
                "bind": "127.0.0.1",
                "insecure_registries": [registry.host],
                "environment": {"SERVER_SECRET": SECRETS["server environment"]},
            },
            "timing": {"poll_interval": "1s"},
        },
    )
    plant(plant_in, registry.host)
    yield plant_in
    plant_in.clean_up()


def plant(lab: Lab, host: str) -> None:
    """The twelve canaries, each where its kind is usually found."""
    lab.environment.update(ENVIRONMENT)
    (lab.repository / "compose.yaml").write_text(COMPOSE.replace("HOST", host))
    lab.git("init", "--quiet", "--initial-branch=main")
    lab.git("remote", "add", "origin", f"https://me:{SECRETS['remote password']}@git.invalid/x.git")
    lab.commit("all of it")
    (lab.repository / ".env").write_text(f"DB_PASSWORD={SECRETS['env file']}\n")
    (lab.repository / "app.env").write_text(f"TOKEN={SECRETS['service file']}\n")
    auth = base64.b64encode(f"me:{SECRETS['registry password']}".encode()).decode()
    for name, text in {
        ".docker/config.json": json.dumps({"auths": {host: {"auth": auth}}}),
        ".cache/huggingface/token": SECRETS["hub file"],
        ".aws/credentials": f"[default]\naws_secret_access_key = {SECRETS['cloud file']}\n",
    }.items():
        path = lab.folder / "home" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def sources(lab: Lab) -> tuple[Path, ...]:
    """Where they were planted: nothing there is ours."""
    home = (".docker/config.json", ".cache/huggingface/token", ".aws/credentials")
    here = (lab.configuration, lab.repository / ".env", lab.repository / "app.env", lab.repository / ".git/config")
    return (*here, *(lab.folder / "home" / name for name in home))


def record(lab: Lab) -> None:
    """As if an earlier run had deployed both models."""
    with closing(open_store(f"sqlite://{lab.state_dir}/state.db", create=True)) as store:
        lease = store.acquire("demo", "an earlier run", 60.0)
        for number, key in enumerate(("llm", "other", "gone"), 1):
            made = deployment(number, model=key, lineage=store.lineage)
            fresh = deployment_record(number, model=key, endpoint=keyed_endpoint())
            store.commit(lease, [PutDeployment(replace(fresh, deployment=made)), PutModel(model_record(key))])
        source = source_record("llm", "other", "gone", origin=str(lab.repository))
        store.commit(lease, [PutSource(source), Append(event("ready", model="llm", text="it answers"))])
        store.release(lease)


COMMANDS = [
    *(["--dry-run", "--format", form] for form in ("text", "json", "markdown", "github")),
    *(["validate", "--format", form] for form in ("text", "json", "markdown", "github")),
    *(["config", "--format", form] for form in ("yaml", "json")),
    *(["status", "--format", form] for form in ("text", "json")),
    *(["history", "--format", form] for form in ("text", "json")),
    *(
        ["explain", "llm"],
        ["logs", "llm"],
        ["drivers"],
        ["doctor"],
        ["render"],
        ["models", "ls"],
        ["status", "--refresh"],
    ),
    *(["--dry-run", "--refresh"], ["models", "pull", "other"], ["protect", "llm"], ["--yes", "--timeout", "5s"]),
    *(["destroy", "--yes", "--timeout", "5s"], ["recover"]),
]


def test_all_twelve_are_planted(planted: Lab) -> None:
    lying = b"\n".join(path.read_bytes() for path in sources(planted))
    assert set(found(lying + "\n".join(planted.environment.values()).encode())) == set(NAMES)


def test_no_command_tells_a_secret(planted: Lab) -> None:
    record(planted)
    bad = {}
    for given in COMMANDS:
        done = planted.reconcile("--config", str(planted.configuration), *given)
        assert "Traceback" not in done.stderr, (given, done.stderr)
        told = found((done.stdout + done.stderr).encode())
        if told:
            bad[" ".join(given)] = told
    assert not bad
    assert not found_in_files(planted.folder, apart_from=sources(planted))


ERRORS = (
    *("models: {llm: {model: '%s'}}", "models: {llm: {model: a, runtime_flags: ['%s']}}", "x-cloud-options: ['a=%s']"),
    *(
        "name: '%s'",
        "include: ['%s']",
        "include: [{path: a.yaml, env_file: '%s'}]",
        "networks: '%s'",
        "x-a: '${LOST?%s}'",
    ),
    *("services: {app: {image: x, networks: ['%s']}}", "services: {app: {image: x, cap_add: ['%s', '%s']}}"),
    *("services: {app: {image: x, extends: {file: '%s', service: a}}}", "services: {app: '%s'}", "%s: 1", "[%s"),
    *(
        "include: [{path: inc.yaml, env_file: .git/config}]",
        "include: [{path: inc.yaml, env_file: /proc/self/environ}]",
    ),
    *("include: [{path: inc.yaml, env_file: ../home/.aws/credentials}]", "include: [../home/.docker/config.json]"),
)
DOTENV = (
    "COMPOSE_FILE=%s",
    "COMPOSE_PROJECT_NAME=%s",
    "COMPOSE_PROFILES=%s",
    "COMPOSE_DISABLE_ENV_FILE=%s",
    "A=${B?%s}",
)


@pytest.mark.parametrize("form", ["text", "github"])
def test_no_mistake_in_a_pull_request_makes_us_tell_one(planted: Lab, form: str) -> None:
    (planted.repository / "inc.yaml").write_text("services: {inc: {image: x}}\n")
    names = (*ENVIRONMENT, "aws_secret_access_key", "extraheader")
    whole = "-".join(f"${{{name}:-}}" for name in names)
    for text in ERRORS:
        (planted.repository / "compose.yaml").write_text(text.replace("%s", whole) + "\n")
        _assert_silent(planted, form, text)
    (planted.repository / "compose.yaml").write_text(COMPOSE)
    for text in DOTENV:
        (planted.repository / ".env").write_text(text.replace("%s", whole) + "\n")
        _assert_silent(planted, form, text)


def _assert_silent(lab: Lab, form: str, text: str) -> None:
    done = lab.reconcile("--config", str(lab.configuration), "--dry-run", "--format", form)
    assert "Traceback" not in done.stderr, (text, done.stderr)
    assert not found((done.stdout + done.stderr).encode()), (text, done.stdout, done.stderr)


def test_the_service_writes_none_into_its_log_its_state_or_its_files(planted: Lab, registry: Scripted) -> None:
    with planted.serve() as service:
        # The registry was asked with the password, and let nobody in: that is what the log and the record tell of.
        wait_for("a refused pull", lambda: _asked_with_password(registry), within_s=30)
        wait_for("its failure in the log", lambda: b"other" in planted.log.read_bytes(), within_s=30)
        argv = Path(f"/proc/{service.process.pid}/cmdline").read_bytes()
        assert service.stop() == 0
    assert not found(argv)
    assert not found_in_files(planted.folder, apart_from=sources(planted))
    history = planted.reconcile("--config", str(planted.configuration), "-p", "demo", "history")
    assert not found((history.stdout + history.stderr).encode())


def _asked_with_password(registry: Scripted) -> bool:
    return any("Authorization" in request.headers for request in registry.requests)


@pytest.mark.llama
def test_a_models_key_is_in_its_private_files_and_nowhere_else(labs: Labs) -> None:
    """With a real server: its key is in files of mode 0600, not in its arguments, its log, the record or any output."""
    lab = labs.make()
    config = ("--config", str(lab.configuration))
    assert lab.reconcile(*config).returncode == 0
    key = {"the key": lab.values("quickstart", "app")["LLM_API_KEY"]}
    (server,) = lab.servers()
    assert not found(Path(f"/proc/{server.pid}/cmdline").read_bytes(), key)
    assert not found(Path(f"/proc/{server.pid}/environ").read_bytes(), key)
    for given in ([], *COMMANDS[:16], ["logs", "llm"], ["doctor"], ["status", "--refresh"], ["render"]):
        done = lab.reconcile(*config, *given)
        assert not found((done.stdout + done.stderr).encode(), key), given
    holders = [path for path in lab.folder.rglob("*") if path.is_file() and found(path.read_bytes(), key)]
    assert holders
    assert {stat.S_IMODE(path.stat().st_mode) for path in holders} == {0o600}
    assert all("key" in path.name or "keys" in path.parent.name for path in holders), holders


def test_a_canary_is_found_in_every_disguise() -> None:
    assert len(SECRETS) == 12
    for name in NAMES:
        for form in disguises(SECRETS[name]):
            assert found(b"before " + form + b" behind") == [name]
        for prefix in ("", "a", "ab", "me:"):
            encoded = base64.b64encode(f"{prefix}{SECRETS[name]}.".encode())
            assert found(encoded) == [name], prefix
    assert not found(b"nothing")
