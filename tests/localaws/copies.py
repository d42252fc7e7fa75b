"""Short words for tests of inference components and their autoscaling."""

from __future__ import annotations

from typing import Any

from infra.localaws.localaws import LocalAws
from tests.localaws.hosting import VARIANT

IC = "/endpoints/e1/inference-components/ic1/openai/v1/chat/completions"
RESOURCE = "inference-component/ic1"
COPIES = "sagemaker:inference-component:DesiredCopyCount"
NEEDS = {"NumberOfAcceleratorDevicesRequired": 1, "MinMemoryRequiredInMb": 1024}


def create(client: Any, name: str = "ic1", model: str = "m1", copies: int = 1, **given: Any) -> None:
    client.create_inference_component(
        InferenceComponentName=name,
        EndpointName="e1",
        VariantName=VARIANT,
        Specification={"ModelName": model, "ComputeResourceRequirements": NEEDS},
        RuntimeConfig={"CopyCount": copies},
        **given,
    )


def described(client: Any, name: str = "ic1") -> dict[str, Any]:
    said: dict[str, Any] = client.describe_inference_component(InferenceComponentName=name)
    return said


def copies(client: Any) -> tuple[str, int, int]:
    said = described(client)
    counts = said["RuntimeConfig"]
    return said["InferenceComponentStatus"], counts["DesiredCopyCount"], counts["CurrentCopyCount"]


def instances(client: Any) -> int:
    count: int = client.describe_endpoint(EndpointName="e1")["ProductionVariants"][0]["CurrentInstanceCount"]
    return count


def set_copies(cloud: LocalAws, client: Any, count: int) -> None:
    client.update_inference_component_runtime_config(
        InferenceComponentName="ic1", DesiredRuntimeConfig={"CopyCount": count}
    )
    cloud.advance(300)
