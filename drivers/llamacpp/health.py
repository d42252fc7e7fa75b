"""Whether a living server does its work: ready by a real answer, alive by its health check, hung by silence.

A process that runs proves little: it may be loading, it may have lost its port to somebody else, it may be stopped. So
the first READY needs all of: our process, a server that lists our unique alias and demands our key, and a real answer.

One that is silent is asked on a thread of its own: its answer may take long, and the other models must not wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from drivers import probe
from drivers.base import Auth, Endpoint, Observation, Phase
from drivers.llamacpp import log
from drivers.llamacpp.record import RunRecord
from drivers.llamacpp.rundir import RunFolder

MISSES = 3
"""Health checks in a row without an answer before a real request decides."""
SILENCES = 2
"""Real requests in a row without an answer before the server counts as hung."""
HUNG_TIMEOUT_S = 0.2
"""Seconds that a server which counts as hung has for its health check: one that woke up answers at once."""

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class _Question:
    """A real request that is on its way, on a thread of its own."""

    def __init__(self, ask: Callable[[], probe.Answer]) -> None:
        self.is_answered: bool | None = None
        """None while it is on its way."""
        self._ask = ask
        threading.Thread(target=self._run, name="question", daemon=True).start()

    def _run(self) -> None:
        answered = False
        try:
            answered = self._ask().ok
        finally:
            self.is_answered = answered


@dataclass(slots=True)
class _Silence:
    """How long a server has been silent: evidence of this process only, and cheap to gather again."""

    misses: int = 0
    failed_answers: int = 0
    question: _Question | None = None

    @property
    def is_hung(self) -> bool:
        return self.failed_answers >= SILENCES


@dataclass(slots=True)
class Health:
    """Judges living servers. Keeps count of their silences between two looks."""

    health_timeout_s: float
    answer_timeout_s: float
    silences: dict[str, _Silence] = field(default_factory=dict)

    def observe(self, folder: RunFolder, record: RunRecord, age_s: float) -> Observation:
        """What a server that runs is worth; `age_s` is how long ago it was started, in seconds."""
        if record.keyed and not folder.key_file.exists():
            return Observation(phase=Phase.FAILED, detail="the file with its key is gone", handle=handle(record))
        if folder.is_ready():
            return self._still_well(folder, record)
        missing = self._first_answer(folder, record)
        if missing:
            return creating(missing, record, age_s)
        folder.mark_ready()
        return self._ready(folder, record)

    def in_flight(self, folder: RunFolder, record: RunRecord) -> int | None:
        """Requests that the server is answering; None where it is not there to tell, or hangs."""
        silence = self.silences.get(record.deployment.id)
        if silence is not None and silence.is_hung:
            return None
        return probe.busy_slots(base_url(record), key=key_of(folder, record), timeout_s=self.health_timeout_s)

    def _first_answer(self, folder: RunFolder, record: RunRecord) -> str:
        """What is still missing to READY; empty when nothing is."""
        url, key = base_url(record), key_of(folder, record)
        health = probe.health(url, path=_health_path(record), timeout_s=self.health_timeout_s)
        if health.status is None:
            return "the server is starting"
        if not health.ok:
            return "the server is loading the model"
        if key is not None and probe.models(url, timeout_s=self.health_timeout_s).status not in (401, 403):
            return "the port is answered by a server that does not ask for our key"
        names = probe.models(url, key=key, timeout_s=self.health_timeout_s).names
        # Releases before comma-separated aliases list the whole text as one name.
        if not any(record.deployment.name in name.split(",") for name in names):
            return "the port is answered by a server that is not ours"
        answer = self._ask(folder, record)
        return "" if answer.ok else f"the model does not answer yet: {answer.detail}"

    def _still_well(self, folder: RunFolder, record: RunRecord) -> Observation:
        id = record.deployment.id
        log.bound(folder.log)
        silence = self.silences.get(id, _Silence())
        if self._has_answered(folder, record, silence):
            self.silences.pop(id, None)
            return self._ready(folder, record)
        self.silences[id] = silence
        if silence.is_hung:
            return Observation(
                phase=Phase.FAILED, detail="the server hangs: it is alive and answers nothing", handle=handle(record)
            )
        if silence.failed_answers:
            detail = "the server is alive and answers neither its health check nor a request"
            return self._ready(folder, record, phase=Phase.DEGRADED, detail=detail, look_again_s=1.0)
        return self._ready(folder, record, look_again_s=1.0)

    def _has_answered(self, folder: RunFolder, record: RunRecord, silence: _Silence) -> bool:
        """Whether the server has shown that it is well; if not, the silence grows, or a question is on its way."""
        if silence.question is None:
            timeout_s = min(HUNG_TIMEOUT_S, self.health_timeout_s) if silence.is_hung else self.health_timeout_s
            if probe.health(base_url(record), path=_health_path(record), timeout_s=timeout_s).status is not None:
                return True
            silence.misses += 1
            if silence.misses >= MISSES and not silence.is_hung:
                silence.question = _Question(lambda: self._ask(folder, record))
            return False
        if silence.question.is_answered is False:
            silence.failed_answers += 1
        if silence.question.is_answered is not None:
            answered, silence.question = silence.question.is_answered, None
            return answered
        return False

    def _ask(self, folder: RunFolder, record: RunRecord) -> probe.Answer:
        """A real request of the kind the model is for."""
        url, key = base_url(record), key_of(folder, record)
        written = record.deployment.spec.options.get("cloud.health-prompt")
        prompt = written or "Hi"
        if record.purpose == "embedding":
            return probe.embed(url, record.model_id, key=key, text=prompt, timeout_s=self.answer_timeout_s)
        if record.purpose == "rerank":
            return probe.rerank(url, record.model_id, key=key, text=prompt, timeout_s=self.answer_timeout_s)
        if written is None and probe.fill_template(url, key=key, timeout_s=self.health_timeout_s).ok:
            # A chat is its template and a completion. Templates bring a system prompt of their own along, whose
            # inference would prove nothing more and takes longer than everything else we do.
            return probe.continue_text(url, record.model_id, key=key, timeout_s=self.answer_timeout_s)
        return probe.complete(url, record.model_id, key=key, prompt=prompt, timeout_s=self.answer_timeout_s)

    def _ready(
        self,
        folder: RunFolder,
        record: RunRecord,
        *,
        phase: Phase = Phase.READY,
        detail: str = "",
        look_again_s: float | None = None,
    ) -> Observation:
        return Observation(
            phase=phase,
            detail=detail,
            endpoint=endpoint(folder, record),
            handle=handle(record),
            look_again_s=look_again_s,
            spec_digest=record.deployment.spec.digest,
        )


def creating(detail: str, record: RunRecord, age_s: float) -> Observation:
    """On its way. Small models are up in half a second, so the first looks come quickly, later ones less so."""
    return Observation(
        phase=Phase.CREATING,
        detail=detail,
        handle=handle(record),
        look_again_s=min(0.5, max(0.01, age_s / 30)),
        spec_digest=record.deployment.spec.digest,
    )


def base_url(record: RunRecord) -> str:
    """The address of a server as seen from this host."""
    host = _ANYWHERE.get(record.host, record.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{record.port}/v1/"


def endpoint(folder: RunFolder, record: RunRecord) -> Endpoint:
    """Where clients find it."""
    return Endpoint(
        url=base_url(record),
        model_id=record.model_id,
        auth=Auth.API_KEY if record.keyed else Auth.NONE,
        key_file=str(folder.key_file.absolute()) if record.keyed else None,
        on_this_host=True,
    )


def handle(record: RunRecord) -> dict[str, str]:
    """What the state remembers: enough for a person to find the process. The truth is in the run folder."""
    known = {"host": record.host, "port": str(record.port), "boot": record.boot}
    return known if record.pid is None else known | {"pid": str(record.pid), "ticks": str(record.ticks)}


def key_of(folder: RunFolder, record: RunRecord) -> str | None:
    """The key, where the server demands one."""
    return folder.key() if record.keyed else None


def _health_path(record: RunRecord) -> str:
    return record.deployment.spec.options.get("cloud.health-path", "/health")
