"""Models and endpoint configurations, as AWS keeps them (API reference, and reports of users where named)."""

from __future__ import annotations

from typing import Any

import pytest

from infra.localaws.localaws import LocalAws
from tests.localaws.hosting import IMAGE, ROLE, VARIANT, make_config, make_endpoint, make_model, refusal, status

ARN = "arn:aws:sagemaker:us-east-1:123456789012"


def test_second_model_of_a_name_is_refused(sagemaker: Any) -> None:
    make_model(sagemaker, "m1")
    said = refusal(sagemaker.create_model, ModelName="m1", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE})
    assert said == f'Cannot create already existing model "{ARN}:model/m1".'


def test_second_config_of_a_name_is_refused(sagemaker: Any) -> None:
    """In the words of awslabs/spot-tagging-bot-for-digital-assets #2."""
    make_config(sagemaker, "c1")
    variant = {"VariantName": "v", "ModelName": "m1", "InstanceType": "ml.g6.xlarge", "InitialInstanceCount": 1}
    said = refusal(sagemaker.create_endpoint_config, EndpointConfigName="c1", ProductionVariants=[variant])
    assert said == f'Cannot create already existing endpoint configuration "{ARN}:endpoint-config/c1".'


def test_config_of_a_missing_model_is_refused(sagemaker: Any) -> None:
    variant = {"VariantName": "v", "ModelName": "gone", "InstanceType": "ml.g6.xlarge", "InitialInstanceCount": 1}
    said = refusal(sagemaker.create_endpoint_config, EndpointConfigName="c1", ProductionVariants=[variant])
    assert said == f'Could not find model "{ARN}:model/gone".'


@pytest.mark.parametrize(
    "kind", ["ml.g5.2xlarge", "ml.g6.xlarge", "ml.g6e.12xlarge", "ml.p5.48xlarge", "ml.inf2.xlarge"]
)
def test_current_instance_types_are_known(sagemaker: Any, kind: str) -> None:
    make_config(sagemaker, InstanceType=kind)
    said = sagemaker.describe_endpoint_config(EndpointConfigName="c1")["ProductionVariants"][0]
    assert said["InstanceType"] == kind


def test_unheard_of_instance_type_is_refused_with_the_list(sagemaker: Any) -> None:
    make_model(sagemaker)
    variant = {"VariantName": "v", "ModelName": "m1", "InstanceType": "ml.g99.xlarge", "InitialInstanceCount": 1}
    said = refusal(sagemaker.create_endpoint_config, EndpointConfigName="c1", ProductionVariants=[variant])
    assert "Value 'ml.g99.xlarge' at 'productionVariants.1.member.instanceType'" in said
    assert "ml.g6.xlarge" in said


@pytest.mark.parametrize("name", ["under_score", "dot.ted", "-first", "a" * 64])
def test_names_are_held_to_their_pattern(sagemaker: Any, name: str) -> None:
    make_config(sagemaker)
    said = refusal(sagemaker.create_endpoint, EndpointName=name, EndpointConfigName="c1")
    assert said.startswith(("1 validation error detected: ", "2 validation errors detected: "))
    assert "at 'endpointName'" in said


def test_role_must_be_a_role(sagemaker: Any) -> None:
    arn = "arn:aws:iam::123456789012:user/somebody"
    said = refusal(sagemaker.create_model, ModelName="m1", ExecutionRoleArn=arn, PrimaryContainer={"Image": IMAGE})
    assert "at 'executionRoleArn'" in said


def test_config_without_a_model_is_for_inference_components_and_names_its_role(sagemaker: Any) -> None:
    variant = {"VariantName": "v", "InstanceType": "ml.g6.xlarge", "InitialInstanceCount": 1}
    assert "ExecutionRoleArn" in refusal(
        sagemaker.create_endpoint_config, EndpointConfigName="c1", ProductionVariants=[variant]
    )
    sagemaker.create_endpoint_config(EndpointConfigName="c1", ProductionVariants=[variant], ExecutionRoleArn=ROLE)
    assert sagemaker.describe_endpoint_config(EndpointConfigName="c1")["ExecutionRoleArn"] == ROLE


def test_instance_type_and_pools_exclude_each_other(sagemaker: Any) -> None:
    make_model(sagemaker)
    pool = {"InstanceType": "ml.g6.xlarge", "Priority": 1}
    variant = {"VariantName": "v", "ModelName": "m1", "InitialInstanceCount": 1, "InstancePools": [pool]}
    refusal(
        sagemaker.create_endpoint_config,
        EndpointConfigName="c1",
        ProductionVariants=[variant | {"InstanceType": "ml.g6.xlarge"}],
    )
    sagemaker.create_endpoint_config(EndpointConfigName="c1", ProductionVariants=[variant])


def test_what_is_in_use_can_be_deleted_and_the_endpoint_goes_on(cloud: LocalAws, sagemaker: Any) -> None:
    make_endpoint(sagemaker)
    cloud.advance(300)
    sagemaker.delete_endpoint_config(EndpointConfigName="c1")
    sagemaker.delete_model(ModelName="m1")
    assert status(sagemaker) == "InService"


def test_missing_things_are_said_to_be_missing(sagemaker: Any) -> None:
    missing = f'Could not find endpoint configuration "{ARN}:endpoint-config/none".'
    assert refusal(sagemaker.describe_endpoint_config, EndpointConfigName="none") == missing
    assert refusal(sagemaker.delete_endpoint_config, EndpointConfigName="none") == missing
    assert refusal(sagemaker.describe_model, ModelName="none") == f'Could not find model "{ARN}:model/none".'
    assert refusal(sagemaker.delete_model, ModelName="none") == f'Could not find model "{ARN}:model/none".'


def test_what_was_said_is_described_again(sagemaker: Any) -> None:
    make_model(sagemaker, "m1", SM_LLAMA_CPP_CTX_SIZE="4096")
    make_config(sagemaker, "c1", "m1", ContainerStartupHealthCheckTimeoutInSeconds=900, VolumeSizeInGB=100)
    container = sagemaker.describe_model(ModelName="m1")["PrimaryContainer"]
    assert container == {"Image": IMAGE, "Environment": {"SM_LLAMA_CPP_CTX_SIZE": "4096"}}
    variant = sagemaker.describe_endpoint_config(EndpointConfigName="c1")["ProductionVariants"][0]
    assert variant["VariantName"] == VARIANT
    assert variant["ContainerStartupHealthCheckTimeoutInSeconds"] == 900
    assert variant["VolumeSizeInGB"] == 100
