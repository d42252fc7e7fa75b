"""Guards over a plan: what an operator would want to be asked about first. Pure.

A refused verdict blocks the steps it names and nothing else. The operator's limits come from the service's own
configuration, never from the repository that is being reconciled.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from drivers.values import comma_list
from reconciler.answers import GONE
from reconciler.desired import Desired, DesiredModel
from reconciler.plan import Action, Plan, Step, Verdict
from state.record import Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The operator's limits. Empty collections and None mean "no limit"."""

    allowed_platforms: tuple[str, ...] = ()
    allowed_regions: tuple[str, ...] = ()
    allowed_instance_types: tuple[str, ...] = ()
    allowed_registries: tuple[str, ...] = ()
    """Hosts that models may come from; `docker.io`, `huggingface.co` …"""
    max_models: int | None = None
    max_removals: int = 2
    """Models that may go in one plan without a person's word."""
    max_removed_fraction: float = 0.34
    """Of the models that exist, as soon as more than one goes."""
    allow_empty: bool = False
    """Whether a file without any models may remove the last one."""


def guard(
    plan: Plan,
    desired: Desired,
    known: Recorded,
    policy: Policy,
    *,
    forced: bool = False,
) -> Plan:
    """The plan with every guard's verdict, and without the steps that a refused one blocks.

    `forced` lifts the mass-delete guard: a person looked at the plan and insisted.
    """
    verdicts = [
        *_refused_models(desired),
        *_without_driver(desired),
        *_limits(plan, desired, policy),
        *_mass_delete(plan, desired, known, policy, forced),
    ]
    return replace(plan, guards=tuple(verdicts), steps=tuple(_permitted(plan.steps, verdicts)))


def _permitted(steps: Collection[Step], verdicts: Collection[Verdict]) -> Iterator[Step]:
    blocked = {verdict.model: verdict for verdict in verdicts if not verdict.allowed}
    for step in steps:
        verdict = _blocking(step, blocked)
        if verdict is None:
            yield step
        else:
            yield replace(step, action=Action.WAIT, cause=f"refused by the guard '{verdict.guard}': {verdict.text}")


def _blocking(step: Step, blocked: dict[str, Verdict]) -> Verdict | None:
    if step.action is Action.DELETE and step.cause == GONE:
        return blocked.get("")
    if step.action in (Action.CREATE, Action.REPLACE, Action.UPDATE):
        return blocked.get(step.model)
    return None


def _refused_models(desired: Desired) -> Iterator[Verdict]:
    """What the file says of these models is not acted upon; they stay as they are."""
    for problem in desired.problems:
        yield Verdict("options", False, problem.message, problem.path.removeprefix("models."), problem.location)


def _without_driver(desired: Desired) -> Iterator[Verdict]:
    for model in desired.judged.values():
        if model.absence:
            yield Verdict("platform", False, model.absence, model.key, model.location)


def _limits(plan: Plan, desired: Desired, policy: Policy) -> Iterator[Verdict]:
    for model in desired.models.values():
        for text in _beyond(model, policy):
            yield Verdict("policy", False, text, model.key, model.location)
    if policy.max_models is not None and len(desired.models) > policy.max_models:
        for step in plan.steps:
            if step.action is Action.CREATE and step.deployment is None:
                text = f"{len(desired.models)} models are asked for, the operator allows {policy.max_models}"
                yield Verdict("policy", False, text, step.model, step.location)


def _beyond(model: DesiredModel, policy: Policy) -> Iterator[str]:
    options = model.spec.options
    if policy.allowed_platforms and model.driver not in policy.allowed_platforms:
        yield f"the platform '{model.driver}' is not one the operator allows ({', '.join(policy.allowed_platforms)})"
    for key, allowed in (
        ("cloud.region", policy.allowed_regions),
        ("cloud.instance-type", policy.allowed_instance_types),
    ):
        for value in comma_list(options.get(key, "")):
            if allowed and value not in allowed:
                yield f"'{key}={value}' is not one the operator allows ({', '.join(allowed)})"
    if policy.allowed_registries and model.registry not in policy.allowed_registries:
        yield f"models from '{model.registry}' are not allowed ({', '.join(policy.allowed_registries)})"


def _mass_delete(plan: Plan, desired: Desired, known: Recorded, policy: Policy, forced: bool) -> Iterator[Verdict]:
    """Many models gone at once looks like an accident. One of several may always go; the last one may not."""
    going = {step.model for step in plan.steps if step.action is Action.DELETE and step.cause == GONE}
    if not going:
        return
    existing = {record.deployment.model for record in known.deployments.values()}
    emptied = not desired.models and not desired.refused and not policy.allow_empty
    too_many = len(going) > policy.max_removals
    too_large = len(going) > 1 and len(going) / len(existing) > policy.max_removed_fraction
    if emptied or too_many or too_large:
        names = ", ".join(sorted(going)[:5]) + (" …" if len(going) > 5 else "")
        yield Verdict(
            "mass-delete",
            forced,
            f"the plan removes {len(going)} of {len(existing)} models ({names}): "
            + ("allowed by --force" if forced else "check the file, then allow it with --force"),
        )
