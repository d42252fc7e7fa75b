"""What runs on the instances: a container per deployed model, started from the model's own environment.

`Echo` answers at once with what it was asked, for tests of hundreds of endpoints and of crashes; real ones are in
`servers.py`. Both look the same to the rest of the cloud.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from infra.localaws.http import Answer, Request


class State(Enum):
    """Where a container stands."""

    STARTING = "starting"
    RUNNING = "running"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Container:
    """What is to run: the image and the environment, as a model says them, and whether weights of its own lie in
    `/opt/ml/model`."""

    image: str
    environment: Mapping[str, str] = field(default_factory=dict)
    has_weights: bool = False


class Containers(Protocol):
    """The containers that run, each under a key of its owner's choice."""

    def start(self, key: str, container: Container) -> None:
        """Start it, unless one with this key is there already; return at once."""
        ...

    def state(self, key: str) -> State:
        """Where it stands; BROKEN for one that was never started."""
        ...

    def lines(self, key: str) -> tuple[str, ...]:
        """What it wrote so far, line by line."""
        ...

    def chat(self, key: str, request: Request) -> Answer:
        """What it answers to a chat completion."""
        ...

    def stop(self, key: str) -> None:
        """End it; nothing where there is none."""
        ...

    def keys(self) -> tuple[str, ...]:
        """Those that were started and not stopped."""
        ...

    def await_started(self, timeout_s: float) -> None:
        """Return when none is STARTING any more, or after so much real time."""
        ...

    def stop_all(self) -> None: ...


class Echo:
    """Containers that only repeat the last message of a request. An image or a value that is to be broken is said to
    `break_containers`, one that is to fail at its work to `fail_answers`."""

    def __init__(self) -> None:
        self._running: dict[str, Container] = {}
        self._broken: set[str] = set()
        self._failing: set[str] = set()

    def break_containers(self, text: str | None) -> None:
        """From now on a container with this text in its image or environment does not pass its health check; None: all
        are well again."""
        self._broken = set() if text is None else self._broken | {text}

    def fail_answers(self, text: str | None) -> None:
        """The same for what passes its health check and answers every request with status 500."""
        self._failing = set() if text is None else self._failing | {text}

    def start(self, key: str, container: Container) -> None:
        self._running.setdefault(key, container)

    def state(self, key: str) -> State:
        return State.RUNNING if key in self._running and not self._has(key, self._broken) else State.BROKEN

    def _has(self, key: str, texts: set[str]) -> bool:
        """Whether one of the texts is in the image or the environment of a container that runs."""
        container = self._running.get(key)
        said = json.dumps([container.image, dict(container.environment)]) if container is not None else ""
        return any(text in said for text in texts)

    def lines(self, key: str) -> tuple[str, ...]:
        container = self._running.get(key)
        if container is None:
            return ()
        ready = self.state(key) is State.RUNNING
        return (f"echo: starting {container.image}", "echo: listening" if ready else "echo: failed the health check")

    def chat(self, key: str, request: Request) -> Answer:
        if self._has(key, self._failing):
            return Answer(500, {"Content-Type": "application/json"}, b'{"error": {"message": "the engine failed"}}')
        asked = json.loads(request.body)
        answer = _completion(asked)
        if not asked.get("stream"):
            return Answer(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())
        pieces = (f"data: {json.dumps(_piece(answer))}\n\n".encode(), b"data: [DONE]\n\n")
        return Answer(200, {"Content-Type": "text/event-stream"}, iter(pieces))

    def stop(self, key: str) -> None:
        self._running.pop(key, None)

    def keys(self) -> tuple[str, ...]:
        return tuple(self._running)

    def await_started(self, timeout_s: float) -> None:
        """They start at once."""

    def stop_all(self) -> None:
        self._running.clear()
        self._broken.clear()
        self._failing.clear()


def _completion(asked: Mapping[str, Any]) -> dict[str, Any]:
    content = asked["messages"][-1]["content"]
    words = len(str(content).split())
    return {
        "id": "chatcmpl-echo",
        "object": "chat.completion",
        "created": 0,
        "model": asked.get("model") or "echo",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": f"echo: {content}"}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": words, "completion_tokens": words + 1, "total_tokens": 2 * words + 1},
    }


def _piece(answer: Mapping[str, Any]) -> dict[str, Any]:
    choice = answer["choices"][0]
    delta = {"index": 0, "delta": choice["message"], "finish_reason": "stop"}
    return {**answer, "object": "chat.completion.chunk", "choices": [delta]}
