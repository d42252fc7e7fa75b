"""What runs on the machines: a server per machine, at its own address, told what its user data say and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from infra.localaws.containers import Containers
from infra.localaws.ec2.boot import BadBoot, Container, boot
from infra.localaws.ec2.listeners import Listeners
from infra.localaws.ec2.timers import shuts_down, timed_programs
from infra.localaws.http import Answer, Request

PORT = 8080
_WEIGHTS = frozenset({"--model", "--docker-repo", "--hf-repo", "--hf-file", "--model-url"})
_PLACES = frozenset({"--host", "--port", "--n-gpu-layers", "--revision", "--quantization", "--tensor-parallel-size"})
_VLLM = {"--served-model-name": "--alias", "--max-model-len": "--ctx-size"}


@dataclass(slots=True)
class Machine:
    """One that has booted, well or not."""

    address: str
    container: Container | None
    timed: tuple[str, ...] = ()
    """The programs that its timers start every minute."""
    lines: list[str] = field(default_factory=list)


class Machines:
    """Real llama-servers where the cloud has real containers, which can be started at any address; else echoes."""

    def __init__(self, containers: Containers) -> None:
        self._run: Any = getattr(containers, "run", None)
        self._containers = containers
        self._listeners = Listeners()
        self.booted: dict[str, Machine] = {}
        self._silent: set[str] = set()

    def start(self, id: str, address: str, user_data: str, parameters: Mapping[str, str] | None) -> None:
        """It boots, once; a second time changes nothing."""
        if id in self.booted:
            return
        timed = timed_programs(user_data)
        try:
            machine = Machine(address, boot(user_data, parameters), timed)
        except BadBoot as error:
            self.booted[id] = Machine(address, None, timed, [str(error)])
            return
        assert machine.container is not None
        self.booted[id] = machine
        machine.lines.append(f"compose-model: {machine.container.image} {' '.join(machine.container.arguments)}")
        if self._run is not None:
            self._run(_key(id), _words(machine.container, self._containers), host=address, port=PORT)
        else:
            self._listeners.open(address, PORT, lambda request: self._echo(id, request))

    def shuts_down(self, id: str, tags: Mapping[str, str] | None, now: datetime) -> bool:
        """Whether one of its timers' programs shuts it down at this time, with these tags to be read by it."""
        return any(shuts_down(program, tags, now) for program in self.booted[id].timed)

    def stop(self, id: str) -> None:
        """Its power is cut."""
        machine = self.booted.pop(id, None)
        if machine is None or machine.container is None:
            return
        if self._run is not None:
            self._containers.stop(_key(id))
        else:
            self._listeners.close(machine.address, PORT)

    def stop_all(self) -> None:
        for id in tuple(self.booted):
            self.stop(id)
        self._listeners.close_all()
        self._silent.clear()

    def open(self, address: str, answering: Any) -> None:
        """A load balancer's address answers as well."""
        self._listeners.open(address, PORT, answering)

    def close(self, address: str) -> None:
        self._listeners.close(address, PORT)

    def silence(self, id: str, silent: bool) -> None:
        """From now on an echo fails its health check and answers nothing, or is well again."""
        (self._silent.add if silent else self._silent.discard)(id)

    def console(self, id: str) -> str:
        """What it wrote."""
        machine = self.booted.get(id)
        if machine is None:
            return ""
        return "\n".join((*machine.lines, *self._containers.lines(_key(id)))) + "\n"

    def answer(self, id: str, request: Request) -> Answer:
        """What the machine answers to a request that a load balancer hands on."""
        machine = self.booted.get(id)
        if machine is None or machine.container is None:
            return _json(503, {"error": "no answer"})
        return self._echo(id, request) if self._run is None else _forwarded(machine.address, request)

    def _echo(self, id: str, request: Request) -> Answer:
        machine = self.booted.get(id)
        if machine is None or machine.container is None or id in self._silent:
            return _json(503, {"error": "not well"})
        if request.path == "/health":
            return _json(200, {"status": "ok"})
        container = machine.container
        if container.key and request.headers.get("authorization") != f"Bearer {container.key}":
            return _json(401, {"error": {"message": "Invalid API Key"}})
        if request.path == "/v1/models":
            return _json(200, {"data": [{"id": container.model}]})
        if request.path == "/slots":
            return _json(200, [{"is_processing": False}])
        asked = json.loads(request.body or b"{}")
        return _json(200, {"model": asked.get("model"), "choices": [_choice(asked)], "data": [{"embedding": [0.1]}]})


def _choice(asked: Mapping[str, Any]) -> dict[str, Any]:
    said = asked["messages"][-1]["content"] if asked.get("messages") else asked.get("prompt", "")
    return {"index": 0, "message": {"role": "assistant", "content": f"echo: {said}"}, "finish_reason": "stop"}


def _words(container: Container, containers: Any) -> Sequence[str]:
    """The engine's arguments for a llama-server on the weights at hand, without those that name weights or a place."""
    words: list[str] = ["--model", containers.weights(), *(("--api-key", container.key) if container.key else ())]
    rest = list(container.arguments)
    while rest:
        word = rest.pop(0)
        if word in _WEIGHTS | _PLACES:
            rest.pop(0)
        else:
            words.append(_VLLM.get(word, word))
    return words


def _forwarded(address: str, request: Request) -> Answer:
    import http.client

    connection = http.client.HTTPConnection(address, PORT, timeout=60)
    kept = {name: value for name, value in request.headers.items() if name in ("authorization", "content-type")}
    try:
        connection.request(request.method, request.target, request.body, kept)
        said = connection.getresponse()
        return Answer(said.status, {"Content-Type": said.getheader("Content-Type", "")}, said.read())
    except (OSError, http.client.HTTPException):
        return _json(502, {"error": "the machine broke off"})
    finally:
        connection.close()


def _key(id: str) -> str:
    return f"ec2/{id}"


def _json(status: int, said: Any) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(said).encode())
