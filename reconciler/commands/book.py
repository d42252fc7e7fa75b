"""Change what is recorded about a model: protect and unprotect it, resume it, forget a deployment."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.commands.project import Mistake, NothingRecorded, add_project_arguments, say
from reconciler.commands.record import one_project, opened
from reconciler.options import nearest
from reconciler.text import clean

if TYPE_CHECKING:
    from state.record import Change, DeploymentRecord, Recorded

EXAMPLES = """\
examples:
  reconcile protect llm                          never delete it, whatever the file says
  reconcile resume llm                           try again what was given up
  reconcile forget llm --deployment 01K…         drop the record of a deployment that is known to be gone
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--deployment", metavar="ID", help="with forget: which one")
    add_project_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    from reconciler.clock import SystemClock
    from reconciler.tenure import Tenure
    from reconciler.wiring import holder
    from state.record import Append, Event

    if arguments.deployment is not None and arguments.command != "forget":
        raise Mistake("--deployment goes with forget")
    clock = SystemClock()
    with opened(arguments, readonly=False) as store:
        project = one_project(arguments, store)
        # Judged before the lease is taken, so that a mistake disturbs nobody and leaves no trace.
        changes_for(arguments.command, arguments.model, arguments.deployment, store.load(project))
        tenure = Tenure(store, project, holder(), clock.monotonic)
        try:
            known = store.load(project)
            changes, done = changes_for(arguments.command, arguments.model, arguments.deployment, known)
            event = Event(at=clock.now(), kind=arguments.command, model=arguments.model, text=done)
            store.commit(tenure.lease, [*changes, Append(event)])
        finally:
            tenure.release()
    say(clean(done))
    return 0


def changes_for(command: str, model: str, deployment: str | None, known: Recorded) -> tuple[Sequence[Change], str]:
    """What the command writes, and the sentence that says so. Raises NothingRecorded for what is not there."""
    from state.record import DropDeployment, ModelRecord, PutDeployment, PutModel

    own = [record for record in known.deployments.values() if record.deployment.model == model]
    there = {*known.models, *(record.deployment.model for record in known.deployments.values())}
    if model not in there:
        hint = nearest(model, there)
        others = f"did you mean '{hint}'?" if hint else f"there are {', '.join(sorted(there)) or 'none'}"
        raise NothingRecorded(f"no model '{model}' is recorded in {known.project} ({others})")
    book = known.models.get(model, ModelRecord(key=model))
    if command == "forget":
        return [DropDeployment(_one(own, deployment, model))], f"{model}: forgotten; the platform was not touched"
    if command == "resume":
        fresh = PutModel(replace(book, halted="", attempts=0, next_try_at=None))
        again = [PutDeployment(replace(record, next_call_at=None, failed_calls=0)) for record in own]
        return [fresh, *again], f"{model}: will be tried again"
    protected = command == "protect"
    sentence = f"{model}: {'never deleted from now on' if protected else 'may be deleted again'}"
    return [PutModel(replace(book, protected=protected))], sentence


def _one(own: Sequence[DeploymentRecord], deployment: str | None, model: str) -> str:
    ids = [record.deployment.id for record in own]
    if deployment is not None and deployment in ids:
        return deployment
    if deployment is None and len(ids) == 1:
        return ids[0]
    if not ids:
        raise NothingRecorded(f"{model} has no deployment to forget")
    raise NothingRecorded(f"{model} has {len(ids)} deployments ({', '.join(ids)}); name one with --deployment ID")
