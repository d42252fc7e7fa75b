"""The operations on endpoints: what is refused at once, and what is begun. How it goes on is in `transitions.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from infra.localaws.calls import Call
from infra.localaws.errors import AwsError, Invalid
from infra.localaws.sagemaker import autoscaled
from infra.localaws.sagemaker.hosting import Hosting, Operate, tags_of
from infra.localaws.sagemaker.world import Change, Endpoint, Status, Thing, Variant
from infra.localaws.validation import check

BUSY = (Status.CREATING, Status.UPDATING, Status.ROLLING_BACK, Status.DELETING)


def create_endpoint(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    check(call)
    region, said = hosting.of(call), call.parameters
    there = region.endpoints.get(said["EndpointName"])
    if there is not None:
        raise Invalid(f'Cannot create already existing endpoint "{there.arn}".')
    config = region.find(region.configs, said["EndpointConfigName"])
    variants = fleet(config)
    check_quota(hosting, variants, beside=())
    now = hosting.now()
    arn = region.arn(region.endpoints, said["EndpointName"])
    change = Change(_after(now, hosting.around.latencies.create_s), now, config.name, variants)
    endpoint = Endpoint(said["EndpointName"], arn, now, said, config.name, modified=now, change=change)
    endpoint.deployment = said.get("DeploymentConfig")
    region.endpoints.add(endpoint)
    region.tags[arn] = tags_of(said)
    return {"EndpointArn": arn}


def update_endpoint(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    """Begin a new fleet beside the old one. The reference says that only InService can be updated, and that a Failed
    endpoint can only be deleted; the words for the latter are not AWS's."""
    check(call)
    region, said = hosting.of(call), call.parameters
    endpoint = region.find(region.endpoints, said["EndpointName"])
    _refuse_busy(endpoint)
    if endpoint.status is Status.FAILED:
        raise Invalid(f'Cannot update failed endpoint "{endpoint.arn}"; delete it.')
    config = region.find(region.configs, said["EndpointConfigName"])
    variants = fleet(config)
    autoscaled.refuse_new_type(hosting, region, endpoint, variants)
    _retain(endpoint.variants, variants, said)
    check_quota(hosting, variants, beside=_kept_during(endpoint, said))
    now = hosting.now()
    deployment = endpoint.deployment if said.get("RetainDeploymentConfig") else said.get("DeploymentConfig")
    due = _after(now, hosting.around.latencies.update_s)
    endpoint.change = Change(due, now, config.name, variants, deployment)
    endpoint.status, endpoint.modified = Status.UPDATING, now
    return {"EndpointArn": endpoint.arn}


