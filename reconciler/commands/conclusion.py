"""How a one-shot run ended: what is said of it, and its exit code."""

from __future__ import annotations

import argparse
from collections.abc import Collection

from drivers.base import Phase
from reconciler.commands.project import print_warning, say
from reconciler.commands.shell import compose_command
from reconciler.commands.up import exit_code
from reconciler.lifetime import model_ends_at
from reconciler.plan import Action
from reconciler.reading import Reading
from reconciler.result import PassResult
from reconciler.text import MOMENT, clean
from state.record import DeploymentRecord


def conclude(reading: Reading, result: PassResult, confirmed: bool, arguments: argparse.Namespace) -> int:
    """Say what became of the run; 0 where everything desired is ready and written."""
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
    left_over = set(reading.desired.models) - {*plan.unchanged, *plan.resting}
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
    for model in served:
        book = result.known.models.get(model) if result.known is not None else None
        ends = model_ends_at(models[model], book) if model in models and book is not None else None
        if ends is not None:
            say(clean(f"{model} goes at {ends:{MOMENT}}, if `reconcile serve` runs then, or `reconcile` is run"))
    start = f"; start the services with: {command} up" if command and served else ""
    count = f"{len(served)} model{'' if len(served) == 1 else 's'} ready"
    say(clean(f"{count}{start}") if models else "no service wants a model any more")
