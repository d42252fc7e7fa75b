"""A platform in a process of its own, on loopback: `python -m infra.cloud.server STATE FOLDER…` prints its port.

What it does with things is `drivers.fake`'s; this file only carries it over HTTP, and looks at the client's state and
files at the moment of each mutating call, as no account of a client can: what it finds wrong there is kept and told.
It ends with its standard input, so that nobody has to stop it.

    POST /create /update /delete /observe    a deployment → an observation, or the name and text of a driver's error
    POST /owned                              a lineage → the deployments with its tag
    GET  /world                              what there is, what was done, and what was wrong
    POST /keep  /restore  /set               a copy of the world to come back to; its latencies
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from drivers.base import Deployment
from drivers.errors import DriverError
from drivers.fake import FakeDriver, FakePlatform, Thing
from state.codec import decode, encode
from state.open import open_store
from state.record import Intent
from state.store import StateError

LOOK_AGAIN_S = 0.02
"""How soon a client should ask again about what is on its way: nobody wants to wait in a test."""


class World:
    """The platform, and what the client's state and files said when it was called."""

    def __init__(self, state: Path, folders: Sequence[Path]) -> None:
        self._state, self._folders = state, folders
        self._platform = FakePlatform(clock=lambda: datetime.now(UTC), create_s=0.0, delete_s=0.0)
        self._driver = FakeDriver(self._platform)
        self._kept = self._copy()
        self._wrong: list[str] = []
        self._lock = threading.Lock()

    def answer(self, path: str, body: str) -> object:
        """What a request comes to. Raises DriverError, and KeyError for a path that nobody serves."""
        acts: dict[str, Callable[[str], object]] = {
            "/observe": self._observe,
            "/owned": lambda lineage: [encode(one) for one in self._driver.owned(lineage)],
            "/world": lambda _: self._told(),
            "/keep": self._keep,
            "/restore": self._restore,
            "/set": self._set,
            **{f"/{verb}": partial(self._call, verb) for verb in ("create", "update", "delete")},
        }
        with self._lock:
            return acts[path](body)

    def _observe(self, text: str) -> object:
        return encode(self._driver.observe(decode(Deployment, text)))

    def _call(self, verb: str, text: str) -> object:
        deployment = decode(Deployment, text)
        self._wrong += self._without_intent(verb, deployment)
        if verb == "delete":
            self._wrong += self._in_use(deployment)
        seen = getattr(self._driver, verb)(deployment)
        self._wrong += self._too_many()
        return encode(seen)

    def _without_intent(self, verb: str, deployment: Deployment) -> Iterator[str]:
        """Intent before action: the state must hold an open request for exactly this when the call arrives."""
        try:
            with closing(open_store(f"sqlite:{self._state}", readonly=True)) as store:
                record = store.load(deployment.project).deployments.get(deployment.id)
        except StateError as error:
            yield f"{verb} {deployment.name}: the state cannot be read: {error}"
            return
        intent = Intent.DELETE if verb == "delete" else Intent.CREATE
        if record is None or not record.request_open or record.intent is not intent:
            yield f"{verb} {deployment.name}: no open request in the state"

    def _in_use(self, deployment: Deployment) -> Iterator[str]:
        """Nothing is deleted that a service's file points at."""
        thing = self._platform.things.get(deployment.name)
        if thing is None or thing.gone_at is not None:
            return
        for folder in self._folders:
            for path in (*folder.rglob("*.env"), *folder.rglob("compose.models.yaml")):
                if f":{thing.port}/" in path.read_text(encoding="utf-8"):
                    yield f"delete {deployment.name}: {path} points at it"

    def _too_many(self) -> Iterator[str]:
        alive = Counter(
            thing.deployment.model
            for thing in self._platform.things.values()
            if thing.deployment is not None and thing.gone_at is None
        )
        yield from (f"{count} of {model} are alive" for model, count in alive.items() if count > 2)

    def _told(self) -> object:
        self._platform.tidy()
        return {
            "things": [
                {
                    "name": name,
                    "model": thing.deployment.model if thing.deployment is not None else "",
                    "deployment": thing.deployment.id if thing.deployment is not None else "",
                    "spec": thing.deployment.spec.fields() if thing.deployment is not None else {},
                    "port": thing.port,
                    "going": thing.gone_at is not None,
                }
                for name, thing in self._platform.things.items()
            ],
            "journal": self._platform.journal,
            "wrong": self._wrong,
        }

    def _keep(self, _: str) -> object:
        self._kept = self._copy()
        return {}

    def _restore(self, _: str) -> object:
        self._platform.things, self._platform.journal = self._kept
        self._kept = self._copy()
        self._wrong = []
        return {}

    def _copy(self) -> tuple[dict[str, Thing], list[tuple[str, str]]]:
        things = {name: replace(thing) for name, thing in self._platform.things.items()}
        return things, list(self._platform.journal)

    def _set(self, text: str) -> object:
        given = json.loads(text)
        self._platform.create_s, self._platform.delete_s = given["create_s"], given["delete_s"]
        return {}


class Handler(BaseHTTPRequestHandler):
    """One request, one answer; an error of the driver's is one as well."""

    world: World
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve("")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def _serve(self, body: str) -> None:
        try:
            status, answer = 200, self.world.answer(self.path, body)
        except DriverError as error:
            status, answer = 409, {"error": type(error).__name__, "text": str(error)}
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nobody reads it."""


def main(state: str, *folders: str) -> None:
    world = World(Path(state), [Path(folder) for folder in folders])
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"world": world}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
