"""How inference components get on by themselves: instances come and go with the copies, containers start and stop."""

from __future__ import annotations

from datetime import datetime

from infra.localaws.containers import State
from infra.localaws.sagemaker import components
from infra.localaws.sagemaker.hosting import Hosting
from infra.localaws.sagemaker.runs import COMPONENTS
from infra.localaws.sagemaker.transitions import NO_CAPACITY, place
from infra.localaws.sagemaker.world import Component, Region, Status, Variant

NO_PING = "The container of inference component {} did not pass the ping health check. Please check CloudWatch logs."


def settle_component(hosting: Hosting, region: Region, component: Component, now: datetime) -> None:
    """Do what is due."""
    if component.due is None or component.due > now:
        return
    if component.status is Status.DELETING:
        _stop(hosting, region, component)
        region.remove(region.components, component)
        _fit_instances(hosting, region, component)
        hosting.scaling.forget(region.name, f"inference-component/{component.name}")
        return
    if component.desired > 0 and not _fit_instances(hosting, region, component):
        _give_up(hosting, region, component, NO_CAPACITY)
        return
    _look(hosting, region, component)


def _look(hosting: Hosting, region: Region, component: Component) -> None:
    """Start what is to run, and see how it is."""
    specification = component.coming or component.running
    container = components.container(region, specification)
    key = components.key_of(region, component, 1 if component.coming else 0)
    if component.desired > 0 and container is not None:
        hosting.runs.start(key, container, region.name, COMPONENTS + component.name, component.variant)
        state = hosting.runs.state(key)
        if state is State.STARTING:
            return
        if state is State.BROKEN:
            _give_up(hosting, region, component, NO_PING.format(component.name))
            return
    if component.coming:
        hosting.runs.stop(components.key_of(region, component))
        component.running, component.coming = component.coming, None
        component.revision += 1
    component.current, component.failure = component.desired, ""
    if component.current == 0:
        _stop(hosting, region, component)
        _fit_instances(hosting, region, component)
    _done(hosting, component, Status.IN_SERVICE)


def _give_up(hosting: Hosting, region: Region, component: Component, reason: str) -> None:
    """A new component has failed; one that had copies, or was asked for more, goes on with what it has."""
    ahead = 1 if component.coming else 0
    is_new = component.status is Status.CREATING
    if is_new or component.coming:
        hosting.runs.stop(components.key_of(region, component, ahead))
    component.coming, component.failure, component.desired = None, reason, component.current
    _fit_instances(hosting, region, component)
    _done(hosting, component, Status.FAILED if is_new else Status.IN_SERVICE)


def _fit_instances(hosting: Hosting, region: Region, component: Component) -> bool:
    """Bring the variant to as many instances as its components need, where it scales by itself; False where they cannot
    be had. A variant with a fixed number takes all copies."""
    endpoint = region.endpoints.get(component.endpoint)
    variant = next((one for one in endpoint.variants if one.name == component.variant), None) if endpoint else None
    scaling = variant.said.get("ManagedInstanceScaling") if variant is not None else None
    if variant is None or not scaling or scaling.get("Status") == "DISABLED":
        return True
    most = scaling.get("MaxInstanceCount", 1_000_000)
    wanted = max(scaling.get("MinInstanceCount", 1), _copies(region, component, variant))
    if wanted > most or not place(hosting, variant, wanted):
        return False
    variant.desired = wanted
    return True


def _copies(region: Region, component: Component, variant: Variant) -> int:
    """The copies of all components of a variant; those of one that is being deleted still count until it is gone."""
    return sum(
        max(one.desired, one.current if one.status is Status.DELETING else 0)
        for one in region.components
        if (one.endpoint, one.variant) == (component.endpoint, variant.name)
    )


def _stop(hosting: Hosting, region: Region, component: Component) -> None:
    hosting.runs.stop(components.key_of(region, component))


def _done(hosting: Hosting, component: Component, status: Status) -> None:
    component.status, component.due, component.modified = status, None, hosting.now()
