"""Reconcile once: plan, show the plan, and act until what runs is what the file says."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from reconciler.commands.project import (
    Mistake,
    ProjectContext,
    add_output_argument,
    add_project_arguments,
    print_warning,
    say,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.compose.project import Model
    from reconciler.plan import Plan
    from state.record import Recorded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to do")
    group.add_argument("--dry-run", action="store_true", help="print the plan and stop: no writes, no network")
    group.add_argument("--refresh", action="store_true", help="with --dry-run: ask the platforms first, read-only")
    group.add_argument("--detailed-exitcode", action="store_true", help="with --dry-run: 2 when there are changes")
    group.add_argument("--format", choices=("text", "json", "markdown", "github"), default="text")
    add_output_argument(group)
    group.add_argument("--yes", action="store_true", help="delete models that are gone from the file without asking")
    group.add_argument("--force", action="store_true", help="do what the mass-delete guard refuses")
    group.add_argument("--timeout", metavar="DURATION", default="45m", help="give up after this long (default: 45m)")
    group.add_argument("--roll-out", action="store_true", help="restart the running services whose values changed")
    group.add_argument("--quiet", action="store_true", help="no progress, only the result")
    add_project_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    _check_together(arguments)
    context = ProjectContext(arguments)
    if arguments.dry_run:
        return _dry_run(context, arguments)
    from reconciler.commands.converge import converge

    return converge(context, arguments)


def _check_together(arguments: argparse.Namespace) -> None:
    """An option that would have no effect is a misunderstanding, and here one that acts on platforms."""
    for name in ("refresh", "detailed_exitcode"):
        if getattr(arguments, name) and not arguments.dry_run:
            raise Mistake(f"--{name.replace('_', '-')} goes with --dry-run")


def _dry_run(context: ProjectContext, arguments: argparse.Namespace) -> int:
    """The plan from the files and the record alone; with --refresh the platforms are asked, and nothing is changed."""
    plan = plan_now(context, forced=arguments.force, refresh=arguments.refresh)
    show(plan, arguments.format, context.reading.project.models)
    _warn_of_origin(context)
    for problem in context.reading.desired.problems:
        print_problem(str(problem))
    return exit_code(plan, problems=bool(context.reading.desired.problems), detailed=arguments.detailed_exitcode)


def _warn_of_origin(context: ProjectContext) -> None:
    source = context.recorded(context.reading.project.name).source
    if source is not None and source.origin not in ("", context.reading.origin):
        print_warning(f"the project was reconciled from {source.origin} before: without --dry-run this is refused")


def plan_now(context: ProjectContext, *, forced: bool, refresh: bool) -> Plan:
    """What the command would do now, removals included: it would ask for a yes first."""
    from reconciler.clock import SystemClock
    from reconciler.diff import diff
    from reconciler.lifetime import note_births
    from reconciler.moment import Moment, Removals
    from reconciler.policy import guard
    from reconciler.refresh import note_wanted
    from reconciler.wiring import RuleBook

    reading, now = context.reading, SystemClock().now()
    known: Recorded = context.recorded(reading.project.name)
    if refresh:
        known = _refreshed(context, known)
    known = note_wanted(known, {*reading.desired.models, *reading.desired.refused}, now)
    known = note_births(known, reading.desired.models)
    rules = RuleBook(context.settings, os.environ)
    moment = Moment(now=now, rules=rules, removals=Removals.CONFIRMED)
    plan = diff(reading.desired, known, moment, reading.revision)
    return guard(plan, reading.desired, known, context.settings.policy, forced=forced)


def _refreshed(context: ProjectContext, known: Recorded) -> Recorded:
    from reconciler.clock import SystemClock
    from reconciler.observe import observe_all
    from reconciler.pool import ThreadPool
    from reconciler.refresh import refresh

    with ThreadPool() as pool:
        seen = observe_all(known.deployments.values(), context.drivers, pool)
    return refresh(known, seen, SystemClock().now())


def show(plan: Plan, form: str, models: Mapping[str, Model] | None = None) -> None:
    """The plan on standard output, coloured in a terminal. `models` as the file has them: their lines are annotated."""
    if form == "json":
        from reconciler.report.as_json import plan_json

        say(plan_json(plan))
    elif form == "markdown":
        from reconciler.report.markdown import plan_markdown

        say(plan_markdown(plan))
    elif form == "github":
        from reconciler.report.github import plan_annotations

        say(plan_annotations(plan, models))
    else:
        from reconciler.report.style import COLOUR, PLAIN
        from reconciler.report.text import plan_text

        say(plan_text(plan, COLOUR if sys.stdout.isatty() else PLAIN))


def exit_code(plan: Plan, *, problems: bool, detailed: bool) -> int:
    """A mistake in the file is an error, a guard's no is a refusal, and only --detailed-exitcode tells of changes."""
    if problems:
        return 1
    if plan.refusals:
        return 3
    return 2 if detailed and plan.changes else 0


def print_problem(text: str) -> None:
    from reconciler.text import clean

    sys.stderr.write(f"error: {clean(text)}\n")


__all__ = ["add_arguments", "exit_code", "plan_now", "print_problem", "print_warning", "run", "show"]
