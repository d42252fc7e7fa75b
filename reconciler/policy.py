"""Guards over a plan: what an operator would want to be asked about first. Pure.

A refused verdict blocks the steps it names and nothing else. The operator's limits come from the service's own
configuration, never from the repository that is being reconciled.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from drivers import catalog
from drivers.modelstore.reference import parse_reference
from drivers.values import comma_list
from reconciler.desired import Desired, DesiredModel
from reconciler.leaving import GONE
from reconciler.plan import Action, Plan, Step, Verdict
from state.record import DeploymentRecord, Intent, Recorded

_WITH_REGIONS = frozenset({"aws", "gcp"})
_TAKING_REFERENCES = frozenset({"llamacpp", "docker-model-runner"})
"""Platforms where `cloud.model-id` is a reference like `model:` and not an id of the platform's own."""
_REGISTRIES = {"hf.co": "huggingface.co", "index.docker.io": "docker.io", "registry-1.docker.io": "docker.io"}


class Policy(NamedTuple):
    """The operator's limits. Empty collections and None mean "no limit"."""

    allowed_platforms: tuple[str, ...] = ()
    allowed_regions: tuple[str, ...] = ()
    allowed_instance_types: tuple[str, ...] = ()
    allowed_registries: tuple[str, ...] = ()
    """Where models may come from: `docker.io`, `huggingface.co`, `s3://bucket`, and `file` for this host's own."""
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
    space: bool = True,
) -> Plan:
    """The plan with every guard's verdict, and without the steps that a refused one blocks. `space`: the state has room
    to remember more.

    `forced` lifts the mass-delete guard: a person looked at the plan and insisted.
    """
    verdicts = [
        *_refused_models(desired),
        *_without_driver(desired),
        *_limits(plan, desired, policy),
        *_mass_delete(plan, desired, known, policy, forced),
        *(() if space else _no_space(plan)),
    ]
    blocked = {verdict.model: verdict for verdict in verdicts if not verdict.allowed}
    return plan._replace(
        guards=tuple(verdicts),
        steps=tuple(_permitted(plan.steps, blocked, known)),
        routes=dict(plan.routes) | dict(_kept_routes(plan.steps, blocked, known)),
    )


def _permitted(steps: Collection[Step], blocked: Mapping[str, Verdict], known: Recorded) -> Iterator[Step]:
    for step in steps:
        verdict = _blocking(step, blocked, known)
        if verdict is None:
            yield step
        else:
            yield step._replace(action=Action.WAIT, cause=f"refused by the guard '{verdict.guard}': {verdict.text}")


def _kept_routes(steps: Collection[Step], blocked: Mapping[str, Verdict], known: Recorded) -> Iterator[tuple[str, str]]:
    """What may not be deleted goes on serving: its services keep the address."""
    for step in steps:
        goes = step.action is Action.DELETE or step.makes_way
        if not goes or step.deployment is None or _blocking(step, blocked, known) is None:
            continue
        if known.deployments[step.deployment].active:
            yield step.model, step.deployment


def _blocking(step: Step, blocked: Mapping[str, Verdict], known: Recorded) -> Verdict | None:
    if step.action is Action.DELETE and step.cause == GONE:
        return None if _is_confirmed(step.model, known) else blocked.get("")
    if step.makes_way or step.action in (Action.CREATE, Action.REPLACE, Action.UPDATE):
        return blocked.get(step.model)
    return None


def _refused_models(desired: Desired) -> Iterator[Verdict]:
    """What the file says of these models is not acted upon; they stay as they are."""
    for problem in desired.problems:
        yield Verdict("options", False, problem.message, problem.path.removeprefix("models."), problem.location)


def _no_space(plan: Plan) -> Iterator[Verdict]:
    """What is begun now could not be remembered to its end."""
    for step in plan.steps:
        if step.makes_way or step.action in (Action.CREATE, Action.REPLACE):
            text = "the disk that the state is on is full: nothing is started before there is room again"
            yield Verdict("space", False, text, step.model, step.location)


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
            # What goes first would not come back either.
            if step.makes_way or (step.action is Action.CREATE and step.deployment is None):
                text = f"{len(desired.models)} models are asked for, the operator allows {policy.max_models}"
                yield Verdict("policy", False, text, step.model, step.location)


