"""The one-shot run: passes until nothing is left to do, with progress on standard error."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.base import Phase
from drivers.values import duration
from reconciler.clock import SystemClock
from reconciler.commands.project import ProjectContext, print_warning, say
from reconciler.commands.up import exit_code, plan_now, print_problem, show
from reconciler.diff import Removals
from reconciler.engine import Engine, Manner, PassResult
from reconciler.errors import InputError, Location, Refused
from reconciler.plan import Action, Plan
from reconciler.progress import Progress, Row, open_progress

if TYPE_CHECKING:
    from state.record import DeploymentRecord, Recorded


def converge(context: ProjectContext, arguments: argparse.Namespace) -> int:
    """Plan, ask, act. Returns the exit code: 0 when everything desired is ready and written."""
    limit = timeout_s(arguments.timeout)
    plan = plan_now(context, forced=arguments.force, refresh=False)
    _check_origin(context, forced=arguments.force)
    if arguments.format == "text" and not arguments.quiet:
        show(plan, "text")
    for problem in context.reading.desired.problems:
        print_problem(str(problem))
    if plan.refusals and not context.reading.desired.problems:
        return 3
    confirmed = arguments.yes or _confirm(plan)
    engine = make_engine(context, arguments, confirmed=confirmed)
    try:
        with open_progress(sys.stderr, quiet=arguments.quiet) as progress:
            result = run_until_done(engine, progress, limit)
    finally:
        engine.close()
    if arguments.format != "text" and result.plan is not None:
        show(result.plan, arguments.format)
    return _conclude(context, result, confirmed)


def make_engine(context: ProjectContext, arguments: argparse.Namespace, *, confirmed: bool) -> Engine:
    """An engine for the files as they lie, with a store that is made where none ever was."""
    from reconciler.wiring import LaunchWords, RuleBook, beside_compose, build_engine, holder, places_for

    wish = Path(arguments.output) if getattr(arguments, "output", None) else None
    return build_engine(
        settings=context.settings,
        reader=context.reader,
        store=context.open_store(create=True),
        places=lambda project: places_for(context.settings, project, wish or beside_compose(project)),
        manner=Manner(
            rules=RuleBook(context.settings),
            policy=context.settings.policy,
            holder=holder(),
            lease_ttl_s=context.settings.timing.lease_ttl_s,
            roll_out=getattr(arguments, "roll_out", False),
            removals=Removals.CONFIRMED if confirmed else Removals.HELD,
            forced=arguments.force,
        ),
        drivers=context.drivers,
        launch=LaunchWords(
            environment=os.environ, env_files=tuple(arguments.env_files), profiles=tuple(arguments.profiles)
        ),
    )


def run_until_done(engine: Engine, progress: Progress, limit_s: float) -> PassResult:
    """Passes, with the pauses that the platforms ask for, until nothing is on its way any more or time is up."""
    clock = SystemClock()
    deadline, told = clock.monotonic() + limit_s, set[str]()
    while True:
        result = engine.run_once()
        for text in (*result.published.cautions, *result.published.repaired, *_errors(result)):
            if text not in told:
                told.add(text)
                progress.say(f"warning: {text}")
        if result.known is not None:
            progress.update(tuple(rows(result.known, clock.now())), clock.monotonic())
        if result.trouble:
            raise InputError(result.trouble, Location("source"))
        if not result.pending or clock.monotonic() >= deadline:
            return result
        if engine.tenure is not None:
            engine.tenure.keep()
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


def _errors(result: PassResult) -> Iterator[str]:
    return (f"{done.step.model}: {done.error}" for done in result.applied if done.error is not None)


def _conclude(context: ProjectContext, result: PassResult, confirmed: bool) -> int:
    plan = result.plan
    assert plan is not None
    for step in plan.steps:
        if step.action is Action.WAIT and step.model not in context.reading.desired.refused:
            print_warning(f"{step.model}: {step.cause}")
    if plan.refusals:
        return exit_code(plan, problems=bool(result.problems), detailed=False)
    waiting = sorted(set(context.reading.desired.models) - set(plan.unchanged))
    if result.pending:
        print_warning("time is up; what was begun is recorded and goes on with the next run")
        return 1
    if not confirmed:
        return 3
    if waiting or result.problems:
        return 1
    ready = len(plan.unchanged)
    say(f"{ready} model{'' if ready == 1 else 's'} ready; {_written(result)}")
    return 0


def _written(result: PassResult) -> str:
    override = next((out.path for out in result.published.outputs if not out.service), None)
    return f"start the services with: docker compose -f … -f {override} up" if override else "nothing to write"


def _confirm(plan: Plan) -> bool:
    """Ask whether to delete what is gone from the file; without a terminal the answer is no."""
    going = sorted({step.model for step in plan.steps if step.action is Action.DELETE and not step.location})
    if not going:
        return True
    if not sys.stdin.isatty():
        print_warning(f"gone from the file and kept: {', '.join(going)}; run with --yes to delete")
        return False
    sys.stderr.write(f"Delete {', '.join(going)}? Services that use it lose it. [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _check_origin(context: ProjectContext, *, forced: bool) -> None:
    """Two checkouts with one project name would take turns deleting each other's models."""
    source = context.recorded(context.reading.project.name).source
    here = context.reading.origin
    if source is not None and source.origin and source.origin != here and not forced:
        raise Refused(
            f"project '{context.reading.project.name}' was reconciled from {source.origin} before, not from {here}: "
            "give this one another name with -p NAME, or take the project over with --force"
        )


def timeout_s(text: str) -> float:
    """`--timeout` in seconds. Raises InputError."""
    try:
        return duration(text) or float("inf")
    except ValueError as exc:
        raise InputError(f"--timeout: {exc}", Location("command line")) from None
