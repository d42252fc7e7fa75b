"""Promise: with the override file, any docker compose and no Docker Model plugin, a container gets a completion.

What was found out with a real engine (20.10, bridge 172.17.0.1), and is what the override file builds on:

* A container on a user-defined bridge network (Compose's usual `default` network) reaches a server that listens on
  172.17.0.1, the address of `docker0`, through `host.docker.internal` with `extra_hosts:
  host.docker.internal:host-gateway`. It does so while `docker0` itself has no container on it and is shown as DOWN, and
  also on a network that is `internal`.
* A server on 127.0.0.1 is not reached from there: connection refused.
* With `network_mode: host` both 127.0.0.1 and 172.17.0.1 are reached as such; `host.docker.internal` leads nowhere
  unless `extra_hosts` is given, which works there too.
* With `network_mode: none` nothing is reached.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from infra.lab import Lab, wait_for
from tests import parts
from tests.integration.conftest import Labs

pytestmark = [pytest.mark.docker, pytest.mark.llama]

ASK = (
    'wget -q -O - "${LLM_URL}chat/completions" --header "Content-Type: application/json" '
    '--header "Authorization: Bearer $LLM_API_KEY" '
    '--post-data "{\\"model\\": \\"$LLM_MODEL\\", \\"max_tokens\\": 8, '
    '\\"messages\\": [{\\"role\\": \\"user\\", \\"content\\": \\"The capital of France?\\"}]}"'
)


@pytest.fixture
def lab(labs: Labs, engine: parts.Engine) -> Lab:
    """The quickstart on the address that containers reach, brought to its desired state by the one-shot command."""
    made = labs.make(settings={"llamacpp": {"bind": "auto"}})
    made.environment.update(DOCKER_HOST=engine.environment.get("DOCKER_HOST", ""), APP_IMAGE=parts.IMAGE)
    if not made.environment["DOCKER_HOST"]:
        del made.environment["DOCKER_HOST"]
    return made


def test_a_container_on_a_bridge_network_gets_a_completion(lab: Lab, engine: parts.Engine) -> None:
    with lab.serve():
        wait_for("the endpoint", lambda: "LLM_URL" in lab.values("quickstart", "app"), within_s=60)
        answer = json.loads(_run(lab, engine, "app"))
    assert answer["choices"][0]["message"]["content"].strip()
    assert answer["usage"]["completion_tokens"] > 0


def test_a_container_on_the_host_network_gets_a_completion(lab: Lab, engine: parts.Engine) -> None:
    lab.edit("compose.yaml", "    models:\n      - llm", "    network_mode: host\n    models:\n      - llm")
    lab.commit("on the host's network")
    with lab.serve():
        wait_for("the endpoint", lambda: "LLM_URL" in lab.values("quickstart", "app"), within_s=60)
        answer = json.loads(_run(lab, engine, "app"))
    assert answer["choices"][0]["message"]["content"].strip()


def test_without_the_key_a_container_gets_nothing(lab: Lab, engine: parts.Engine) -> None:
    with lab.serve():
        wait_for("the endpoint", lambda: "LLM_URL" in lab.values("quickstart", "app"), within_s=60)
        said = _run(lab, engine, "app", "sh", "-c", f"LLM_API_KEY=guessed; {ASK} 2>&1; true")
    assert "401" in said
    assert "content" not in said


def test_up_alone_works_and_asks_for_no_plugin(lab: Lab, engine: parts.Engine) -> None:
    """`up`, as in the README; `docker compose` without the override would ask for the Docker Model plugin."""
    with lab.serve():
        wait_for("the endpoint", lambda: "LLM_URL" in lab.values("quickstart", "app"), within_s=60)
        try:
            # Not in the foreground: a container that ends sooner than its log can be followed makes `up` fail there.
            done = _compose(lab, engine, "up", "--detach")
            assert done.returncode == 0, done.stderr
            wait_for("the container's completion", lambda: _has_answered(lab, engine), within_s=90, every_s=0.5)
        finally:
            _compose(lab, engine, "down")
    bare = subprocess.run(
        [engine.compose, "-f", "compose.yaml", "create"],
        cwd=lab.repository,
        env=lab.environment,
        capture_output=True,
        text=True,
    )
    assert "Docker Model plugin" in bare.stderr


def _has_answered(lab: Lab, engine: parts.Engine) -> bool:
    """Whether the service printed a completion. One that ended without is started again, as a person would: on a busy
    machine the model may not answer within wget's patience."""
    docker = shutil.which("docker") or "docker"
    logs = subprocess.run(
        [docker, "logs", "quickstart-app-1"], env=lab.environment, capture_output=True, text=True, timeout=60
    )
    if '"completion_tokens"' in logs.stdout:
        return True
    if "quickstart-app-1" not in _compose(lab, engine, "ps").stdout:
        _compose(lab, engine, "up", "--detach")
    return False


def _run(lab: Lab, engine: parts.Engine, *arguments: str) -> str:
    try:
        done = _compose(lab, engine, "run", "--rm", "-T", *arguments)
    finally:
        _compose(lab, engine, "down")
    assert done.returncode == 0, done.stderr
    return done.stdout


def _compose(lab: Lab, engine: parts.Engine, *arguments: str) -> subprocess.CompletedProcess[str]:
    files: list[str | Path] = ["-f", "compose.yaml", "-f", lab.override]
    return subprocess.run(
        [engine.compose, *files, *arguments],
        cwd=lab.repository,
        env=lab.environment,
        capture_output=True,
        text=True,
        timeout=90,
    )