def _beyond(model: DesiredModel, policy: Policy) -> Iterator[str]:
    if policy.allowed_platforms and model.driver not in policy.allowed_platforms:
        yield f"the platform '{model.driver}' is not one the operator allows ({', '.join(policy.allowed_platforms)})"
    yield from _beyond_regions(model, policy.allowed_regions)
    yield from _beyond_instance_types(model, policy.allowed_instance_types)
    yield from _beyond_registries(model, policy.allowed_registries)


def _beyond_regions(model: DesiredModel, allowed: Collection[str]) -> Iterator[str]:
    if not allowed:
        return
    written = comma_list(model.spec.options.get("cloud.region", ""))
    for value in written:
        if value not in allowed:
            yield f"'cloud.region={value}' is not one the operator allows ({', '.join(allowed)})"
    platform = catalog.platforms().platforms.get(model.driver)
    if not written and platform is not None and platform.provider in _WITH_REGIONS:
        yield f"no 'cloud.region' is given, and the operator allows {', '.join(allowed)} only"


def _beyond_instance_types(model: DesiredModel, allowed: Collection[str]) -> Iterator[str]:
    """A size is fine when it is allowed by its own name, or when everything that it stands for is."""
    written = comma_list(model.spec.options.get("cloud.instance-type", ""))
    natives = model.instance_types
    if not allowed or (natives and all(native in allowed for native in natives)):
        return
    for value in written:
        if value not in allowed:
            yield f"'cloud.instance-type={value}' is not one the operator allows ({', '.join(allowed)})"


def _beyond_registries(model: DesiredModel, allowed: Collection[str]) -> Iterator[str]:
    """By where the weights really come from: an option may name another place than `model:` does."""
    origin = _origin(model)
    if allowed and origin is not None and origin not in {_REGISTRIES.get(name, name) for name in allowed}:
        yield f"models from '{origin}' are not allowed ({', '.join(allowed)})"


def _origin(model: DesiredModel) -> str | None:
    """A registry's host, `s3://bucket`, or `file`; None where the platform serves a model of its own."""
    scheme, _, rest = model.spec.options.get("cloud.model-source", "").partition("://")
    if rest:
        place = rest.split("/")[0]
        return {"oci": place, "hf": "huggingface.co", "file": "file"}.get(scheme, f"{scheme}://{place}")
    named = model.spec.options.get("cloud.model-id")
    if named is None:
        return model.registry or "file"
    if model.driver not in _TAKING_REFERENCES:
        return None
    try:
        return parse_reference(named).host or "file"
    except ValueError:
        return named  # its driver refuses it; until then nobody knows where it leads


def _mass_delete(plan: Plan, desired: Desired, known: Recorded, policy: Policy, forced: bool) -> Iterator[Verdict]:
    """Many models gone at once looks like an accident. One of several may always go; the last one may not.

    Once the first one would go, all that are gone from the file count: some of them may go later, one by one, because
    something still uses them, and that is the same accident. Those that a person confirmed are none.
    """
    if not any(step.action is Action.DELETE and step.cause == GONE for step in plan.steps):
        return
    going = {record.deployment.model for record in known.deployments.values() if _may_go(record, desired, known)}
    existing = {record.deployment.model for record in known.deployments.values()}
    unconfirmed = [model for model in existing if model in desired.judged or not _is_confirmed(model, known)]
    emptied = bool(going) and not desired.judged and not policy.allow_empty
    too_many = len(going) > policy.max_removals
    too_large = len(going) > 1 and len(going) / len(unconfirmed) > policy.max_removed_fraction
    if emptied or too_many or too_large:
        names = ", ".join(sorted(going)[:5]) + (" …" if len(going) > 5 else "")
        yield Verdict(
            "mass-delete",
            forced,
            f"the plan removes {len(going)} of {len(existing)} models ({names}): "
            + ("allowed by --force" if forced else _ways_out(sorted(going))),
        )


def _ways_out(going: Sequence[str]) -> str:
    named = " ".join(going) if len(going) <= 5 else "--all"
    return f"check the file, then `reconcile confirm {named}` (works while a service runs), or allow it with --force"


def _is_confirmed(model: str, known: Recorded) -> bool:
    return model in known.models and known.models[model].removal_confirmed_at is not None


def _may_go(record: DeploymentRecord, desired: Desired, known: Recorded) -> bool:
    """Gone from the file, its deletion not yet begun, no word of a person, and nothing that keeps it for good."""
    key = record.deployment.model
    settled = key in known.models and (known.models[key].protected or _is_confirmed(key, known))
    return key not in desired.judged and record.intent is Intent.CREATE and not settled
