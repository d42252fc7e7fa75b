"""What a spec comes to on SageMaker: instance types, container, configuration, names. Values in, values out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from moto.ec2.models.instance_types import INSTANCE_TYPES

from drivers.aws.sagemaker import alarms, names, requests
from drivers.aws.sagemaker.containers import AMI
from drivers.aws.sagemaker.ground import Ground
from drivers.aws.sagemaker.hardware import hardware, types_of
from drivers.aws.sagemaker.instances import gpus, has_own_disk, instance_types, is_arm
from drivers.aws.settings import AwsSettings
from drivers.base import Deployment
from drivers.errors import Denied, Rejected
from tests import builders
from tests.drivers.sagemakers import ROLE, settings

OWN = settings(Path("/keys"))
REGISTRY = "763104351884.dkr.ecr.us-west-2.amazonaws.com"


def deployment(
    model: str = "ai/smollm2", flags: tuple[str, ...] = (), context: int | None = None, **given: str
) -> Deployment:
    options = {key.replace("__", ".").replace("_", "-"): text for key, text in given.items()}
    return builders.deployment(
        spec=builders.model_spec(model=model, runtime_flags=flags, context_size=context, options=options)
    )


def parts(of: Deployment, own: AwsSettings = OWN, region: str = "us-west-2") -> requests.Parts:
    subnets = own.entries("subnets", "cloud.subnets", of.spec)
    return requests.parts(of, names.revision(of), own, Ground(region, "123456789012", subnets))


def container(of: Deployment, own: AwsSettings = OWN, region: str = "us-west-2") -> dict[str, Any]:
    return dict(parts(of, own, region).model["PrimaryContainer"])


def variant(of: Deployment, own: AwsSettings = OWN) -> dict[str, Any]:
    return dict(parts(of, own).config["ProductionVariants"][0])


# -- instances --------------------------------------------------------------------------------------------------------


def test_the_smallest_size_with_a_gpu_is_taken_where_the_file_says_nothing() -> None:
    assert instance_types(deployment().spec) == ("ml.g6.xlarge", "ml.g5.xlarge")
    assert instance_types(deployment(cloud__instance_type="auto").spec) == ("ml.g6.xlarge", "ml.g5.xlarge")


def test_friendly_sizes_and_native_types_are_pools_in_their_order() -> None:
    mixed = deployment(cloud__instance_type="ml.g5.2xlarge,gpu-small,gpu-medium,gpu-large")
    assert instance_types(mixed.spec) == (
        "ml.g5.2xlarge", "ml.g6.xlarge", "ml.g5.xlarge", "ml.g6e.xlarge", "ml.g6.12xlarge",
    )  # fmt: skip
    pools = variant(mixed)["InstancePools"]
    assert [(pool["InstanceType"], pool["Priority"]) for pool in pools][:2] == [
        ("ml.g5.2xlarge", 1),
        ("ml.g6.xlarge", 2),
    ]
    assert "InstanceType" not in variant(mixed)
    assert variant(mixed)["VariantInstanceProvisionTimeoutInSeconds"] == 900
    assert variant(deployment(cloud__instance_type="ml.g6.xlarge"))["InstanceType"] == "ml.g6.xlarge"


@pytest.mark.parametrize(
    ("given", "types"),
    [
        ({"cloud__accelerator": "l4"}, ("ml.g6.xlarge",)),
        ({"cloud__accelerator": "nvidia-l4:4"}, ("ml.g6.12xlarge",)),
        ({"cloud__accelerator": "nvidia-tesla-t4"}, ("ml.g4dn.xlarge",)),
        ({"cloud__accelerator": "h100:8"}, ("ml.p5.48xlarge",)),
        ({"cloud__accelerator": "h100"}, ("ml.p5.4xlarge",)),
        ({"cloud__accelerator": "l40s,a10g"}, ("ml.g6e.xlarge", "ml.g5.xlarge")),
        ({"cloud__accelerator_memory": "24"}, ("ml.g6.xlarge",)),
        ({"cloud__accelerator": "A10G", "cloud__instance_type": "gpu-small"}, ("ml.g5.xlarge",)),
        ({"cloud__accelerator_memory": "40..100"}, ("ml.g6e.xlarge",)),
    ],
)
def test_an_accelerator_chooses_the_type(given: dict[str, str], types: tuple[str, ...]) -> None:
    assert instance_types(deployment(**given).spec) == types


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"cloud__instance_type": "g6.xlarge"}, "cloud.instance-type: 'g6.xlarge' is none of SageMaker's types"),
        ({"cloud__instance_type": "cpu,gpu-small"}, "types with and without GPU"),
        ({"cloud__instance_type": "cpu,ml.c7g.xlarge"}, "Graviton and other types"),
        ({"cloud__accelerator": "tpu-v5"}, "cloud.accelerator: none of SageMaker's instance types has that"),
        (
            {"cloud__accelerator": "h100", "cloud__instance_type": "gpu-small"},
            "cloud.accelerator: ml.g6.xlarge has 1 × L4",
        ),
        (
            {"cloud__accelerator_memory": "80", "cloud__instance_type": "cpu"},
            "cloud.accelerator-memory: ml.c7i.4xlarge has no GPU",
        ),
    ],
)
def test_what_no_type_can_be_is_refused_with_its_key(given: dict[str, str], refusal: str) -> None:
    with pytest.raises(Rejected, match=refusal.split("'")[0]) as refused:
        instance_types(deployment(**given).spec)
    assert refusal in str(refused.value)


def test_what_is_known_of_types() -> None:
    assert gpus("ml.g6.12xlarge") == ("L4", 4, pytest.approx(89.6))
    assert gpus("ml.c7i.4xlarge") is None
    assert is_arm("ml.c7g.xlarge")
    assert not is_arm("ml.g6.xlarge")
    assert has_own_disk("ml.c6id.xlarge")
    assert not has_own_disk("ml.c7i.4xlarge")


# -- the container ----------------------------------------------------------------------------------------------------


def test_a_docker_model_is_served_as_it_is_by_llama_cpp() -> None:
    found = container(deployment(context=4096, flags=("--temp", "0.7", "--no-mmap"), cloud__replicas="2"))
    assert found["Image"] == f"{REGISTRY}/llama-cpp:server-sagemaker-cuda-v1"
    assert found["Environment"] == {
        "SM_LLAMA_CPP_N_GPU_LAYERS": "999",
        "SM_LLAMA_CPP_DOCKER_REPO": "ai/smollm2",
        "SM_LLAMA_CPP_ALIAS": "ai/smollm2",
        "SM_LLAMA_CPP_CTX_SIZE": "4096",
        "SM_LLAMA_CPP_JINJA": "true",
        "SM_LLAMA_CPP_TEMP": "0.7",
        "SM_LLAMA_CPP_NO_MMAP": "true",
    }


def test_original_weights_of_hugging_face_are_served_by_vllm_on_all_gpus() -> None:
    found = container(deployment("hf.co/Qwen/Qwen3-8B", context=8192, cloud__instance_type="ml.g6.12xlarge"))
    assert found["Image"] == f"{REGISTRY}/vllm:server-sagemaker-cuda-v2"
    assert found["Environment"] == {
        "SM_VLLM_TENSOR_PARALLEL_SIZE": "4",
        "SM_VLLM_MODEL": "Qwen/Qwen3-8B",
        "SM_VLLM_SERVED_MODEL_NAME": "hf.co/Qwen/Qwen3-8B",
        "SM_VLLM_MAX_MODEL_LEN": "8192",
    }


@pytest.mark.parametrize(
    ("type", "image"),
    [
        ("cpu", f"{REGISTRY}/llama-cpp:server-sagemaker-cpu-v1"),
        ("ml.c7g.4xlarge", f"{REGISTRY}/llama-cpp-arm64:server-sagemaker-cpu-v1"),
    ],
)
def test_a_type_without_gpu_gets_the_image_without_cuda(type: str, image: str) -> None:
    found = deployment(cloud__instance_type=type)
    assert container(found)["Image"] == image
    assert "SM_LLAMA_CPP_N_GPU_LAYERS" not in container(found)["Environment"]
    assert "InferenceAmiVersion" not in variant(found)


def test_images_come_from_the_region_s_own_registry() -> None:
    assert container(deployment(), region="eu-south-1")["Image"].startswith(
        "692866216735.dkr.ecr.eu-south-1.amazonaws.com/"
    )
    assert container(deployment(), region="cn-north-1")["Image"].startswith(
        "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/"
    )
    named = deployment(cloud__image="public.ecr.aws/deep-learning-containers/llama-cpp:server-cuda-v1")
    assert container(named)["Image"] == "public.ecr.aws/deep-learning-containers/llama-cpp:server-cuda-v1"


def test_weights_in_s3_are_fetched_by_sagemaker() -> None:
    found = container(deployment(cloud__model_source="s3://weights/smollm2", cloud__accept_eula="true"))
    assert found["ModelDataSource"] == {
        "S3DataSource": {
            "S3Uri": "s3://weights/smollm2/",
            "S3DataType": "S3Prefix",
            "CompressionType": "None",
            "ModelAccessConfig": {"AcceptEula": True},
        }
    }
    assert "SM_LLAMA_CPP_DOCKER_REPO" not in found["Environment"]
    one = container(deployment(cloud__model_source="s3://weights/smollm2.gguf"))["ModelDataSource"]["S3DataSource"]
    assert (one["S3Uri"], one["S3DataType"]) == ("s3://weights/smollm2.gguf", "S3Object")


# -- configuration and endpoint ---------------------------------------------------------------------------------------


def test_a_gpu_has_the_driver_that_the_image_needs() -> None:
    assert variant(deployment())["InferenceAmiVersion"] == AMI
    chosen = deployment(aws__inference_ami_version="al2-ami-sagemaker-inference-gpu-3-1")
    assert variant(chosen)["InferenceAmiVersion"] == "al2-ami-sagemaker-inference-gpu-3-1"


def test_a_reservation_is_one_of_this_account_and_nothing_beside_it() -> None:
    found = deployment(cloud__reservation="plan-1", cloud__instance_type="ml.p5.48xlarge")
    assert variant(found)["CapacityReservationConfig"] == {
        "CapacityReservationPreference": "capacity-reservations-only",
        "MlReservationArn": "arn:aws:sagemaker:us-west-2:123456789012:training-plan/plan-1",
    }


@pytest.mark.parametrize(("asked", "seconds"), [("10m", 600), ("10s", 60), ("3h", 3600), ("off", 1800)])
def test_the_container_may_take_as_long_as_the_file_says_within_what_aws_allows(asked: str, seconds: int) -> None:
    found = variant(deployment(cloud__startup_timeout=asked))
    assert found["ContainerStartupHealthCheckTimeoutInSeconds"] == seconds
    assert found["ModelDataDownloadTimeoutInSeconds"] == seconds


def test_a_disk_is_asked_for_where_the_instance_has_none_of_its_own() -> None:
    assert variant(deployment(cloud__disk_size="64GB", cloud__instance_type="cpu"))["VolumeSizeInGB"] == 64
    assert "VolumeSizeInGB" not in variant(deployment(cloud__disk_size="64GB"))


def test_the_operator_s_names_become_ids() -> None:
    own = replace(
        OWN,
        roles={"default": ROLE, "other": "arn:aws:iam::123456789012:role/other"},
        subnets={"default-a": "subnet-1", "private": "subnet-2"},
        security_groups={"default": "sg-1"},
        kms_keys={"own": "arn:aws:kms:us-west-2:123456789012:key/1"},
    )
    found = parts(
        deployment(cloud__role="other", cloud__subnets="private", cloud__kms_key="own", cloud__instance_type="cpu"), own
    )
    assert found.model["ExecutionRoleArn"].endswith("role/other")
    assert found.model["VpcConfig"] == {"Subnets": ["subnet-2"], "SecurityGroupIds": ["sg-1"]}
    assert found.config["KmsKeyId"].endswith("key/1")
    assert parts(deployment(), own).model["VpcConfig"]["Subnets"] == ["subnet-1"]
    with pytest.raises(Denied, match=r"aws\.subnets"):
        parts(deployment(cloud__subnets="private"), replace(own, security_groups={}))


def test_without_a_role_nothing_is_made() -> None:
    with pytest.raises(Denied, match=r"aws\.roles\.default"):
        parts(deployment(), replace(OWN, roles={}))


def test_an_endpoint_that_scales_to_zero_has_its_model_in_a_component() -> None:
    found = deployment(cloud__replicas="0..3", cloud__instance_type="ml.g6.12xlarge")
    config = parts(found).config
    assert "ModelName" not in config["ProductionVariants"][0]
    assert config["ExecutionRoleArn"] == ROLE
    assert config["ProductionVariants"][0]["ManagedInstanceScaling"]["MinInstanceCount"] == 0
    specification = requests.component(found, "revision")["Specification"]
    assert specification["ModelName"] == "revision"
    assert specification["ComputeResourceRequirements"]["NumberOfAcceleratorDevicesRequired"] == 4


@pytest.mark.parametrize(
    ("given", "types"),
    [
        ({"cloud__cpu": "16"}, ("ml.g6.4xlarge", "ml.g5.4xlarge")),
        ({"cloud__memory": "60GB..128GB"}, ("ml.g6.4xlarge", "ml.g5.4xlarge")),
        ({"cloud__memory": "64GB"}, ("ml.g6.4xlarge", "ml.g5.4xlarge")),
        ({"cloud__memory": "64GiB", "cloud__cpu": "8..16", "cloud__accelerator": "L40S"}, ("ml.g6e.2xlarge",)),
        ({"cloud__memory": "100GB..1TB", "cloud__instance_type": "cpu"}, ("ml.c7i.12xlarge",)),
        ({"cloud__cpu": "8..64", "cloud__instance_type": "gpu-large"}, ("ml.p5.4xlarge",)),
        ({"cloud__cpu": "8", "cloud__instance_type": "ml.g6.2xlarge,ml.g6.xlarge"}, ("ml.g6.2xlarge",)),
        ({"cloud__cpu": "40..50", "cloud__accelerator": "l4:4"}, ("ml.g6.12xlarge",)),
    ],
)
def test_cores_and_memory_choose_the_size(given: dict[str, str], types: tuple[str, ...]) -> None:
    assert instance_types(deployment(**given).spec) == types


def test_cores_and_memory_are_those_of_ec2_s_types() -> None:
    """AWS tells them for EC2 only; moto has what it told."""
    told = INSTANCE_TYPES
    service = botocore.session.Session().get_service_model("sagemaker")
    every = service.shape_for("ProductionVariantInstanceType").enum
    known = [each for each in every if hardware(each) is not None and each[3:] in told]
    for each in known:
        said = told[each[3:]]
        assert hardware(each) == (said["VCpuInfo"]["DefaultVCpus"], said["MemoryInfo"]["SizeInMiB"] / 1024), each
    assert len(known) > 150
    families = {each.split(".")[1] for each in every}
    assert all(each in every for family in families for each in types_of(family))
    assert all(hardware(each) is not None for family in families for each in types_of(family))


@pytest.mark.parametrize(
    ("replicas", "policy", "kind"),
    [
        ("1", "rolling", "BlueGreenUpdatePolicy"),
        ("2..4", "rolling", "RollingUpdatePolicy"),
        ("4", "blue-green", "BlueGreenUpdatePolicy"),
    ],
)
def test_more_than_one_instance_is_exchanged_a_part_at_a_time(replicas: str, policy: str, kind: str) -> None:
    found = requests.update(deployment(cloud__replicas=replicas, aws__update_policy=policy), "revision")
    assert list(found["DeploymentConfig"]) == [kind, "AutoRollbackConfiguration"]
    assert found["RetainAllVariantProperties"] is True


@pytest.mark.parametrize("replicas", ["1", "2", "4"])
def test_an_update_is_watched_long_enough_for_its_alarm_and_may_take_as_long_as_it_needs(replicas: str) -> None:
    """AWS gives an update up after its own time, in which a large model may not have come up."""
    asked = deployment(cloud__replicas=replicas, cloud__startup_timeout="1h")
    found = requests.update(asked, "revision")["DeploymentConfig"]
    alarm = alarms.errors(asked, "revision")
    assert found["AutoRollbackConfiguration"]["Alarms"] == [{"AlarmName": alarm["AlarmName"]}]
    (policy,) = (each for kind, each in found.items() if kind.endswith("UpdatePolicy"))
    steps = {"1": 1, "2": 2, "4": 4}[replicas]
    watched_s = steps * policy["WaitIntervalInSeconds" if steps > 1 else "TerminationWaitInSeconds"]
    assert watched_s == 300 >= alarm["Period"] * (alarm["DatapointsToAlarm"] + 2)
    assert policy["MaximumExecutionTimeoutInSeconds"] == min(28_800, steps * (2 * 3600 + 300 + 900))


@pytest.mark.parametrize(("startup", "watched_s"), [("10m", 150), ("1m", 60), ("20m", 300), ("off", 300)])
def test_a_reconciler_that_waits_for_less_has_less_watched(startup: str, watched_s: int) -> None:
    """Its patience is for the whole update: what only waited to be watched would be replaced."""
    found = requests.update(deployment(cloud__startup_timeout=startup), "revision")["DeploymentConfig"]
    assert found["BlueGreenUpdatePolicy"]["TerminationWaitInSeconds"] == watched_s


def test_all_tags_are_part_of_the_create_calls() -> None:
    for request in parts(deployment(cloud__tags="team:search")):
        tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        assert tags["cmr:deployment"] == deployment().id
        assert tags["team"] == "search"
        assert len(tags) <= 50


# -- names ------------------------------------------------------------------------------------------------------------


def test_a_revision_changes_with_what_it_holds_and_with_nothing_else() -> None:
    same = {
        names.revision(deployment()),
        names.revision(deployment(cloud__replicas="3")),
        names.revision(deployment(cloud__replicas="1..3", cloud__autoscale_target="2")),
        names.revision(deployment(cloud__tags="team:search", cloud__health_prompt="Hello", cloud__protect="true")),
        names.revision(deployment(gcp__anything="x")),
    }
    assert len(same) == 1
    others = {
        names.revision(deployment(context=4096)),
        names.revision(deployment(cloud__instance_type="gpu-medium")),
        names.revision(deployment(flags=("--temp", "0.1"))),
        names.revision(deployment(cloud__replicas="0..3")),
    }
    assert len(others | same) == 5


def test_names_fit_and_keep_deployments_apart() -> None:
    long = [replace(deployment(), name="d" * 62 + end) for end in "ab"]
    found = {names.revision(one) for one in long}
    assert len(found) == 2
    assert all(len(name) <= 63 for name in found)


def test_a_later_release_that_derives_another_revision_replaces_nothing() -> None:
    known = deployment()
    tags = {"cmr:spec": known.spec.digest, names.REVISION: "made-by-an-earlier-release"}
    assert names.wanted(known, tags) == "made-by-an-earlier-release"
    changed = replace(known, spec=builders.model_spec(context_size=9))
    assert names.wanted(changed, tags) == names.revision(changed)
