"""How endpoints get on by themselves: instances are placed when they are due, containers start, and what cannot be had
leaves a failed endpoint or the old fleet.

The words of failures are AWS's, from reports of users: lack of capacity, the ping health check, and an old
configuration that was deleted during an update (terraform-provider-aws #40048).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from infra.localaws.containers import State
from infra.localaws.sagemaker import guardrails
from infra.localaws.sagemaker.endpoints import types_of
from infra.localaws.sagemaker.hosting import Hosting, container_key, container_of
from infra.localaws.sagemaker.runs import ENDPOINTS
from infra.localaws.sagemaker.world import Change, Endpoint, Region, Status, Variant

NO_CAPACITY = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. "
    "Please retry using a different ML instance type or after some time."
)
NO_PING = (
    "The primary container for production variant {} did not pass the ping health check. "
    "Please check CloudWatch logs for this endpoint."
)


def settle_endpoint(hosting: Hosting, region: Region, endpoint: Endpoint, now: datetime) -> bool:
    """Do what is due; whether anything changed that a client can see."""
    change = endpoint.change
    if change is None:
        return False
    if change.bakes and (alarm := guardrails.tripped(hosting, region, change)):
        return _roll_back(hosting, region, endpoint, change, f"Alarm {alarm} went off during the deployment.")
    if change.due > now:
        return False
    if endpoint.status is Status.ROLLING_BACK:
        return _done(hosting, endpoint, Status.IN_SERVICE, endpoint.failure)
    if endpoint.status is Status.DELETING:
        _stop(hosting, region, endpoint, endpoint.config, endpoint.variants)
        region.remove(region.endpoints, endpoint)
        return True
    if change.variants is None:
        return _scale(hosting, endpoint, change)
    if not change.is_placed:
        reason = _cannot_begin(region, endpoint, change) or _place_all(hosting, change.variants)
        if reason:
            return _give_up(hosting, region, endpoint, change, reason)
        change.is_placed = True
        _start(hosting, region, endpoint, change)
    return _look(hosting, region, endpoint, change)


def _cannot_begin(region: Region, endpoint: Endpoint, change: Change) -> str | None:
    """Why there is nothing to begin with: what the change leans on was deleted meanwhile."""
    for name in dict.fromkeys((endpoint.config, change.config)):
        if region.configs.get(name) is None:
            return f'Could not find endpoint configuration "{region.arn(region.configs, name)}".'
    for variant in change.variants or ():
        model = variant.said.get("ModelName")
        if model and region.models.get(model) is None:
            return f'Could not find model "{region.arn(region.models, model)}".'
    return None


def _place_all(hosting: Hosting, variants: Sequence[Variant]) -> str | None:
    for variant in variants:
        if not place(hosting, variant, variant.desired):
            return NO_CAPACITY
    return None


def place(hosting: Hosting, variant: Variant, wanted: int) -> bool:
    """Bring a variant to `wanted` instances, of its preferred type as far as there is capacity; False, and nothing
    changed, where that is not possible."""
    kinds, before = types_of(variant), dict(variant.placed)
    while variant.current > wanted:
        last = next(kind for kind in reversed(list(variant.placed)) if variant.placed[kind])
        variant.placed[last] -= 1
    while variant.current < wanted:
        in_use = hosting.placed()
        kind = next((kind for kind in kinds if hosting.around.supply.free(kind, in_use) > 0), None)
        if kind is None:
            variant.placed = before
            return False
        variant.placed[kind] = variant.placed.get(kind, 0) + 1
    return True


def _start(hosting: Hosting, region: Region, endpoint: Endpoint, change: Change) -> None:
    for variant in change.variants or ():
        container = container_of(region, variant)
        if container is not None:
            key = container_key(region, endpoint, change.config, variant.name)
            hosting.runs.start(key, container, region.name, ENDPOINTS + endpoint.name, variant.name)


def _look(hosting: Hosting, region: Region, endpoint: Endpoint, change: Change) -> bool:
    """How the new containers are: all well ends the change, one broken gives it up."""
    states = {}
    for variant in change.variants or ():
        if container_of(region, variant) is not None:
            key = container_key(region, endpoint, change.config, variant.name)
            states[variant.name] = hosting.runs.state(key)
    broken = next((name for name, state in states.items() if state is State.BROKEN), None)
    if broken is not None:
        return _give_up(hosting, region, endpoint, change, NO_PING.format(broken))
    if State.STARTING in states.values():
        return False
    if alarm := guardrails.tripped(hosting, region, change):
        return _give_up(hosting, region, endpoint, change, f"Alarm {alarm} went off during the deployment.")
    seconds = guardrails.bake_s(hosting, change)
    if seconds and not change.bakes:
        change.bakes, change.due = True, change.due + timedelta(seconds=seconds)
        return False
    return _take_over(hosting, region, endpoint, change)


def _take_over(hosting: Hosting, region: Region, endpoint: Endpoint, change: Change) -> bool:
    """The new fleet serves, the old one goes."""
    if change.config != endpoint.config or endpoint.variants:
        _stop(hosting, region, endpoint, endpoint.config, endpoint.variants, keep=change.config)
    endpoint.config, endpoint.variants = change.config, list(change.variants or ())
    endpoint.deployment = change.deployment if endpoint.status is Status.UPDATING else endpoint.deployment
    return _done(hosting, endpoint, Status.IN_SERVICE, "")


def _give_up(hosting: Hosting, region: Region, endpoint: Endpoint, change: Change, reason: str) -> bool:
    """A new endpoint has failed; one that had a fleet goes on with it, and says why."""
    shared = endpoint.config if endpoint.variants else ""
    _stop(hosting, region, endpoint, change.config, change.variants or (), keep=shared)
    return _done(hosting, endpoint, Status.IN_SERVICE if endpoint.variants else Status.FAILED, reason)


def _roll_back(hosting: Hosting, region: Region, endpoint: Endpoint, change: Change, reason: str) -> bool:
    """The old fleet has the traffic again; that the new one goes takes a while."""
    _stop(hosting, region, endpoint, change.config, change.variants or (), keep=endpoint.config)
    due = hosting.now() + timedelta(seconds=hosting.around.latencies.update_s)
    endpoint.status, endpoint.failure, endpoint.modified = Status.ROLLING_BACK, reason, hosting.now()
    endpoint.change = Change(due, change.started)
    return True


def _scale(hosting: Hosting, endpoint: Endpoint, change: Change) -> bool:
    """Other counts of the same fleet; what cannot be had leaves it as it was."""
    reason = ""
    for variant in endpoint.variants:
        if not place(hosting, variant, variant.desired):
            variant.desired, reason = variant.current, NO_CAPACITY
    return _done(hosting, endpoint, Status.IN_SERVICE, reason)


def _done(hosting: Hosting, endpoint: Endpoint, status: Status, reason: str) -> bool:
    endpoint.status, endpoint.failure, endpoint.change = status, reason, None
    endpoint.modified = hosting.now()
    return True


def _stop(
    hosting: Hosting, region: Region, endpoint: Endpoint, config: str, variants: Sequence[Variant], keep: str = ""
) -> None:
    """End a fleet's containers, except those that another fleet of the same configuration shares."""
    for variant in variants if config != keep else ():
        hosting.runs.stop(container_key(region, endpoint, config, variant.name))
