"""The engine's container: which image, and its arguments as the environment variables that the image turns into flags.

AWS's images of llama.cpp and vLLM make `--foo-bar v` of `SM_LLAMA_CPP_FOO_BAR=v`: `true` stands for a switch, `false`
for nothing at all. Sources: aws.github.io/deep-learning-containers, its pages on llama-cpp and vllm; for the registries
by region aws/sagemaker-python-sdk, image_uri_config.
"""

from __future__ import annotations

from collections.abc import Mapping

from drivers.aws.sagemaker.instances import gpus, is_arm, is_gpu
from drivers.aws.serving import Serving
from drivers.base import ModelSpec
from drivers.errors import Rejected

AMI = "al2023-ami-sagemaker-inference-gpu-4-1"
"""Driver 580 for CUDA 13, which the images need; the default one is older, and the endpoint would fail."""
_USUAL = "763104351884"
_REGISTRIES = {
    "af-south-1": "626614931356", "ap-east-1": "871362719292", "ap-northeast-3": "364406365360",
    "ap-southeast-3": "907027046896", "ca-west-1": "204538143572", "cn-north-1": "727897471807",
    "cn-northwest-1": "727897471807", "eu-south-1": "692866216735", "il-central-1": "780543022126",
    "me-central-1": "914824155844", "me-south-1": "217643126080", "us-gov-east-1": "446045086412",
    "us-gov-west-1": "442386744353",
}  # fmt: skip
_PREFIXES = {"llamacpp": "SM_LLAMA_CPP_", "vllm": "SM_VLLM_"}
_LONGEST, _MOST = 1024, 100


def image(spec: ModelSpec, engine: str, instance_type: str, region: str) -> str:
    """The image for an engine on a type of instance: what the file names, else AWS's own in this region."""
    named = spec.options.get("cloud.image")
    if named is not None:
        return named
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    registry = f"{_REGISTRIES.get(region, _USUAL)}.dkr.ecr.{region}.{domain}"
    if engine == "vllm":
        return f"{registry}/vllm:server-sagemaker-cuda-v2"
    if is_arm(instance_type):
        return f"{registry}/llama-cpp-arm64:server-sagemaker-cpu-v1"
    return f"{registry}/llama-cpp:server-sagemaker-{'cuda' if is_gpu(instance_type) else 'cpu'}-v1"


def environment(serving: Serving, instance_type: str) -> Mapping[str, str]:
    """The arguments as variables. Raises Rejected for what cannot be said that way."""
    prefix = _PREFIXES[serving.engine]
    found: dict[str, str] = {}
    for name, value in (*_of_machine(serving, instance_type), *serving.arguments):
        variable = prefix + name.removeprefix("--").upper().replace("-", "_")
        if value in ("true", "false"):
            raise Rejected(f"{name} {value} cannot be said to SageMaker's container, which takes it for a switch")
        if variable in found:
            raise Rejected(f"{name} is given twice, and SageMaker's container takes one of a kind")
        if value is not None and len(value) > _LONGEST:
            raise Rejected(f"{name} is longer than {_LONGEST} characters, the most that SageMaker takes")
        found[variable] = "true" if value is None else value
    if len(found) > _MOST:
        raise Rejected(f"SageMaker takes {_MOST} settings of a container at most, and these are {len(found)}")
    return found


def _of_machine(serving: Serving, instance_type: str) -> tuple[tuple[str, str | None], ...]:
    """What the machine means for the engine: all layers on the GPU, all GPUs for one model."""
    found = gpus(instance_type)
    if serving.engine == "llamacpp":
        return (("--n-gpu-layers", "999"),) if is_gpu(instance_type) else ()
    return (("--tensor-parallel-size", str(found.number)),) if found is not None and found.number > 1 else ()
