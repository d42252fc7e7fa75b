"""Change what is recorded about models: protect, unprotect, resume or forget them, confirm that they may go.

While a service runs, what is asked here is noted beside the state, and the service does it within seconds.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reconciler.commands.project import Mistake, ProjectContext, add_project_arguments, say
from reconciler.commands.record import one_project, opened
from reconciler.errors import NothingRecorded, ReconcilerError, Refused
from reconciler.text import clean

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from reconciler.inbox import Inbox
    from reconciler.requests import Request
    from state.record import DeploymentRecord, Recorded
    from state.store import Lease, Store

EXAMPLES = """\
examples:
  reconcile protect llm                          never delete it, whatever the file says
  reconcile resume llm                           try again what was given up
  reconcile confirm llm other                    yes, these are gone from the file on purpose: delete them
  reconcile confirm --all                        the same for all that are gone
  reconcile forget llm --deployment 01K…         drop the record of a deployment that is known to be gone
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", metavar="MODEL", nargs="*")
    parser.add_argument("--all", action="store_true", help="with confirm: every model that is gone from the file")
    parser.add_argument("--deployment", metavar="ID", help="with forget: which one")
    parser.add_argument("--force", action="store_true", help="with forget: although its server is still there")
    add_project_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    _check_together(arguments)
    with opened(arguments, readonly=False) as store:
        project = one_project(arguments, store)
        known = store.load(project)
        desired = _desired_here(arguments, known) if arguments.command == "confirm" else None
        # Judged before the lease is taken, so that a mistake disturbs nobody and leaves no trace.
        requests = _requests(arguments, known, desired)
        if arguments.command == "forget" and not arguments.force:
            _refuse_living(arguments, [known.deployments[one.deployment] for one in requests if one.deployment])
        for line in _carry_out(arguments, store, known, requests, desired):
            say(clean(line))
    return 0


def _check_together(arguments: argparse.Namespace) -> None:
    if arguments.deployment is not None and arguments.command != "forget":
        raise Mistake("--deployment goes with forget")
    if arguments.force and arguments.command != "forget":
        raise Mistake("--force goes with forget")
    if arguments.all and arguments.command != "confirm":
        raise Mistake("--all goes with confirm")
    if arguments.all == bool(arguments.models):
        raise Mistake("name the models, or --all" if arguments.command == "confirm" else "name a model")
    if arguments.deployment is not None and len(arguments.models) > 1:
        raise Mistake("--deployment names one deployment of one model")


def _desired_here(arguments: argparse.Namespace, known: Recorded) -> Collection[str] | None:
    """The models of the files here, where the project was reconciled from them: newer than what was last read."""
    try:
        reading = ProjectContext(arguments).reader.read()
    except ReconcilerError:
        return None
    mine = known.source is not None and (reading.project.name, reading.origin) == (known.project, known.source.origin)
    return tuple(reading.desired.judged) if mine else None


def _requests(arguments: argparse.Namespace, known: Recorded, desired: Collection[str] | None) -> tuple[Request, ...]:
    """What is asked for, each already judged. Raises NothingRecorded."""
    from reconciler.clock import SystemClock
    from reconciler.requests import Request, chosen, decide, removable

    models = removable(known, desired) if arguments.all else arguments.models
    if not models:
        raise NothingRecorded(f"no model of {known.project} is gone from the file: there is no removal to confirm")
    requests = [Request(arguments.command, model, arguments.deployment) for model in models]
    for request in requests:
        decide(request, known, SystemClock().now(), desired=desired)
    if arguments.command != "forget":
        return tuple(requests)
    own = {model: [one for one in known.deployments.values() if one.deployment.model == model] for model in models}
    return tuple(one._replace(deployment=chosen(own[one.model], one.deployment, one.model)) for one in requests)


def _refuse_living(arguments: argparse.Namespace, records: Sequence[DeploymentRecord]) -> None:
    """Nobody would look after a server of this host that is forgotten while it runs. Raises Refused. Other platforms
    are not asked: what is to be forgotten there may be what cannot be asked any more."""
    import os

    from drivers.base import Phase
    from reconciler.commands.project import settings_from
    from reconciler.wiring import Drivers, RuleBook

    settings = settings_from(arguments)
    rules, drivers = RuleBook(settings, os.environ), Drivers(settings, os.environ)
    for record in records:
        if not rules[record.driver].capabilities.local:
            continue
        seen = drivers(record.driver).observe(record.deployment)
        if seen.phase is not Phase.ABSENT:
            raise Refused(
                f"{record.deployment.model}: its server is still there ({seen.phase.value}), and forgotten it would be "
                "nobody's: take it out of the file, or `reconcile destroy`, to end it; --force forgets it all the same"
            )


def _carry_out(
    arguments: argparse.Namespace,
    store: Store,
    known: Recorded,
    requests: Sequence[Request],
    desired: Collection[str] | None,
) -> list[str]:
    """Under a lease of our own; where somebody else has it, what is asked for is left there."""
    from reconciler.clock import SystemClock
    from reconciler.commands.project import settings_from
    from reconciler.requests import decide
    from reconciler.tenure import Tenure
    from reconciler.wiring import holder, inbox_for
    from state.store import Held

    clock, inbox = SystemClock(), inbox_for(settings_from(arguments), store)
    try:
        tenure = Tenure(store, known.project, holder(), clock.monotonic)
    except Held:
        if inbox is None:
            raise
        # The holder judges by the record alone.
        said = [decide(request, known, clock.now()).text for request in requests]
        for request in requests:
            inbox.leave(known.project, request)
        return [*said, "noted; the running service takes it up within seconds (`reconcile history` shows it)"]
    try:
        return _under(tenure.lease, store, inbox, requests, desired)
    finally:
        tenure.release()


def _under(
    lease: Lease, store: Store, inbox: Inbox | None, requests: Sequence[Request], desired: Collection[str] | None
) -> list[str]:
    from reconciler.clock import SystemClock
    from reconciler.requests import decide
    from state.record import Append, Event

    now, said = SystemClock().now(), []
    if inbox is not None:
        inbox.take_up(lease)  # what was asked for before this, and nobody has come to do
    for request in requests:
        decision = decide(request, store.load(lease.project), now, desired=desired)
        event = Event(at=now, kind=request.command, model=request.model, text=decision.text)
        store.commit(lease, [*decision.changes, Append(event)])
        said.append(decision.text)
    return said
