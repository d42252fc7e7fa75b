"""Short words for what most tests of SageMaker begin with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::123456789012:role/hosting"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/llama-cpp:server-sagemaker-cuda-v1"
TYPE = "ml.g6.xlarge"
VARIANT = "AllTraffic"


def make_model(client: Any, name: str = "m1", **environment: str) -> str:
    container = {"Image": IMAGE, "Environment": environment}
    client.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    return name


def make_config(client: Any, name: str = "c1", model: str = "m1", **variant: Any) -> str:
    """A configuration with one variant, and its model if that is not there."""
    if not client.list_models(NameContains=model)["Models"]:
        make_model(client, model)
    said = {"VariantName": VARIANT, "ModelName": model, "InitialInstanceCount": 1} | variant
    if "InstancePools" not in said:
        said.setdefault("InstanceType", TYPE)
    client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[said])
    return name


def make_endpoint(client: Any, name: str = "e1", config: str = "c1", **given: Any) -> str:
    """An endpoint that has been asked for, and its configuration if that is not there."""
    if not client.list_endpoint_configs(NameContains=config)["EndpointConfigs"]:
        make_config(client, config)
    client.create_endpoint(EndpointName=name, EndpointConfigName=config, **given)
    return name


def status(client: Any, name: str = "e1") -> str:
    said: str = client.describe_endpoint(EndpointName=name)["EndpointStatus"]
    return said


def refusal(call: Callable[..., Any], *, code: str = "ValidationException", **given: Any) -> str:
    """The message with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**given)
    error = caught.value.response["Error"]
    assert error["Code"] == code
    message: str = error["Message"]
    return message
