"""Promise: killing the service with -9 at any moment and starting it again never yields a second server for a model,
never one that nobody manages, and ends in the desired state all the same."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from infra.lab import Lab, ModelServer, Service, complete, wait_for
from tests.integration.conftest import Labs

pytestmark = [pytest.mark.llama, pytest.mark.slow, pytest.mark.timeout(240)]

LIVES = 8
LONGEST_LIFE_S = 2.5
"""Long enough for a start, a switch and the removal of the old server to lie within some of the lives."""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killing_and_starting_again_never_doubles_a_server(labs: Labs, seed: int) -> None:
    lab = labs.make()
    chance = random.Random(seed)
    context_size = 1024
    for life in range(LIVES):
        if chance.random() < 0.5:  # a change under way makes for the more interesting moments
            lab.edit("compose.yaml", f"context_size: {context_size}", f"context_size: {context_size + 256}")
            context_size += 256
            lab.commit(f"change before life {life}")
        with lab.serve() as service:
            _live(lab, service, chance.uniform(0.0, LONGEST_LIFE_S))
    with lab.serve() as service:
        wait_for("one server, of the last commit", lambda: _is_settled(lab, context_size), within_s=60)
        assert service.stop() == 0
    _destroy(lab)


def test_a_server_outlives_the_killed_service_and_is_taken_back(labs: Labs) -> None:
    lab = labs.make()
    with lab.serve() as service:
        before = wait_for("a server that answers", lambda: _answering(lab), within_s=60)
        service.kill()
    assert lab.servers() == before
    with lab.serve() as service:
        wait_for("the new service knows it", lambda: _announced(lab) == 2, within_s=30)
        assert lab.servers() == before
        assert service.stop() == 0
    _destroy(lab)


def _live(lab: Lab, service: Service, seconds: float) -> None:
    """Let the service live that long, looking all the while, then kill it."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        _check(lab)
        assert service.process.poll() is None, lab.log.read_text(encoding="utf-8")[-3000:]
    service.kill()
    _check(lab)


def _check(lab: Lab) -> None:
    """Never two processes for one deployment; never more than the present one and its replacement."""
    servers = lab.servers()
    deployments = {server.deployment for server in servers}
    assert len(deployments) == len(servers), f"two processes for one deployment: {servers}"
    assert len(deployments) <= 2, f"more than a deployment and its replacement: {servers}"


def _is_settled(lab: Lab, context_size: int) -> bool:
    servers = _answering(lab)
    return len(servers) == 1 and str(context_size) in _arguments(servers[0])


def _answering(lab: Lab) -> tuple[ModelServer, ...]:
    """The servers, all of them known to the record, where what is written gives a completion; else none."""
    values = lab.values("quickstart", "app")
    if "LLM_URL" not in values:
        return ()
    try:
        complete(values, "One, two,", tokens=2)
    except OSError:
        return ()
    servers = lab.servers()
    recorded = lab.reconcile(
        "status", "--config", str(lab.configuration), "-p", "quickstart", "--format", "json"
    ).stdout
    return servers if all(server.deployment in recorded for server in servers) else ()


def _announced(lab: Lab) -> int:
    """How often a service said that the model is ready: once by each that found it so."""
    return lab.log.read_text(encoding="utf-8").count("llm: ready at ")


def _arguments(server: ModelServer) -> list[str]:
    return Path(f"/proc/{server.pid}/cmdline").read_text(encoding="utf-8").split("\0")


def _destroy(lab: Lab) -> None:
    """What is managed can be deleted: afterwards nothing of this world runs."""
    done = lab.reconcile("--config", str(lab.configuration), "-p", "quickstart", "destroy", "--yes")
    assert done.returncode == 0, done.stderr
    wait_for("nothing runs", lambda: lab.servers() == (), within_s=30)


def test_a_service_that_is_stopped_while_it_starts_ends(labs: Labs) -> None:
    """A signal that comes just before the main thread goes to sleep for good was lost: it must wake up now and then."""
    lab = labs.make()
    with lab.serve() as service:
        wait_for("a server that answers", lambda: _answering(lab), within_s=60)
        assert service.stop() == 0
    for _ in range(10):
        known = _announced(lab)
        with lab.serve() as service:
            wait_for("the service has looked", lambda known=known: _announced(lab) > known, within_s=30, every_s=0.001)
            assert service.stop(timeout_s=10) == 0
    _destroy(lab)
