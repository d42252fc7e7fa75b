"""Delete every model of the project, after a yes: services first lose the addresses, then the models go."""

from __future__ import annotations

import argparse
import sys

from reconciler.commands.project import ProjectContext, add_project_arguments, print_warning, say
from reconciler.errors import Refused


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--output", metavar="PATH", help="the override file, or its folder (default: beside the Compose file)"
    )
    parser.add_argument("--timeout", metavar="DURATION", default="45m")
    parser.add_argument("--quiet", action="store_true")
    parser.set_defaults(force=True)
    add_project_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from reconciler.commands.converge import make_engine, run_until_done, timeout_s
    from reconciler.desired import Desired
    from reconciler.progress import open_progress

    context = ProjectContext(arguments)
    known = context.recorded(context.reading.project.name)
    names = sorted({record.deployment.model for record in known.deployments.values()})
    if not names:
        say(f"nothing of {known.project} is deployed")
        return 0
    if not arguments.yes and not _agreed(names):
        raise Refused("nothing was deleted; run with --yes to delete without being asked")
    context.reader.want(Desired(judged={}))
    engine = make_engine(context, arguments, confirmed=True)
    try:
        with open_progress(sys.stderr, quiet=arguments.quiet) as progress:
            result = run_until_done(engine, progress, timeout_s(arguments.timeout))
    finally:
        engine.close()
    left = sorted({record.deployment.model for record in result.known.deployments.values()}) if result.known else names
    for step in result.plan.steps if result.plan else ():
        print_warning(f"{step.model}: {step.cause}")
    say(f"still there: {', '.join(left)}" if left else f"destroyed: {', '.join(names)}")
    return 1 if left else 0


def _agreed(names: list[str]) -> bool:
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(f"Delete {', '.join(names)}? Services that use them lose them. [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
