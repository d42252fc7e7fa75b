"""An engine run from the command line: its lease kept and given back, pass by pass, with progress on screen."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.base import Phase
from drivers.values import duration
from reconciler.clock import SystemClock
from reconciler.commands.project import Mistake, ProjectContext, durable_store
from reconciler.engine import Engine
from reconciler.errors import ReconcilerError
from reconciler.manner import Manner
from reconciler.moment import Removals
from reconciler.plan import Action
from reconciler.progress import Progress, Row
from reconciler.publish import refuse_foreign
from reconciler.reading import Reads
from reconciler.result import PassResult
from state.store import StateError

if TYPE_CHECKING:
    from reconciler.inbox import Inbox
    from state.record import DeploymentRecord, Recorded


@contextmanager
def engine_for(
    context: ProjectContext,
    arguments: argparse.Namespace,
    reads: Reads,
    *,
    confirmed: bool,
    override: Path | None = None,
) -> Iterator[Engine]:
    """An engine for one reading, with a store that is made where none ever was; its lease is kept while it works, and
    given back. `override` is where that file is looked for when neither --output nor a Compose file says so."""
    from reconciler.tenure import KEEP_EVERY_S
    from reconciler.timers import Ticker
    from reconciler.wiring import LaunchWords, RuleBook, beside_compose, build_engine, holder, inbox_for, places_for

    # Without a handler of its own, Python writes every warning of ours into the middle of the progress.
    logging.getLogger("reconciler").addHandler(logging.NullHandler())
    logging.getLogger("drivers").addHandler(logging.NullHandler())
    wish = Path(arguments.output) if arguments.output is not None else override
    settings, project = context.settings, reads.read().project
    places = places_for(settings, project, wish or beside_compose(project))
    refuse_foreign(places.override)
    with closing(durable_store(settings)) as store:
        engine = build_engine(
            settings=settings,
            reader=reads,
            store=store,
            places=lambda project: places,
            manner=Manner(
                rules=RuleBook(settings, os.environ),
                policy=settings.policy,
                holder=holder(),
                lease_ttl_s=settings.timing.lease_ttl_s,
                sweep_every_s=settings.timing.sweep_interval_s,
                sweep_grace_s=settings.timing.sweep_grace_s,
                roll_out=getattr(arguments, "roll_out", False),
                removals=Removals.CONFIRMED if confirmed else Removals.HELD,
                forced=arguments.force,
                anew=True,
            ),
            drivers=context.drivers,
            launch=LaunchWords(
                environment=os.environ, env_files=tuple(arguments.env_files), profiles=tuple(arguments.profiles)
            ),
        )
        keeper = Ticker("lease", KEEP_EVERY_S, partial(_keep, engine))
        keeper.start()
        # Like Ctrl-C: the table gives the cursor back, the lease is released, and it is said how things stand.
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            yield engine
        finally:
            signal.signal(signal.SIGTERM, before)
            keeper.stop()
            with suppress(StateError):  # closing the store frees the lease as well
                _take_up(engine, inbox_for(settings, store))
                engine.close()


def run_until_done(engine: Engine, progress: Progress, limit_s: float) -> PassResult:
    """Passes, with the pauses that the platforms ask for, until nothing is on its way any more or time is up."""
    clock = SystemClock()
    deadline, told = clock.monotonic() + limit_s, set[str]()
    while True:
        result = engine.run_once()
        for text in (*result.published.cautions, *result.published.repaired, *_errors(result), *_failures(result)):
            if text not in told:
                told.add(text)
                progress.say(f"warning: {text}")
        if result.known is not None:
            progress.update(tuple(rows(result.known, clock.now())), clock.monotonic())
        if result.stuck:
            raise ReconcilerError(result.stuck)
        if not result.pending or clock.monotonic() >= deadline:
            return result
        clock.sleep(min(result.look_again_s, max(deadline - clock.monotonic(), 0.0), 5.0))


def rows(known: Recorded, now: datetime) -> Iterator[Row]:
    """The recorded deployments as they are shown, by model and age."""
    for record in sorted(
        known.deployments.values(), key=lambda record: (record.deployment.model, record.deployment.id)
    ):
        yield row(record, now)


def row(record: DeploymentRecord, now: datetime) -> Row:
    ready = record.ready_at
    left = "services were pointed elsewhere" if record.retired_at and not record.active else ""
    return Row(
        model=record.deployment.model,
        driver=record.driver,
        phase=record.phase,
        detail=record.failure or record.detail or left,
        elapsed_s=(now - record.phase_since).total_seconds(),
        ready_after_s=(ready - record.created_at).total_seconds() if ready else None,
        endpoint=record.endpoint.url if record.endpoint and record.phase is Phase.READY else "",
        deployment=record.deployment.id,
    )


def timeout_s(text: str) -> float:
    """`--timeout` in seconds; `off` waits for ever. Raises Mistake."""
    try:
        given = duration(text)
    except ValueError as exc:
        raise Mistake(f"--timeout: {exc}") from None
    return float("inf") if given is None else given


def _take_up(engine: Engine, inbox: Inbox | None) -> None:
    """What people asked for while we held the lease: nobody else may be there to do it."""
    if inbox is not None and engine.tenure is not None:
        inbox.take_up(engine.tenure.lease)


def _keep(engine: Engine) -> None:
    """A pass may last longer than the lease: calls are slow, and restarting services is slower."""
    tenure = engine.tenure
    if tenure is not None:
        with suppress(StateError):  # the next write says it, in the thread that can stop for it
            tenure.keep()


def _failures(result: PassResult) -> Iterator[str]:
    """Attempts that came to nothing, with the platform's words."""
    for done in result.applied:
        if done.step.action is Action.DELETE and done.step.cause.startswith("it failed"):
            yield f"{done.step.model}: {done.step.cause}"


def _errors(result: PassResult) -> Iterator[str]:
    return (f"{done.step.model}: {done.error}" for done in result.applied if done.error is not None)
