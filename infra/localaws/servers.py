"""Real containers: one llama-server per deployed model, on loopback, ended for certain.

Each runs in a process group of its own, told by the kernel to die with the thread that started it. That thread is one
of ours, which lives as long as this process; the threads that answer requests come and go.
"""

from __future__ import annotations

import atexit
import http.client
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra.localaws.containers import Container, State
from infra.localaws.engines import BadContainer, arguments
from infra.localaws.http import Answer, Request

CHAT = "/v1/chat/completions"
ANSWERED_WITHIN_S = 120.0
ENVIRONMENT = {"LLAMA_ARG_THREADS": "1"}
"""What every server gets unless its arguments say otherwise. Threads wait for each other busily: several servers with
more than one each are many times slower on few cores.
"""
_MOST_LINES = 10_000
_LOOK_AGAIN_S = 0.02


class Server:
    """One process, what it wrote, and where it listens; `process` is None for one that could not even begin."""

    def __init__(self, process: subprocess.Popen[str] | None, address: tuple[str, int], lines: list[str]) -> None:
        self.process, self.address, self.lines = process, address, lines
        self._is_ready = False
        if process is not None:
            threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if len(self.lines) < _MOST_LINES:
                self.lines.append(line.rstrip("\n"))

    def state(self) -> State:
        if self.process is None or self.process.poll() is not None:
            return State.BROKEN
        self._is_ready = self._is_ready or _is_healthy(self.address)
        return State.RUNNING if self._is_ready else State.STARTING

    def end(self) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


class Servers:
    """`containers.Containers` with real processes: this llama-server, these weights whatever a model names."""

    def __init__(self, binary: Path, weights: Path) -> None:
        self._binary, self._weights = binary, weights
        self._running: dict[str, Server] = {}
        self._lock = threading.Lock()
        self._starter = ThreadPoolExecutor(1, "container-starter")
        atexit.register(self.stop_all)

    def start(self, key: str, container: Container) -> None:
        try:
            words = arguments(container, str(self._weights))
        except BadContainer as error:
            with self._lock:
                self._running.setdefault(key, Server(None, ("127.0.0.1", 0), [str(error)]))
            return
        self.run(key, words)

    def run(self, key: str, words: Sequence[str], host: str = "127.0.0.1", port: int = 0) -> None:
        """Start a llama-server with these arguments, unless one with this key is there; also for instances that are no
        containers. `host` may be any loopback address; without a port it gets a free one."""
        with self._lock:
            if key not in self._running:
                address = (host, port or _free_port(host))
                process = self._starter.submit(self._spawn, words, address).result()
                self._running[key] = Server(process, address, [])

    def _spawn(self, words: Sequence[str], address: tuple[str, int]) -> subprocess.Popen[str]:
        dying = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
        return subprocess.Popen(
            [*dying, str(self._binary), "--host", address[0], "--port", str(address[1]), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            env=ENVIRONMENT | {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        )

    def weights(self) -> str:
        """The path of the weights, for whoever calls `run`."""
        return str(self._weights)

    def address(self, key: str) -> tuple[str, int] | None:
        server = self._running.get(key)
        return server.address if server is not None and server.process is not None else None

    def state(self, key: str) -> State:
        server = self._running.get(key)
        return server.state() if server is not None else State.BROKEN

    def lines(self, key: str) -> tuple[str, ...]:
        server = self._running.get(key)
        return tuple(server.lines) if server is not None else ()

    def chat(self, key: str, request: Request) -> Answer:
        server = self._running.get(key)
        if server is None or server.state() is not State.RUNNING:
            return Answer(424, {"Content-Type": "application/json"}, b'{"message":"The container did not answer."}')
        return _forwarded(server.address, request)

    def stop(self, key: str) -> None:
        with self._lock:
            server = self._running.pop(key, None)
        if server is not None:
            server.end()

    def keys(self) -> tuple[str, ...]:
        return tuple(self._running)

    def await_started(self, timeout_s: float) -> None:
        limit = time.monotonic() + timeout_s
        while time.monotonic() < limit:
            if not any(server.state() is State.STARTING for server in tuple(self._running.values())):
                return
            time.sleep(_LOOK_AGAIN_S)

    def stop_all(self) -> None:
        for key in tuple(self._running):
            self.stop(key)


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_healthy(address: tuple[str, int]) -> bool:
    connection = http.client.HTTPConnection(*address, timeout=1)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _forwarded(address: tuple[str, int], request: Request) -> Answer:
    """The server's own answer, piece by piece where it comes in pieces."""
    connection = http.client.HTTPConnection(*address, timeout=ANSWERED_WITHIN_S)
    try:
        connection.request("POST", CHAT, request.body, {"Content-Type": "application/json"})
        said = connection.getresponse()
    except (OSError, http.client.HTTPException):
        connection.close()
        return Answer(424, {"Content-Type": "application/json"}, b'{"message":"The container broke off."}')
    headers = {"Content-Type": said.getheader("Content-Type", "application/json")}
    return Answer(said.status, headers, _pieces(connection, said))


def _pieces(connection: http.client.HTTPConnection, said: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while piece := said.read1(65536):
            yield piece
    finally:
        connection.close()
