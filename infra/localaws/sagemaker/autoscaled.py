"""What autoscaling has to say about endpoints: a type that it scales is not changed, and what is gone it lets go of."""

from __future__ import annotations

from collections.abc import Sequence

from infra.localaws.errors import Invalid
from infra.localaws.sagemaker.hosting import Hosting
from infra.localaws.sagemaker.world import Endpoint, Region, Variant


def refuse_new_type(hosting: Hosting, region: Region, endpoint: Endpoint, variants: Sequence[Variant]) -> None:
    """Raises Invalid where an update would change the instance type of a variant that is scaled, or take the variant
    away (developer guide, "Update endpoints that use auto scaling"). The words are not AWS's."""
    new = {variant.name: variant.said for variant in variants}
    for variant in endpoint.variants:
        if resource(endpoint, variant) not in hosting.scaling.targets(region.name):
            continue
        said = new.get(variant.name, {})
        if any(said.get(key) != variant.said.get(key) for key in ("InstanceType", "InstancePools")):
            raise Invalid(
                f"Cannot change the instance type of variant {variant.name}, which is a target of auto scaling; "
                "deregister it first."
            )


def let_go(hosting: Hosting, region: Region, endpoint: Endpoint) -> None:
    """Deregister all variants, with their policies."""
    for variant in endpoint.variants:
        hosting.scaling.forget(region.name, resource(endpoint, variant))


def resource(endpoint: Endpoint, variant: Variant) -> str:
    """The name of a variant as a scalable target."""
    return f"endpoint/{endpoint.name}/variant/{variant.name}"
