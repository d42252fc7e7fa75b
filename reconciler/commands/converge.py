"""The one-shot run: plan, ask, and passes until nothing is left to do."""

from __future__ import annotations

import argparse
import sys

from reconciler.commands.conclusion import conclude
from reconciler.commands.project import ProjectContext, print_warning, say
from reconciler.commands.running import engine_for, run_until_done, timeout_s
from reconciler.commands.up import plan_now, print_problem, show
from reconciler.errors import Refused
from reconciler.leaving import GONE
from reconciler.plan import Action, Plan
from reconciler.progress import open_progress
from reconciler.reading import Pinned
from reconciler.text import clean


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
    return conclude(reading, result, confirmed, arguments)


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


def _confirm(plan: Plan) -> bool:
    """Ask whether to delete what is gone from the file; without a terminal the answer is no."""
    going = sorted({step.model for step in plan.steps if step.action is Action.DELETE and step.cause == GONE})
    if not going:
        return True
    if not sys.stdin.isatty():
        print_warning(f"gone from the file and kept: {', '.join(going)}; run with --yes to delete")
        return False
    return agreed(f"Delete {', '.join(going)}? Services that use it lose it.")


def check_origin(context: ProjectContext, remedy: str) -> None:
    """Two checkouts with one project name would take turns deleting each other's models. Raises Refused."""
    name, here = context.reading.project.name, context.reading.origin
    source = context.recorded(name).source
    if source is not None and source.origin and source.origin != here:
        raise Refused(
            f"project '{name}' was reconciled from {source.origin} before, not from {here}: "
            f"give this one another name with -p NAME, or {remedy}"
        )


def agreed(question: str) -> bool:
    """A person's yes, asked for in a terminal."""
    sys.stderr.write(f"{clean(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
