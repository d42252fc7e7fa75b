"""The cloud: every request that comes in, what it runs into, and who answers it.

    a request ─► back door /local/… ─► data plane (bearer token) ─► API call: counted ─► fault? ─► overlay, or moto

All API calls are answered one after the other under one lock, so that a world has one history.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from infra.localaws.answers import good_answer
from infra.localaws.books import moto_books
from infra.localaws.calls import Call, Journal, identify
from infra.localaws.clock import Clock, Latencies
from infra.localaws.containers import Containers, Echo
from infra.localaws.errors import AwsError, Protocol, error_answer, unknown_key
from infra.localaws.faults import Fault, Faults, Kind, error_of
from infra.localaws.http import Answer, Dropped, Request
from infra.localaws.moto import Moto
from infra.localaws.overlay import Entry, NotOurs, Overlay, Surroundings, Verb
from infra.localaws.parts import PARTS
from infra.localaws.supply import Supply

BACK_DOOR = "/local/"
STARTED_WITHIN_S = 60.0
"""Real time that a move of the clock waits for real containers to start, at most."""


class Cloud:
    """One world. `answer` is for the server; `perform` is the back door, by the names of `verbs`."""

    def __init__(self, containers: Containers | None = None) -> None:
        self._lock = threading.RLock()
        self.clock, self.latencies, self.supply = Clock(), Latencies(), Supply()
        self.containers: Containers = containers or Echo()
        self.journal, self.faults, self.moto = Journal(), Faults(), Moto()
        around = Surroundings(self.clock, self.latencies, self.supply, self.moto, self.containers, self._lock)
        self.overlays: tuple[Overlay, ...] = tuple(part(around) for part in PARTS)
        self._operations = {key: one for overlay in self.overlays for key, one in overlay.operations().items()}
        self._at_start: frozenset[tuple[str, str, str]] = frozenset()
        theirs = {name: verb for overlay in self.overlays for name, verb in overlay.verbs().items()}
        self._verbs: dict[str, Verb] = {
            name: self._at_once(verb) for name, verb in (self._own_verbs() | theirs).items()
        }
        self._verbs["advance"] = self.advance  # waits for real containers: not under the lock
        self.reset()

    # -- what comes in ------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        """The answer to any request. Raises Dropped where the connection is to break."""
        if request.path.startswith(BACK_DOOR):
            return self._back_door(request)
        call = identify(request)
        if call is not None:
            return self._answer_call(call, self._apply)
        data_call = Call("runtime", _data_operation(request), "", "", Protocol.REST_JSON, request)
        return self._answer_call(data_call, self._answer_data)

    def _answer_call(self, call: Call, apply: Callable[[Call], Answer]) -> Answer:
        with self._lock:
            call = replace(call, number=self.journal.add(call))
            fault = self.faults.take(call)
        if fault is None:
            return apply(call)
        if fault.kind is Kind.REQUEST_LOST:
            raise Dropped
        if (error := error_of(fault, call)) is not None:
            return error_answer(call.protocol, error)
        if fault.kind is Kind.SLOW:
            threading.Event().wait(fault.seconds)
        answer = apply(call)
        if fault.kind is Kind.RESPONSE_LOST:
            raise Dropped
        return answer

    def _apply(self, call: Call) -> Answer:
        with self._lock:
            if self.moto.secret_of(call.access_key) is None:
                return error_answer(call.protocol, unknown_key(call.protocol))
            self._settle()
            for overlay in self.overlays:
                overlay.before(call)
            operation = self._operations.get((call.service, call.operation), _not_ours)
            try:
                return good_answer(call, operation(call))
            except NotOurs:
                return self.moto.answer(call)
            except AwsError as error:
                return error_answer(call.protocol, error)

    def _answer_data(self, call: Call) -> Answer:
        """A request of the data plane: without the lock, so that a model that takes its time holds up nobody."""
        with self._lock:
            self._settle()
        for overlay in self.overlays:
            if (answer := overlay.data_plane(call.request)) is not None:
                return answer
        return Answer(403, {"Content-Type": "application/json"}, b'{"message":"Missing Authentication Token"}')

    def _settle(self) -> None:
        now = self.clock.now()
        for overlay in self.overlays:
            overlay.settle(now)

    # -- the back door ------------------------------------------------------------------------------------------------

    def _back_door(self, request: Request) -> Answer:
        name = request.path.removeprefix(BACK_DOOR)
        try:
            said = self.perform(name, **json.loads(request.body or b"{}"))
        except (KeyError, TypeError, ValueError) as error:
            return Answer(400, {"Content-Type": "application/json"}, json.dumps({"error": str(error)}).encode())
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(said).encode())

    def perform(self, name: str, **arguments: Any) -> Any:
        """Do one thing of the back door. Raises KeyError for a name that it does not have, and TypeError or ValueError
        for arguments that it cannot take."""
        if name not in self._verbs:
            raise KeyError(f"the back door has no {name}: {', '.join(sorted(self._verbs))}")
        return self._verbs[name](**arguments)

    def _own_verbs(self) -> dict[str, Verb]:
        verbs: dict[str, Verb] = {
            "script": lambda kind, **given: self.faults.script(Fault(Kind(kind), **given)),
            "clear-faults": self.faults.clear,
            "latencies": self.latencies.set,
            "capacity": self.supply.set_capacity,
            "quota": self.supply.set_quota,
            "calls": lambda: list(self.journal.names),
            "counts": self.journal.counts,
            "forget-calls": self.journal.clear,
            "books": lambda: [_as_json(entry) for entry in self.books()],
            "everything": lambda: [_as_json(entry) for entry in self._everything()],
            "containers": lambda: list(self.containers.keys()),
            "baseline": self.baseline,
            "reset": self.reset,
        }
        if isinstance(self.containers, Echo):
            verbs["break-containers"] = self.containers.break_containers
            verbs["fail-answers"] = self.containers.fail_answers
        return verbs

    def _at_once(self, verb: Verb) -> Verb:
        """The verb, after everything that is due, with no call between."""

        def performed(**arguments: Any) -> Any:
            with self._lock:
                self._settle()
                return verb(**arguments)

        return performed

    def advance(self, seconds: float) -> None:
        """It is so much later, and what was due by then has happened, real containers' start included."""
        with self._lock:
            self.clock.advance(seconds)
            self._settle()
        self.containers.await_started(STARTED_WITHIN_S)
        with self._lock:
            self._settle()

    def books(self) -> tuple[Entry, ...]:
        """Everything that exists and did not at the baseline."""
        return tuple(entry for entry in self._everything() if _identity(entry) not in self._at_start)

    def _everything(self) -> tuple[Entry, ...]:
        self._settle()
        ours = (entry for overlay in self.overlays for entry in overlay.books())
        return tuple(sorted((*ours, *moto_books(self.moto)), key=_identity))

    def baseline(self) -> None:
        """What exists now was there at the start: the books do not tell of it any more."""
        self._at_start = frozenset(_identity(entry) for entry in self._everything())

    def reset(self) -> None:
        """A new world: nothing in it, real time, no faults, no calls, default latencies and no limits."""
        with self._lock:
            self.containers.stop_all()
            for part in (self.clock, self.latencies, self.supply, self.moto):
                part.reset()
            for overlay in self.overlays:
                overlay.reset()
            self.journal.clear()
            self.faults.clear()
            self._at_start = frozenset()


def _not_ours(call: Call) -> Mapping[str, Any]:
    raise NotOurs


def _data_operation(request: Request) -> str:
    """What the journal calls a request of the data plane: `chat/completions`."""
    return request.path.rpartition("/v1/")[2] or request.path


def _identity(entry: Entry) -> tuple[str, str, str]:
    return entry.service, entry.kind, entry.name


def _as_json(entry: Entry) -> Mapping[str, Any]:
    return {
        "service": entry.service,
        "kind": entry.kind,
        "name": entry.name,
        "usd_per_hour": entry.usd_per_hour,
    }
