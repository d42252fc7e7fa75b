"""What SageMaker says of endpoints: described one by one, and listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from infra.localaws.calls import Call
from infra.localaws.errors import Invalid
from infra.localaws.sagemaker.hosting import Hosting, Operate, container_of
from infra.localaws.sagemaker.world import Component, Endpoint, Region, Thing, Variant


def describe_endpoint(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    region = hosting.of(call)
    return described(region, region.find(region.endpoints, call.parameters["EndpointName"]))


def described(region: Region, endpoint: Endpoint) -> dict[str, Any]:
    """An endpoint in full. What it is changing to is in PendingDeploymentSummary, while it goes on with what it has."""
    change = endpoint.change
    answer: dict[str, Any] = {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": endpoint.config,
        "EndpointStatus": endpoint.word,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
    }
    if endpoint.variants:
        answer["ProductionVariants"] = [variant_summary(region, one, pending=False) for one in endpoint.variants]
    if endpoint.failure:
        answer["FailureReason"] = endpoint.failure
    if endpoint.deployment:
        answer["LastDeploymentConfig"] = endpoint.deployment
    if change is not None and change.variants is not None:
        answer["PendingDeploymentSummary"] = {
            "EndpointConfigName": change.config,
            "StartTime": change.started,
            "ProductionVariants": [variant_summary(region, one, pending=True) for one in change.variants],
        }
    return answer


def variant_summary(region: Region, variant: Variant, *, pending: bool) -> dict[str, Any]:
    said = variant.said
    summary: dict[str, Any] = {
        "VariantName": variant.name,
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.weight,
        "CurrentInstanceCount": variant.current,
        "DesiredInstanceCount": variant.desired,
    }
    summary |= {key: said[key] for key in ("ManagedInstanceScaling", "RoutingConfig") if key in said}
    if pending and "InstanceType" in said:
        summary["InstanceType"] = said["InstanceType"]
    if pending:
        summary["VariantStatus"] = [{"Status": "Creating"}]
    if "InstancePools" in said:
        summary["InstancePools"] = [
            {"InstanceType": pool["InstanceType"], "CurrentInstanceCount": variant.placed.get(pool["InstanceType"], 0)}
            for pool in said["InstancePools"]
        ]
    container = container_of(region, variant)
    if container is not None:
        summary["DeployedImages"] = [{"SpecifiedImage": container.image, "ResolvedImage": container.image}]
    return summary


def list_endpoints(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    return listed(call, hosting.of(call).endpoints, "Endpoint", "Endpoints")


def list_configs(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    return listed(call, hosting.of(call).configs, "EndpointConfig", "EndpointConfigs")


def list_models(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    return listed(call, hosting.of(call).models, "Model", "Models")


def listed(call: Call, things: Iterable[Thing], prefix: str, key: str) -> dict[str, Any]:
    """A page of summaries: filtered, newest first, 10 of them unless the call says more, as the reference says."""
    said = call.parameters
    found = sorted(
        (thing for thing in things if _is_wanted(thing, said)),
        key=lambda thing: (thing.created, thing.name) if said.get("SortBy", "CreationTime") != "Name" else thing.name,
        reverse=said.get("SortOrder", "Descending") == "Descending",
    )
    page, token = paged(found, said, default=10)
    answer: dict[str, Any] = {key: [_summary(thing, prefix) for thing in page]}
    return answer | ({"NextToken": token} if token else {})


def _summary(thing: Thing, prefix: str) -> dict[str, Any]:
    summary = {f"{prefix}Name": thing.name, f"{prefix}Arn": thing.arn, "CreationTime": thing.created}
    if isinstance(thing, Endpoint | Component):
        summary |= {f"{prefix}Status": thing.word, "LastModifiedTime": thing.modified}
    return summary


def _is_wanted(thing: Thing, said: Mapping[str, Any]) -> bool:
    modified = getattr(thing, "modified", None) or thing.created
    tests: Sequence[tuple[str, Callable[[Any], bool]]] = (
        ("NameContains", lambda text: text.lower() in thing.name.lower()),
        ("StatusEquals", lambda status: getattr(thing, "word", "") == status),
        ("CreationTimeBefore", lambda at: thing.created < moment(at)),
        ("CreationTimeAfter", lambda at: thing.created > moment(at)),
        ("LastModifiedTimeBefore", lambda at: modified < moment(at)),
        ("LastModifiedTimeAfter", lambda at: modified > moment(at)),
        ("EndpointNameEquals", lambda name: getattr(thing, "endpoint", None) == name),
        ("VariantNameEquals", lambda name: getattr(thing, "variant", None) == name),
    )
    return all(test(said[key]) for key, test in tests if key in said)


def paged(found: Sequence[Any], said: Mapping[str, Any], default: int) -> tuple[Sequence[Any], str]:
    """One page, and the token of the next one. Raises Invalid for a token that nobody gave out."""
    token = said.get("NextToken", "")
    if token and not token.removeprefix("page-").isdigit():
        raise Invalid("Invalid NextToken.")
    start = int(token.removeprefix("page-")) if token else 0
    end = start + int(said.get("MaxResults", default))
    return found[start:end], f"page-{end}" if end < len(found) else ""


def moment(value: float | str) -> datetime:
    """A timestamp of a call: seconds since 1970, or ISO 8601."""
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    return datetime.fromtimestamp(value, UTC)


OPERATIONS: Mapping[str, Operate] = {
    "DescribeEndpoint": describe_endpoint,
    "ListEndpoints": list_endpoints,
    "ListEndpointConfigs": list_configs,
    "ListModels": list_models,
}
