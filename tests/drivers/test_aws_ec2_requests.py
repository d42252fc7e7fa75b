"""What EC2 is asked for, without asking it: machines, refusals, launch templates, and what a machine is told."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from drivers.aws import check
from drivers.aws.ec2 import machines, names, requests, userdata
from drivers.aws.ec2.requests import Image, Subnet, Try
from drivers.aws.settings import AwsSettings
from drivers.base import Deployment, Handling, ModelSpec
from drivers.errors import Denied, Rejected
from infra.localaws.ec2.boot import BadBoot, Container, boot
from tests import builders

IMAGE = Image("ami-1", "/dev/xvda", 40)
SUBNET = Subnet("subnet-1", "us-east-1a", "vpc-1")


def settings(**given: Any) -> AwsSettings:
    return AwsSettings(**{"key_root": Path("/keys"), "instance_profile": "machine"} | given)


def spec(model: str = "ai/smollm2", **options: str) -> ModelSpec:
    flat = {f"cloud.{key.replace('_', '-')}": value for key, value in options.items()}
    return builders.model_spec(model=model, options=flat)


def deployment(model: str = "ai/smollm2", **options: str) -> Deployment:
    return builders.deployment(1, spec=spec(model, **options))


def template(of: Deployment, **given: Any) -> dict[str, Any]:
    return requests.template_data(of, settings(**given), "us-east-1", IMAGE)


def user_data(of: Deployment, **given: Any) -> str:
    told: str = template(of, **given)["UserData"]
    return told


def booted(of: Deployment, **given: Any) -> Container:
    """What a machine with these user data runs."""
    parameters = {names.key_parameter(of): "the-key", "/hf": "the-token", "/own": "own-key"}
    return boot(user_data(of, **given), parameters)


@pytest.mark.parametrize(
    ("given", "types"),
    [
        ({}, ("g6.xlarge", "g5.xlarge")),
        ({"instance_type": "gpu-medium"}, ("g6e.xlarge", "g6.12xlarge")),
        ({"instance_type": "g5.2xlarge,gpu-small"}, ("g5.2xlarge", "g6.xlarge", "g5.xlarge")),
        ({"instance_type": "cpu"}, ("c7i.4xlarge",)),
        ({"instance_type": "auto"}, ("g6.xlarge", "g5.xlarge")),
        ({"instance_type": "ml.g6.xlarge,g6.xlarge"}, ("g6.xlarge",)),
        ({"accelerator": "l4:4"}, ("g6.12xlarge",)),
        ({"accelerator": "a10g,l4"}, ("g6.xlarge", "g5.xlarge")),
        ({"accelerator_memory": "80..85"}, ("p5.4xlarge",)),
        ({"instance_type": "gpu-medium", "accelerator": "nvidia-l40s"}, ("g6e.xlarge",)),
    ],
)
def test_sizes_and_accelerators_become_native_types_in_order(given: dict[str, str], types: tuple[str, ...]) -> None:
    assert machines.instance_types(spec(**given)) == types


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"instance_type": "ml.g6.xlarge"}, "aws-ec2 has no ml.g6.xlarge"),
        ({"instance_type": "c7g.xlarge"}, "ARM machine"),
        ({"instance_type": "g5g.xlarge"}, "ARM machine"),
        ({"instance_type": "g6.xlarge,c7i.xlarge"}, "cannot stand in for each other"),
        ({"instance_type": "g6.xlarge", "accelerator": "h100"}, "none of g6.xlarge has h100"),
        ({"accelerator_memory": "9000"}, "none of"),
    ],
)
def test_machines_that_will_not_do_are_refused_with_the_reason(given: dict[str, str], why: str) -> None:
    with pytest.raises(Rejected, match=why):
        machines.instance_types(spec(**given))


@pytest.mark.parametrize(
    ("key", "value", "allowed_by"),
    [
        ("auth", "none", None),
        ("auth", "iam", None),
        ("visibility", "tunnel", None),
        ("visibility", "public", {"public": True}),
        ("public_ip", "true", {"public": True}),
        ("allowed_cidrs", "0.0.0.0/0", {"public": True}),
        ("allowed_cidrs", "10.0.0.1/8", None),
        ("replicas", "0..2", None),
        ("replicas", "9", {"max_replicas": 9}),
        ("replicas", "2..4", None),
        ("disk_type", "st1", None),
        ("disk_size", "17TiB", None),
        ("tags", "cmr:lineage:mine", {}),
        ("tags", "AWS:mine", {}),
        ("tags", "team:<search>", None),
        ("tags", f"{'k' * 129}:x", None),
        ("tags", f"k:{'x' * 257}", None),
        ("tags", ",".join(f"k{number}:x" for number in range(46)), None),
        ("cache", "s3://weights", None),
        ("reservation", "mine", None),
        ("model_source", "s3://bucket/weights", None),
        ("zones", "nowhere", {}),
    ],
)
def test_what_is_refused_says_so_beforehand(key: str, value: str, allowed_by: dict[str, Any] | None) -> None:
    """`allowed_by` are the operator's settings with which the same is allowed."""
    name = f"cloud.{key.replace('_', '-')}"
    found = {one.key: one for one in check.check(spec(**{key: value}), "aws-ec2", settings())}
    allowed = allowed_by == {}
    assert (found[name].handling is Handling.REJECTED) is not allowed
    assert allowed or found[name].detail
    if allowed_by:
        again = {one.key: one for one in check.check(spec(**{key: value}), "aws-ec2", settings(**allowed_by))}
        assert again[name].handling is not Handling.REJECTED


