"""What needs the service: a commit's way to a written endpoint, how soon a change is acted on, and idle memory."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import cast

from infra.bench.measure import Result, percentile
from infra.lab import CHECKOUT, PARTS, Lab, wait_for
from reconciler.clock import SystemClock
from reconciler.daemon import Daemon, Followed
from reconciler.engine import Engine
from reconciler.reading import Reader
from reconciler.result import PassResult
from reconciler.settings import ProjectSettings, default_settings
from reconciler.wiring import service_reader

GGUF = Path(os.environ.get("RECONCILE_TEST_MODEL", PARTS / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"))
STARTS = 7
CHANGES = 20
BURST_IS_OVER_S = 1.2
"""Seconds between two changes: one person's commits, not a storm, which is answered once per second on purpose."""


def endpoint_against_bare_server(folder: Path) -> Iterator[Result]:
    """A commit's way to the written endpoint, against the same llama-server started by hand until it says it is well.

    The reconciler's share is everything: noticing the commit, reading it, the plan, durable intent, the start, a real
    completion as the proof, the files. Each round starts both, one after the other.
    """
    lab = _lab(folder)
    ours: list[float] = []
    bare: list[float] = []
    context_size = 1024
    with lab.serve():
        wait_for("the first endpoint", lambda: _url(lab), within_s=60)
        for _ in range(STARTS):
            context_size += 256
            ours.append(_commit_to_endpoint(lab, context_size))
            bare.append(_bare_start(context_size))
            time.sleep(BURST_IS_OVER_S)
    _destroy(lab)
    detail = {"commit to endpoint s": statistics.median(ours), "bare llama-server s": statistics.median(bare)}
    value = detail["commit to endpoint s"] / detail["bare llama-server s"]
    yield Result(name="commit to endpoint written / bare llama-server's start", value=value, aim=1.3, detail=detail)


def change_seen(folder: Path) -> Iterator[Result]:
    """From a branch that has moved to the start of a pass, through the service's own watcher, debounce and queue.

    The engine is a stand-in that notes the time and reads the source, as a pass does first.
    """
    lab = _lab(folder)
    reader = service_reader(ProjectSettings(checkout=lab.repository), default_settings(lab.environment), {})
    engine = _Clocked(reader)
    # The poll is far away, so that what is measured is the watcher's doing.
    daemon = Daemon({"bench": Followed(reader, cast(Engine, engine))}, SystemClock(), poll_interval_s=3600)
    thread = threading.Thread(target=daemon.run)
    thread.start()
    try:
        wait_for("the first pass", lambda: engine.began, within_s=20)
        time.sleep(BURST_IS_OVER_S)
        delays = [_commit_to_pass(lab, engine, number) for number in range(CHANGES)]
    finally:
        daemon.stop()
        thread.join()
    detail = {"median ms": statistics.median(delays) * 1000, "slowest ms": max(delays) * 1000}
    yield Result(
        name="change seen to pass started, p95",
        value=percentile(delays, 0.95) * 1000,
        aim=100,
        unit="ms",
        detail=detail,
    )


class _Clocked:
    """The engine as the service sees it; its passes note when they began, on the wall clock, and read the source."""

    tenure = None

    def __init__(self, reader: Reader) -> None:
        self.began: list[float] = []
        self._reader = reader

    def run_once(self) -> PassResult:
        self.began.append(time.time())
        self._reader.read()
        return PassResult(plan=None, known=None, look_again_s=3600)

    def close(self) -> None:
        """Nothing is held."""


def _commit_to_pass(lab: Lab, engine: _Clocked, number: int) -> float:
    """Seconds from the moment at which the branch's file was written to the first pass that began after it."""
    _set_context_size(lab, 1024 + number)
    lab.commit(f"change {number}")
    written = (lab.repository / ".git" / "refs" / "heads" / "main").stat().st_mtime
    began: list[float] = wait_for("a pass", lambda: [at for at in engine.began if at >= written], within_s=20)
    time.sleep(BURST_IS_OVER_S)
    return began[0] - written


def idle_memory(folder: Path) -> Iterator[Result]:
    """Resident memory of the service with one model that is ready and nothing to do."""
    lab = _lab(folder)
    with lab.serve() as service:
        wait_for("the first endpoint", lambda: _url(lab), within_s=60)
        time.sleep(10)  # several looks at the model's health: what grows with them is seen
        megabytes = service.resident_bytes() / 1e6
    _destroy(lab)
    yield Result(name="resident memory of the idle service", value=megabytes, aim=60, unit="MB")


def _commit_to_endpoint(lab: Lab, context_size: int) -> float:
    """Seconds from a commit to the written endpoint of the new deployment; returns when the old one is gone."""
    before = _url(lab)
    _set_context_size(lab, context_size)
    lab.commit(f"context_size {context_size}")
    began = (lab.repository / ".git" / "refs" / "heads" / "main").stat().st_mtime
    wait_for("the new endpoint", lambda: (url := _url(lab)) and url != before, within_s=60, every_s=0.002)
    taken = time.time() - began
    wait_for("the old server goes", lambda: len(lab.servers()) == 1, within_s=60)
    return taken


def _bare_start(context_size: int) -> float:
    """Seconds from the start of a llama-server to its own word that it is well."""
    server = os.environ.get("RECONCILE_LLAMA_SERVER", str(PARTS / "bin" / "llama-server"))
    port = _free_port()
    command = [server, "--model", str(GGUF.resolve()), "--ctx-size", str(context_size), "--port", str(port)]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for("a bare llama-server", lambda: _is_well(port), within_s=60, every_s=0.002)
        return time.perf_counter() - began
    finally:
        process.terminate()
        process.wait(30)


def _lab(folder: Path) -> Lab:
    timing = {"poll_interval": "30s", "local_bake": "0s", "local_removal_grace": "1s"}
    lab = Lab(folder, os.environ, settings={"timing": timing, "llamacpp": {"bind": "127.0.0.1"}})
    lab.start_repository(CHECKOUT / "examples" / "quickstart")
    done = lab.reconcile("--config", str(lab.configuration), "models", "import", str(GGUF), "--as", "ai/smollm2")
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return lab


def _destroy(lab: Lab) -> None:
    lab.reconcile("--config", str(lab.configuration), "-p", "quickstart", "destroy", "--yes")
    lab.clean_up()


def _url(lab: Lab) -> str | None:
    return lab.values("quickstart", "app").get("LLM_URL")


def _set_context_size(lab: Lab, context_size: int) -> None:
    path = lab.repository / "compose.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines = [f"    context_size: {context_size}" if "context_size:" in line else line for line in lines]
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def _is_well(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
