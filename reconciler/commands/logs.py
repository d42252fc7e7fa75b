"""Show the log of the server that runs a model."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from reconciler.commands.project import add_project_arguments, count, say, settings_from
from reconciler.commands.record import one_project, opened
from reconciler.errors import NothingRecorded

if TYPE_CHECKING:
    from state.record import DeploymentRecord, Recorded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("-n", "--lines", type=count, default=100, metavar="N", help="the last N lines (default: 100)")
    add_project_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from reconciler.text import clean
    from reconciler.wiring import Drivers

    with opened(arguments, readonly=True) as store:
        known = store.load(one_project(arguments, store))
    record = deployment_of(arguments.model, known)
    logs = getattr(Drivers(settings_from(arguments), os.environ)(record.driver), "logs", None)
    if logs is None:
        raise NothingRecorded(f"{record.driver} offers no logs")
    for line in logs(record.deployment, arguments.lines):
        say(clean(line))
    return 0


def deployment_of(model: str, known: Recorded) -> DeploymentRecord:
    """The deployment that serves a model, else its newest one. Raises NothingRecorded, with the models there are."""
    own = [record for record in known.deployments.values() if record.deployment.model == model]
    if not own:
        there = sorted({record.deployment.model for record in known.deployments.values()})
        raise NothingRecorded(f"no deployment of '{model}' in {known.project}; there are {', '.join(there) or 'none'}")
    return next((record for record in own if record.active), own[-1])
