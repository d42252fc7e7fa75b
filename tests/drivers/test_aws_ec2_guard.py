"""Promise: a machine ends at its moment with nobody's help, at no other, and never without knowing one.

The program is the one that machines get, run by bash; its metadata service is one on loopback.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from drivers.aws.ec2 import guard

BEFORE, MOMENT, AFTER = "2026-11-28T11:59:59Z", "2026-11-28T12:00:00Z", "2026-11-28T12:00:01Z"
TAG, OURS = "cmr:expires-at", {"cmr:deployment": "01J", "Name": "chat"}
ROOT = "/latest/meta-data/tags/instance"


class Metadata(ThreadingHTTPServer):
    """The second version of EC2's metadata service: a token first. `tags` None: they are not to be read."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tags: Mapping[str, str] | None = None
        self.gives_tokens = True


class _Handler(BaseHTTPRequestHandler):
    server: Metadata

    def do_PUT(self) -> None:
        asked = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
        self._say("a-token" if self.path == "/latest/api/token" and asked and self.server.gives_tokens else None)

    def do_GET(self) -> None:
        tags = self.server.tags
        if self.headers.get("X-aws-ec2-metadata-token") != "a-token" or tags is None:
            self._say(None)
        elif self.path == ROOT:
            self._say("\n".join(tags))
        else:
            self._say(tags.get(self.path.removeprefix(f"{ROOT}/")))

    def _say(self, text: str | None) -> None:
        self.send_response(200 if text is not None else 404)
        self.end_headers()
        self.wfile.write((text or "<html>404 - Not Found</html>").encode())

    def log_message(self, format: str, *arguments: object) -> None: ...


class Machine:
    """One with a folder for what its guard remembers, and commands that only say what they were told."""

    def __init__(self, root: Path, metadata: Metadata) -> None:
        self.metadata, self.url = metadata, f"http://127.0.0.1:{metadata.server_port}"
        self.state, self._bin, self._down = root / "state", root / "bin", root / "down"
        self.state.mkdir()
        self._bin.mkdir()
        for name, text in (("date", 'printf %s "$NOW"'), ("shutdown", 'printf %s "$*" > "$DOWN"')):
            (self._bin / name).write_text(f"#!/bin/sh\n{text}\n")
            (self._bin / name).chmod(0o755)

    def ends(self, now: str, *, url: str | None = None) -> bool:
        """Whether the guard, run at this time, shuts the machine down."""
        environment = {
            "PATH": f"{self._bin}:{os.environ['PATH']}",
            "STATE_DIRECTORY": str(self.state),
            "COMPOSE_MODEL_IMDS": url or self.url,
            "NOW": now,
            "DOWN": str(self._down),
        }
        subprocess.run(["bash", "-s"], input=guard.SCRIPT, env=environment, text=True, timeout=30, check=True)
        if not self._down.exists():
            return False
        assert self._down.read_text() == "-h now"
        self._down.unlink()
        return True


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    metadata = Metadata()
    thread = threading.Thread(target=metadata.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Machine(tmp_path, metadata)
    metadata.shutdown()
    thread.join()
    metadata.server_close()


@pytest.mark.parametrize(("now", "ends"), [(BEFORE, False), (MOMENT, True), (AFTER, True)])
def test_a_machine_ends_at_its_moment(machine: Machine, now: str, ends: bool) -> None:
    machine.metadata.tags = OURS | {TAG: MOMENT}
    assert machine.ends(now) is ends


def test_a_machine_without_a_moment_never_ends(machine: Machine) -> None:
    machine.metadata.tags = OURS
    assert not machine.ends(AFTER)
    assert list(machine.state.iterdir()) == []


def test_a_moment_that_is_moved_reaches_the_machine(machine: Machine) -> None:
    machine.metadata.tags = OURS | {TAG: MOMENT}
    assert not machine.ends(BEFORE)
    machine.metadata.tags = OURS | {TAG: "2026-11-28T13:00:00Z"}
    assert not machine.ends(AFTER)
    machine.metadata.tags = OURS | {TAG: MOMENT}
    assert machine.ends(AFTER)


def test_a_moment_that_was_taken_away_is_forgotten(machine: Machine) -> None:
    machine.metadata.tags = OURS | {TAG: MOMENT}
    assert not machine.ends(BEFORE)
    machine.metadata.tags = OURS
    assert not machine.ends(AFTER)
    machine.metadata.tags = None
    assert not machine.ends(AFTER), "what was forgotten does not come back"


@pytest.mark.parametrize("trouble", ["down", "no token", "no tags", "no list", "garbage"])
def test_a_machine_that_cannot_read_its_moment_goes_by_the_last_one(machine: Machine, trouble: str) -> None:
    machine.metadata.tags = OURS | {TAG: MOMENT}
    assert not machine.ends(BEFORE)
    machine.metadata.gives_tokens = trouble != "no token"
    spoiled: dict[str, Mapping[str, str] | None] = {"no tags": None, "no list": {}, "garbage": OURS | {TAG: "soon"}}
    machine.metadata.tags = spoiled.get(trouble, OURS)
    url = "http://127.0.0.1:1" if trouble == "down" else None
    assert not machine.ends(BEFORE, url=url)
    assert machine.ends(AFTER, url=url)


@pytest.mark.parametrize("known", [None, "", "soon\n", "9999"])
def test_a_machine_that_never_knew_a_moment_does_not_end_because_it_cannot_ask(
    machine: Machine, known: str | None
) -> None:
    if known is not None:
        (machine.state / "expires-at").write_text(known)
    assert not machine.ends(AFTER, url="http://127.0.0.1:1")


def test_a_full_disk_keeps_no_machine_alive(machine: Machine) -> None:
    (machine.state / "expires-at.new").mkdir()  # nothing can be written there
    machine.metadata.tags = OURS | {TAG: MOMENT}
    assert not machine.ends(BEFORE)
    assert machine.ends(AFTER)


def test_a_clock_that_says_nonsense_ends_nothing(machine: Machine) -> None:
    machine.metadata.tags = OURS | {TAG: MOMENT}
    assert not machine.ends("")
    assert not machine.ends("Sat Nov 28 2026")
