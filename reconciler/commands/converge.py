"""The one-shot run: passes until nothing is left to do, with progress on standard error."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.base import Phase
from drivers.values import duration
from reconciler.answers import GONE
from reconciler.clock import SystemClock
from reconciler.commands.project import Mistake, ProjectContext, durable_store, print_warning, say
from reconciler.commands.shell import compose_command
from reconciler.commands.up import exit_code, plan_now, print_problem, show
from reconciler.engine import Engine
from reconciler.errors import ReconcilerError, Refused
from reconciler.manner import Manner
from reconciler.moment import Removals
from reconciler.plan import Action, Plan
from reconciler.progress import Progress, Row, open_progress
from reconciler.publish import refuse_foreign
from reconciler.reading import Pinned, Reading, Reads
from reconciler.result import PassResult
from reconciler.text import clean
from state.store import StateError

if TYPE_CHECKING:
    from reconciler.inbox import Inbox
    from state.record import DeploymentRecord, Recorded


def converge(context: ProjectContext, arguments: argparse.Namespace) -> int:
    """Plan, ask, act. Returns the exit code: 0 when everything desired is ready and written."""
    limit = timeout_s(arguments.timeout)
    reading = context.reading
    plan = plan_now(context, forced=arguments.force, refresh=False)
    if not arguments.force:
        check_origin(context, "take the project over with --force")
    if arguments.format == "text" and not arguments.quiet:
        show(plan, "text")
    for problem in reading.desired.problems:
        print_problem(str(problem))
    if plan.refusals and not reading.desired.problems:
        return _nothing_done(context, plan, arguments)
    if _nothing_to_do(context, plan):
        if arguments.format != "text":
            show(plan, arguments.format, reading.project.models)
        say("no service wants a model; nothing to do")
        return 0
    confirmed = arguments.yes or _confirm(plan)
    with (
        engine_for(context, arguments, Pinned(reading), confirmed=confirmed) as engine,
        open_progress(sys.stderr, quiet=arguments.quiet) as progress,
    ):
        result = run_until_done(engine, progress, limit)
    if arguments.format != "text" and result.plan is not None:
        show(result.plan, arguments.format, reading.project.models)
    return _conclude(reading, result, confirmed, arguments)


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
                rules=RuleBook(settings),
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
        keeper = Ticker("lease", settings.timing.lease_ttl_s / 8, partial(_keep, engine))
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
    return Row(
        model=record.deployment.model,
        driver=record.driver,
        phase=record.phase,
        detail=record.failure or record.detail or ("replaced" if record.retired_at and not record.active else ""),
        elapsed_s=(now - record.phase_since).total_seconds(),
        ready_after_s=(ready - record.created_at).total_seconds() if ready else None,
        endpoint=record.endpoint.url if record.endpoint and record.phase is Phase.READY else "",
        deployment=record.deployment.id,
    )


def _failures(result: PassResult) -> Iterator[str]:
    """Attempts that came to nothing, with the platform's words."""
    for done in result.applied:
        if done.step.action is Action.DELETE and done.step.cause.startswith("it failed"):
            yield f"{done.step.model}: {done.step.cause}"


def _errors(result: PassResult) -> Iterator[str]:
    return (f"{done.step.model}: {done.error}" for done in result.applied if done.error is not None)


def _nothing_done(context: ProjectContext, plan: Plan, arguments: argparse.Namespace) -> int:
    """The guards' no, in words where the plan did not already show it."""
    if arguments.format != "text":
        show(plan, arguments.format, context.reading.project.models)
    for verdict in plan.refusals:
        place = f"{verdict.location}: " if verdict.location else ""
        print_problem(f"{place}{verdict.text} (guard '{verdict.guard}'; nothing was done)")
    return 3


def _nothing_to_do(context: ProjectContext, plan: Plan) -> bool:
    """No models, and none before: not even a record is made."""
    known = context.recorded(plan.project)
    return not (context.reading.desired.judged or known.deployments or known.outputs)