def update_counts(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    """UpdateEndpointWeightsAndCapacities: more or fewer instances of the same fleet."""
    region, said = hosting.of(call), call.parameters
    endpoint = region.find(region.endpoints, said["EndpointName"])
    _refuse_busy(endpoint)
    wanted = {
        one["VariantName"]: (one.get("DesiredInstanceCount"), one.get("DesiredWeight"))
        for one in said["DesiredWeightsAndCapacities"]
    }
    missing = wanted.keys() - {variant.name for variant in endpoint.variants}
    if missing:
        raise Invalid(f'The variant name(s) "{", ".join(sorted(missing))}" is/are not present within endpoint.')
    change_counts(hosting, endpoint, wanted)
    return {"EndpointArn": endpoint.arn}


def change_counts(hosting: Hosting, endpoint: Endpoint, wanted: Mapping[str, tuple[int | None, float | None]]) -> None:
    """Begin to have so many instances and such weights, by variant; also what autoscaling does."""
    now = hosting.now()
    endpoint.change = Change(_after(now, hosting.around.latencies.update_s), now, counts=dict(wanted))
    endpoint.status, endpoint.modified = Status.UPDATING, now
    for variant in endpoint.variants:
        count, weight = wanted.get(variant.name, (None, None))
        variant.desired = variant.desired if count is None else count
        variant.weight = variant.weight if weight is None else weight


def delete_endpoint(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    """An endpoint that is being created cannot be deleted (amazon-sagemaker-examples #3432), nor one with inference
    components; the words for the latter are not AWS's. Autoscaling lets go of it by itself (developer guide, "Delete
    endpoints configured for auto scaling")."""
    region = hosting.of(call)
    endpoint = region.find(region.endpoints, call.parameters["EndpointName"])
    _refuse_busy(endpoint)
    if any(component.endpoint == endpoint.name for component in region.components):
        raise Invalid(f'Cannot delete endpoint "{endpoint.arn}" with inference components; delete them first.')
    now = hosting.now()
    autoscaled.let_go(hosting, region, endpoint)
    endpoint.change = Change(_after(now, hosting.around.latencies.delete_s), now)
    endpoint.status, endpoint.modified = Status.DELETING, now
    return {}


def fleet(config: Thing) -> list[Variant]:
    """The variants that a configuration asks for."""
    return [
        Variant(said["VariantName"], said, _initial_count(said), said.get("InitialVariantWeight", 1.0))
        for said in config.said["ProductionVariants"]
    ]


def _initial_count(said: Mapping[str, Any]) -> int:
    if "ServerlessConfig" in said:
        return 0
    least = said.get("ManagedInstanceScaling", {}).get("MinInstanceCount", 1)
    return int(said.get("InitialInstanceCount", least))


def check_quota(hosting: Hosting, variants: Sequence[Variant], beside: Sequence[Variant]) -> None:
    """Raises ResourceLimitExceeded where the account may not have so many more. A variant with instance pools is
    refused when no pool may have them. `beside` are instances that will be there no more when these come."""
    freed: dict[str, int] = {}
    for variant in beside:
        for kind, count in variant.placed.items():
            freed[kind] = freed.get(kind, 0) + count
    for variant in variants:
        refusals = [_over_quota(hosting, kind, variant.desired, freed) for kind in types_of(variant)]
        if refusals and all(refusals):
            raise AwsError("ResourceLimitExceeded", str(refusals[0]))


def _over_quota(hosting: Hosting, kind: str, wanted: int, freed: Mapping[str, int]) -> str | None:
    quota = hosting.around.supply.quota(kind)
    used = hosting.placed().get(kind, 0) - freed.get(kind, 0)
    if quota is None or used + wanted <= quota:
        return None
    return (
        f"The account-level service limit '{kind} for endpoint usage' is {quota} Instances, with current utilization "
        f"of {used} Instances and a request delta of {wanted} Instances. Please use AWS Service Quotas to request an "
        "increase for this quota. If AWS Service Quotas is not available, contact AWS support to request an increase "
        "for this quota."
    )


def types_of(variant: Variant) -> list[str]:
    """Instance types that may serve a variant, the preferred one first."""
    pools = sorted(variant.said.get("InstancePools", ()), key=lambda pool: pool["Priority"])
    return [pool["InstanceType"] for pool in pools] or [
        variant.said[key] for key in ("InstanceType",) if key in variant.said
    ]


def _kept_during(endpoint: Endpoint, said: Mapping[str, Any]) -> Sequence[Variant]:
    """A rolling update lets old instances go before new ones come; blue/green needs both."""
    return endpoint.variants if "RollingUpdatePolicy" in said.get("DeploymentConfig", {}) else ()


def _retain(old: Sequence[Variant], new: Sequence[Variant], said: Mapping[str, Any]) -> None:
    """RetainAllVariantProperties: variants of the same name keep their counts and weights."""
    if not said.get("RetainAllVariantProperties"):
        return
    excluded = {one["VariantPropertyType"] for one in said.get("ExcludeRetainedVariantProperties", ())}
    by_name = {variant.name: variant for variant in old}
    for variant in new:
        kept = by_name.get(variant.name)
        if kept is not None and "DesiredInstanceCount" not in excluded:
            variant.desired = kept.desired
        if kept is not None and "DesiredWeight" not in excluded:
            variant.weight = kept.weight


def _refuse_busy(endpoint: Endpoint) -> None:
    if endpoint.status in BUSY:
        raise Invalid(f'Cannot update in-progress endpoint "{endpoint.arn}".')


def _after(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)


OPERATIONS: Mapping[str, Operate] = {
    "CreateEndpoint": create_endpoint,
    "UpdateEndpoint": update_endpoint,
    "UpdateEndpointWeightsAndCapacities": update_counts,
    "DeleteEndpoint": delete_endpoint,
}
