"""Delete every model of the project, after a yes: services first lose the addresses, then the models go.

With -p NAME it needs no Compose file: what is recorded is deleted also when the files are gone, broken or elsewhere.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.commands.project import (
    ProjectContext,
    add_output_argument,
    add_project_arguments,
    print_warning,
    say,
)
from reconciler.errors import InputError, NothingRecorded, ReconcilerError, Refused, SourceError

if TYPE_CHECKING:
    from reconciler.reading import Reading
    from state.record import Recorded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_output_argument(parser)
    parser.add_argument("--timeout", metavar="DURATION", default="45m", help="give up after this long (default: 45m)")
    parser.add_argument("--quiet", action="store_true", help="no progress, only the result")
    parser.set_defaults(force=True)
    add_project_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from reconciler.commands.converge import agreed
    from reconciler.commands.running import engine_for, run_until_done, timeout_s
    from reconciler.desired import Desired
    from reconciler.progress import open_progress
    from reconciler.reading import Pinned

    limit, context = timeout_s(arguments.timeout), ProjectContext(arguments)
    reading, known = _what(context, arguments)
    names = sorted({record.deployment.model for record in known.deployments.values()})
    if not names:
        _clear_away(context, known)
        say(f"nothing of {known.project} is deployed")
        return 0
    if not arguments.yes and not (
        sys.stdin.isatty() and agreed(f"Delete {', '.join(names)}? Services that use them lose them.")
    ):
        raise Refused("nothing was deleted; run with --yes to delete without being asked")
    nothing = Pinned(replace(reading, desired=Desired(judged={})))
    override = _override(context, known)
    with (
        engine_for(context, arguments, nothing, confirmed=True, override=override) as engine,
        open_progress(sys.stderr, quiet=arguments.quiet) as progress,
    ):
        result = run_until_done(engine, progress, limit)
    left = sorted({record.deployment.model for record in result.known.deployments.values()}) if result.known else names
    for step in result.plan.steps if result.plan else ():
        print_warning(f"{step.model}: {step.cause}")
    if not left and result.known is not None:
        _clear_away(context, result.known)
    say(f"still there: {', '.join(left)}" if left else f"destroyed: {', '.join(names)}")
    return 1 if left else 0


def _clear_away(context: ProjectContext, known: Recorded) -> None:
    """The files that were written for the project, where nothing is left that they could speak of. One that is not
    ours any more stays, and is named."""
    from contextlib import closing

    from reconciler.clock import SystemClock
    from reconciler.commands.project import durable_store
    from reconciler.publish import clear_away
    from reconciler.tenure import Tenure
    from reconciler.wiring import holder
    from reconciler.write import Stamp
    from state.record import DropOutput

    if not known.outputs:
        return
    clock = SystemClock()
    with closing(durable_store(context.settings)) as store:
        tenure = Tenure(store, known.project, holder(), clock.monotonic)
        try:
            known = store.load(known.project)
            stamp = Stamp(store.lineage, known.project, tenure.lease.epoch, known.serial)
            for trouble in clear_away(map(Path, known.outputs), stamp, now=clock.now()):
                print_warning(trouble)
            store.commit(tenure.lease, [DropOutput(path) for path in known.outputs])
        finally:
            tenure.release()


def _what(context: ProjectContext, arguments: argparse.Namespace) -> tuple[Reading, Recorded]:
    """The project to destroy: of the files here, or, when -p names another one, of the record alone."""
    named = arguments.project_name
    try:
        reading = context.reading
    except (InputError, SourceError) as error:
        if named is None:
            raise _hinted(error) from None
        return _from_record(context.recorded(named))
    known = context.recorded(reading.project.name)
    origin = known.source.origin if known.source is not None else ""
    if origin in ("", reading.origin):
        return reading, known
    if named is None:
        raise Refused(
            f"project '{known.project}' was reconciled from {origin}, not from {reading.origin}: "
            f"`reconcile destroy -p {known.project}` deletes it all the same"
        )
    return _from_record(known)


def _hinted(error: ReconcilerError) -> ReconcilerError:
    return NothingRecorded(f"{error}; `reconcile destroy -p NAME` deletes a project without its files")


def _from_record(known: Recorded) -> tuple[Reading, Recorded]:
    from reconciler.compose.project import Project
    from reconciler.desired import Desired
    from reconciler.reading import Reading

    if not known.epoch:
        raise NothingRecorded(f"nothing is recorded of a project '{known.project}'; `reconcile status` lists them")
    source = known.source
    origin = source.origin if source is not None else ""
    project = Project(
        name=known.project,
        working_dir=origin,
        files=(),
        compose_files=(),
        models={},
        unused_models={},
        services={},
        defaults=(),
        warnings=(),
    )
    revision = source.revision if source is not None else ""
    return Reading(
        project=project, desired=Desired(judged={}), revision=revision, describe="the record alone", origin=origin
    ), known


def _override(context: ProjectContext, known: Recorded) -> Path:
    """The override file that is known to point at the models; a folder that is gone is not made again for it."""
    written = next((Path(output.path) for output in known.outputs.values() if not output.service), None)
    return written if written is not None and written.parent.is_dir() else context.settings.values_dir(known.project)