def test_networks_that_may_connect_mean_nothing_where_the_operators_groups_decide() -> None:
    found = check.check(spec(allowed_cidrs="10.0.0.0/8"), "aws-ec2", settings(security_groups={"default": "sg-1"}))
    assert found[1].handling is Handling.REJECTED


def test_a_public_address_says_that_nothing_is_encrypted() -> None:
    spec = builders.model_spec(options={"cloud.visibility": "public"})
    found = {each.key: each for each in check.check(spec, "aws-ec2", settings(public=True))}
    assert "plain HTTP" in found["cloud.visibility"].detail
    refused = {each.key: each for each in check.check(spec, "aws-ec2", settings())}
    assert refused["cloud.visibility"].handling is Handling.REJECTED


def test_metadata_needs_a_token_one_hop_far_and_the_volume_is_encrypted() -> None:
    data = template(deployment())
    assert data["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
        "InstanceMetadataTags": "enabled",
    }
    volume = data["BlockDeviceMappings"][0]["Ebs"]
    assert volume == {"VolumeSize": 61, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True}
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert data["IamInstanceProfile"] == {"Name": "machine"}


def test_the_volume_is_what_the_file_asks_for_with_the_operators_key() -> None:
    data = template(deployment(disk_size="200GiB", disk_type="gp2", kms_key="mine"), kms_keys={"mine": "arn:key"})
    volume = data["BlockDeviceMappings"][0]["Ebs"]
    assert (volume["VolumeSize"], volume["VolumeType"], volume["KmsKeyId"]) == (200, "gp2", "arn:key")
    assert template(deployment("hf.co/Org/Unknown"))["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 200
    with pytest.raises(Rejected, match="the machine image alone needs 40 GiB"):
        template(deployment(disk_size="8GB"))


def test_the_role_is_the_operators_and_a_reservation_is_passed_on() -> None:
    data = template(deployment(role="batch", reservation="cr-0123456789abcdef0"), roles={"batch": "arn:aws:iam::1:x"})
    assert data["IamInstanceProfile"] == {"Arn": "arn:aws:iam::1:x"}
    reserved = data["CapacityReservationSpecification"]["CapacityReservationTarget"]
    assert reserved == {"CapacityReservationId": "cr-0123456789abcdef0"}
    with pytest.raises(Denied, match=r"aws\.instance_profile"):
        template(deployment(), instance_profile=None)


def test_an_address_is_private_whatever_the_subnet_would_give() -> None:
    (interface,) = requests.run_request(deployment(), Try("g6.xlarge", SUBNET, False), ["sg-1"])["NetworkInterfaces"]
    assert interface["AssociatePublicIpAddress"] is False
    for asked in ({"public_ip": "true"}, {"visibility": "public"}):
        request = requests.run_request(deployment(**asked), Try("g6.xlarge", SUBNET, False), ["sg-1"])
        assert request["NetworkInterfaces"][0]["AssociatePublicIpAddress"] is True


def test_the_same_way_has_the_same_token_and_every_other_one_another() -> None:
    one = deployment()
    ways = [
        (one, Try("g6.xlarge", SUBNET, False)),
        (one, Try("g6.xlarge", SUBNET, True)),
        (one, Try("g5.xlarge", SUBNET, False)),
        (one, Try("g6.xlarge", SUBNET._replace(id="subnet-2"), False)),
        (builders.deployment(2), Try("g6.xlarge", SUBNET, False)),
    ]
    tokens = [requests.run_request(of, way, ["sg-1"])["ClientToken"] for of, way in ways]
    assert tokens == [requests.run_request(of, way, ["sg-2"])["ClientToken"] for of, way in ways]
    assert len(set(tokens)) == len(ways)
    assert all(len(token) <= 64 for token in tokens)


def test_a_spot_machine_ends_when_it_is_taken_back() -> None:
    request = requests.run_request(deployment(), Try("g6.xlarge", SUBNET, True), [])
    assert request["InstanceMarketOptions"]["MarketType"] == "spot"
    assert request["InstanceMarketOptions"]["SpotOptions"]["InstanceInterruptionBehavior"] == "terminate"


def test_a_machine_runs_llama_server_with_what_the_file_says_and_a_key_it_fetched_itself() -> None:
    one = builders.deployment(1, spec=builders.model_spec(context_size=4096, runtime_flags=("--temp", "0.5")))
    container = booted(one)
    assert container.image == "public.ecr.aws/deep-learning-containers/llama-cpp:server-cuda-v1"
    assert container.value("--docker-repo") == "ai/smollm2"
    assert container.value("--alias") == "ai/smollm2"
    assert container.value("--ctx-size") == "4096"
    assert container.value("--temp") == "0.5"
    assert container.value("--n-gpu-layers") == "999"
    assert (container.value("--host"), container.value("--port")) == ("0.0.0.0", "8080")
    assert container.environment["LLAMA_API_KEY"] == "the-key"
    assert container.options[:2] == ("--rm", "--name")
    assert "--gpus" in container.options
    assert "--publish" in container.options, "behind Docker's bridge, one hop too far for the machine's credentials"


def test_no_secret_is_in_the_user_data() -> None:
    one = deployment(hf_token_secret="hub", api_key_secret="own")
    given = {"secrets": {"hub": "/hf", "own": "/own"}}
    text = base64.b64decode(user_data(one, **given)).decode()
    assert "the-key" not in text
    container = booted(one, **given)
    assert container.environment["LLAMA_API_KEY"] == "own-key"
    assert container.environment["HF_TOKEN"] == "the-token"
    assert json.loads(text.removeprefix("#cloud-config\n"))["write_files"][0]["permissions"] == "0700"


def test_a_repository_of_original_weights_runs_under_vllm() -> None:
    container = booted(deployment("hf.co/Qwen/Qwen3-8B", shm_size="8GiB"))
    assert container.image.startswith("vllm/vllm-openai:")
    assert container.value("--model") == "Qwen/Qwen3-8B"
    assert container.value("--served-model-name") == "hf.co/Qwen/Qwen3-8B"
    assert container.value("--tensor-parallel-size") == "1", "counted on the machine"
    assert container.environment["VLLM_API_KEY"] == "the-key"
    assert str(8 << 30) in container.options


def test_a_machine_without_a_gpu_gets_the_engine_for_it() -> None:
    container = booted(deployment(instance_type="cpu", cache="none"))
    assert container.image.endswith(":server-cpu-v1")
    assert "--gpus" not in container.options
    assert "--volume" not in container.options
    assert container.value("--n-gpu-layers") is None
    with pytest.raises(Rejected, match="without a GPU"):
        template(deployment("hf.co/Qwen/Qwen3-8B", instance_type="cpu"))


def test_a_machine_without_a_role_or_key_says_so_and_serves_nobody() -> None:
    with pytest.raises(BadBoot, match="Unable to locate credentials"):
        boot(user_data(deployment()), None)
    with pytest.raises(BadBoot, match="ParameterNotFound"):
        boot(user_data(deployment()), {})


def test_words_of_the_file_reach_the_machine_as_words() -> None:
    """No shell reads them: a flag is one argument, whatever is in it."""
    hostile = """x'; exit 7; echo "$(exit 8)" `exit 9` \\ $HOME"""
    service = userdata.Service(
        engine="llamacpp", image="i", arguments=("--alias", hostile), region="r", key_parameter="/k"
    )
    told = base64.b64encode(userdata.cloud_config(service).encode()).decode()
    assert boot(told, {"/k": "the-key"}).value("--alias") == hostile
