"""What SageMaker said of an endpoint, in our words; the same from a description and from a search. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers.aws.sagemaker.names import VARIANT
from drivers.aws.tags import as_mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An endpoint as it is right now, or as an index remembers it."""

    name: str
    arn: str
    status: str
    """SageMaker's own word."""
    config: str
    """The configuration that it serves; while an update is under way, still the old one."""
    failure: str = ""
    """Why the last change failed, also when the endpoint went on with what it had."""
    pending: str = ""
    """The configuration that it is on its way to; only a description says."""
    desired: int | None = None
    """Instances that it should have."""
    modified: str = ""
    """When it was last changed, by AWS's clock."""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """An inference component."""

    name: str
    arn: str
    status: str
    failure: str = ""
    model: str = ""
    """The SageMaker model that it runs; a listing does not say."""


def endpoint(said: Mapping[str, Any], tags: Mapping[str, str] | None = None) -> Seen:
    """From DescribeEndpoint, whose tags are asked for separately, or from a result of Search, which has them."""
    variants = said.get("ProductionVariants") or ()
    own: Mapping[str, Any] = next((each for each in variants if each.get("VariantName") == VARIANT), {})
    return Seen(
        name=said["EndpointName"],
        arn=said["EndpointArn"],
        status=said["EndpointStatus"],
        config=said.get("EndpointConfigName", ""),
        failure=_plain(said.get("FailureReason", "")),
        pending=said.get("PendingDeploymentSummary", {}).get("EndpointConfigName", ""),
        desired=own.get("DesiredInstanceCount"),
        modified=str(said.get("LastModifiedTime", "")),
        tags=as_mapping(said.get("Tags")) if tags is None else tags,
    )


def component(said: Mapping[str, Any]) -> Component:
    """From DescribeInferenceComponent, or from a summary of ListInferenceComponents."""
    return Component(
        name=said["InferenceComponentName"],
        arn=said["InferenceComponentArn"],
        status=said["InferenceComponentStatus"],
        failure=_plain(said.get("FailureReason", "")),
        model=said.get("Specification", {}).get("ModelName", ""),
    )


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)[:600]