def _conclude(reading: Reading, result: PassResult, confirmed: bool, arguments: argparse.Namespace) -> int:
    plan = result.plan
    assert plan is not None
    for step in plan.steps:
        if step.action is Action.WAIT and step.model not in reading.desired.refused:
            print_warning(f"{step.model}: {step.cause}")
    if plan.refusals:
        return exit_code(plan, problems=bool(result.problems), detailed=False)
    if result.pending:
        print_warning("time is up; what was begun is recorded and goes on with the next run")
        return 1
    if not confirmed:
        return 3
    left_over = set(reading.desired.models) - set(plan.unchanged)
    if result.problems or not all(_serves(reading, result, model) for model in left_over):
        return 1
    override = next((out.path for out in result.published.outputs if not out.service), None)
    command = compose_command(reading.project.compose_files, override, arguments) if override else ""
    if left_over:
        _tell_of_restarts(reading, left_over, command)
    if arguments.format == "text":
        _tell_ready(reading, result, command)
    return 0


def _serves(reading: Reading, result: PassResult, model: str) -> bool:
    """Whether the model is as desired, and all that is left to do concerns a deployment from before."""
    want, record = reading.desired.models[model], _serving(result, model)
    steps = result.plan.steps if result.plan is not None else ()
    return (
        record is not None
        and record.phase is Phase.READY
        and (record.driver, record.deployment.spec.digest) == (want.driver, want.spec.digest)
        and all(step.deployment not in (None, record.deployment.id) for step in steps if step.model == model)
    )


def _serving(result: PassResult, model: str) -> DeploymentRecord | None:
    """The deployment that services are pointed at."""
    if result.plan is None or result.known is None:
        return None
    return result.known.deployments.get(result.plan.routes.get(model, ""))


def _tell_of_restarts(reading: Reading, models: Collection[str], command: str) -> None:
    """A server that was replaced stays for whoever was started with its address."""
    bound = [
        service.name
        for service in reading.project.services.values()
        if service.active and any(binding.model in models for binding in service.bindings)
    ]
    if bound and command:
        words = f"{command} up -d {' '.join(sorted(bound))}"
        print_warning(f"the server that was replaced stays as long as it is used; to use the new one: {words}")


def _tell_ready(reading: Reading, result: PassResult, command: str) -> None:
    models = reading.desired.models
    served = {model: record for model in models if (record := _serving(result, model)) is not None}
    width = max(map(len, served), default=0)
    for model, record in served.items():
        if record.endpoint is not None:
            say(clean(f"{model:{width}}  {record.endpoint.url}  {record.endpoint.model_id}"))
    start = f"; start the services with: {command} up" if command else ""
    count = f"{len(models)} model{'' if len(models) == 1 else 's'} ready"
    say(clean(f"{count}{start}") if models else "no service wants a model any more")


def _confirm(plan: Plan) -> bool:
    """Ask whether to delete what is gone from the file; without a terminal the answer is no."""
    going = sorted({step.model for step in plan.steps if step.action is Action.DELETE and step.cause == GONE})
    if not going:
        return True
    if not sys.stdin.isatty():
        print_warning(f"gone from the file and kept: {', '.join(going)}; run with --yes to delete")
        return False
    return agreed(f"Delete {', '.join(going)}? Services that use it lose it.")


def agreed(question: str) -> bool:
    """A person's yes, asked for in a terminal."""
    sys.stderr.write(f"{clean(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def check_origin(context: ProjectContext, remedy: str) -> None:
    """Two checkouts with one project name would take turns deleting each other's models. Raises Refused."""
    name, here = context.reading.project.name, context.reading.origin
    source = context.recorded(name).source
    if source is not None and source.origin and source.origin != here:
        raise Refused(
            f"project '{name}' was reconciled from {source.origin} before, not from {here}: "
            f"give this one another name with -p NAME, or {remedy}"
        )


def timeout_s(text: str) -> float:
    """`--timeout` in seconds; `off` waits for ever. Raises Mistake."""
    try:
        given = duration(text)
    except ValueError as exc:
        raise Mistake(f"--timeout: {exc}") from None
    return float("inf") if given is None else given
