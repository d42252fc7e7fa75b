"""Models and endpoint configurations: immutable, free of charge, and there at once.

Both can be deleted while an endpoint uses them, and AWS does not stop anybody: what becomes of the endpoint is in
`transitions.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.localaws.calls import Call
from infra.localaws.errors import Invalid
from infra.localaws.sagemaker.hosting import Hosting, Operate, tags_of
from infra.localaws.sagemaker.world import Region, Shelf, Thing
from infra.localaws.validation import check


def create_model(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    check(call)
    said = call.parameters
    if ("PrimaryContainer" in said) == ("Containers" in said):
        raise Invalid("Exactly one of PrimaryContainer and Containers must be given.")
    for container in said.get("Containers") or (said["PrimaryContainer"],):
        if not container.get("Image") and not container.get("ModelPackageName"):
            raise Invalid("A container definition needs an Image or a ModelPackageName.")
    region = hosting.of(call)
    return {"ModelArn": _add(hosting, region, region.models, said["ModelName"], said)}


def describe_model(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    region = hosting.of(call)
    model = region.find(region.models, call.parameters["ModelName"])
    return {**_without_tags(model.said), "ModelArn": model.arn, "CreationTime": model.created}


def delete_model(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    region = hosting.of(call)
    region.remove(region.models, region.find(region.models, call.parameters["ModelName"]))
    return {}


def create_config(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    check(call)
    region, said = hosting.of(call), call.parameters
    names = [variant["VariantName"] for variant in said["ProductionVariants"]]
    if len(names) != len(set(names)):
        raise Invalid("Variant names must be unique within an endpoint configuration.")
    for variant in said["ProductionVariants"]:
        _check_variant(region, said, variant)
    return {"EndpointConfigArn": _add(hosting, region, region.configs, said["EndpointConfigName"], said)}


def _check_variant(region: Region, said: Mapping[str, Any], variant: Mapping[str, Any]) -> None:
    """One variant of a configuration. Only the words about missing models are AWS's own."""
    name = variant["VariantName"]
    if sum(key in variant for key in ("InstanceType", "InstancePools", "ServerlessConfig")) != 1:
        raise Invalid(f"Variant {name}: exactly one of InstanceType, InstancePools and ServerlessConfig must be given.")
    scaled = "ManagedInstanceScaling" in variant
    if "ServerlessConfig" not in variant and "InitialInstanceCount" not in variant and not scaled:
        raise Invalid(f"Variant {name}: InitialInstanceCount must be given.")
    if "ModelName" not in variant and "ExecutionRoleArn" not in said:
        raise Invalid("ExecutionRoleArn must be given when a variant has no model, for inference components.")
    pools = variant.get("InstancePools", ())
    if len({pool["Priority"] for pool in pools}) != len(pools):
        raise Invalid(f"Variant {name}: the priorities of instance pools must be unique.")
    for model in (variant.get("ModelName"), *(pool.get("ModelNameOverride") for pool in pools)):
        if model:
            region.find(region.models, model)


def describe_config(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    region = hosting.of(call)
    config = region.find(region.configs, call.parameters["EndpointConfigName"])
    return {**_without_tags(config.said), "EndpointConfigArn": config.arn, "CreationTime": config.created}


def delete_config(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    region = hosting.of(call)
    region.remove(region.configs, region.find(region.configs, call.parameters["EndpointConfigName"]))
    return {}


def _add(hosting: Hosting, region: Region, shelf: Shelf[Thing], name: str, said: Mapping[str, Any]) -> str:
    arn = region.arn(shelf, name)
    shelf.add(Thing(name, arn, hosting.now(), said))
    region.tags[arn] = tags_of(said)
    return arn


def _without_tags(said: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in said.items() if key != "Tags"}


OPERATIONS: Mapping[str, Operate] = {
    "CreateModel": create_model,
    "DescribeModel": describe_model,
    "DeleteModel": delete_model,
    "CreateEndpointConfig": create_config,
    "DescribeEndpointConfig": describe_config,
    "DeleteEndpointConfig": delete_config,
}
