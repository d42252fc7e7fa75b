"""The bodies of the calls that make something, as values: launch template, security group, one machine. Pure."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from drivers import catalog
from drivers.aws.ec2 import names, userdata
from drivers.aws.ec2.expiry import EXPIRES, can_read_tags, expiry
from drivers.aws.ec2.machines import PLATFORM, has_gpu, instance_types
from drivers.aws.ec2.options import wants_public_address
from drivers.aws.ec2.userdata import PORT, Service
from drivers.aws.serving import serving
from drivers.aws.settings import AwsSettings
from drivers.aws.tags import as_list, tags_of
from drivers.base import Deployment, ModelSpec
from drivers.errors import Denied, Rejected
from drivers.values import size

IMAGES: Mapping[str, Mapping[bool, str]] = {
    "llamacpp": {
        True: "public.ecr.aws/deep-learning-containers/llama-cpp:server-cuda-v1",
        False: "public.ecr.aws/deep-learning-containers/llama-cpp:server-cpu-v1",
    },
    "vllm": {True: "vllm/vllm-openai:v0.11.0", False: ""},
}
"""Engine, and whether there is a GPU, to its container."""
_GIB = 1 << 30
_SYSTEM_GIB = 60
"""What the machine image and the engine's container take, with room to pull a newer one."""
_UNKNOWN_GIB = 140
"""For a model whose size the catalogue does not know: 70 thousand million parameters in 16 bits."""


class Subnet(NamedTuple):
    """Where a machine may stand."""

    id: str
    zone: str
    vpc: str


class Image(NamedTuple):
    """A machine image, and what its root volume is."""

    id: str
    root_device: str
    root_gib: int


class Try(NamedTuple):
    """One way to get a machine. They are gone through in order, one at a time."""

    instance_type: str
    subnet: Subnet
    spot: bool

    def __str__(self) -> str:
        return f"{self.instance_type} in {self.subnet.zone}{' (spot)' if self.spot else ''}"


def service_of(deployment: Deployment, settings: AwsSettings, region: str) -> Service:
    """What runs on the deployment's machines. Raises Rejected for what no engine here can do."""
    spec = deployment.spec
    told = serving(spec, PLATFORM)
    gpu = has_gpu(instance_types(spec)[0])
    image = spec.options.get("cloud.image") or IMAGES[told.engine][gpu]
    if not image:
        raise Rejected(f"cloud.engine={told.engine}: there is no container of it for machines without a GPU")
    secret = settings.entry("secrets", "cloud.api-key-secret", spec) if "cloud.api-key-secret" in spec.options else None
    token = (
        settings.entry("secrets", "cloud.hf-token-secret", spec) if "cloud.hf-token-secret" in spec.options else None
    )
    shm = spec.options.get("cloud.shm-size")
    return Service(
        engine=told.engine,
        image=image,
        arguments=tuple(word for flag, value in told.arguments for word in (flag, value) if word is not None),
        region=region,
        key_parameter=secret or names.key_parameter(deployment),
        hf_token_parameter=token,
        from_s3=told.from_s3,
        has_gpu=gpu,
        shm_bytes=size(shm) if shm is not None else None,
        keeps_weights=spec.options.get("cloud.cache", "disk") != "none",
    )


def template_data(deployment: Deployment, settings: AwsSettings, region: str, image: Image) -> dict[str, Any]:
    """Everything about a machine but its type, its place and its market, fixed for the deployment's whole life."""
    told = userdata.cloud_config(service_of(deployment, settings, region))
    data: dict[str, Any] = {
        "ImageId": image.id,
        "IamInstanceProfile": _profile(deployment.spec, settings),
        "UserData": base64.b64encode(told.encode()).decode(),
        # A machine that shuts itself down is gone, not asleep and paid for.
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            # With keys that metadata cannot show AWS would start no machine.
            "InstanceMetadataTags": "enabled" if can_read_tags(deployment.spec) else "disabled",
        },
        "BlockDeviceMappings": [
            {"DeviceName": image.root_device, "Ebs": _volume(deployment.spec, settings, image.root_gib)}
        ],
    }
    reservation = deployment.spec.options.get("cloud.reservation")
    if reservation is not None:
        target = {"CapacityReservationId": reservation}
        data["CapacityReservationSpecification"] = {"CapacityReservationTarget": target}
    return data


def interface(spec: ModelSpec, groups: Sequence[str], subnet: str | None = None) -> dict[str, Any]:
    """The machine's one network interface. A public address only where it is asked for, whatever the subnet's habit."""
    made: dict[str, Any] = {
        "DeviceIndex": 0,
        "Groups": list(groups),
        "AssociatePublicIpAddress": wants_public_address(spec),
        "DeleteOnTermination": True,
    }
    return made | ({"SubnetId": subnet} if subnet is not None else {})


def run_request(deployment: Deployment, attempt: Try, groups: Sequence[str]) -> dict[str, Any]:
    """One machine. The same try of the same deployment has the same token: it makes the same machine, or is refused
    where anything else about it has changed meanwhile."""
    request: dict[str, Any] = {
        "MinCount": 1,
        "MaxCount": 1,
        "LaunchTemplate": {"LaunchTemplateName": deployment.name, "Version": "1"},
        "InstanceType": attempt.instance_type,
        "NetworkInterfaces": [interface(deployment.spec, groups, attempt.subnet.id)],
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": as_list(machine_tags(deployment))},
            *tagged(deployment, "volume"),
        ],
        "ClientToken": names.token(deployment, attempt.instance_type, attempt.subnet.id, attempt.spot),
    }
    if attempt.spot:
        options = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
        request["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": options}
    return request


def tagged(deployment: Deployment, *kinds: str) -> list[dict[str, Any]]:
    """Owner tags for the call that makes something."""
    tags = as_list(tags_of(deployment))
    return [{"ResourceType": kind, "Tags": tags} for kind in kinds]


def machine_tags(deployment: Deployment) -> dict[str, str]:
    """Those of a machine that stands alone: with the moment at which it ends by itself, where there is one."""
    moment = expiry(deployment)
    return tags_of(deployment) | ({EXPIRES: moment} if moment else {})


def permission(cidrs: Sequence[str]) -> dict[str, Any]:
    """Who may connect to the model: networks, IPv4 and IPv6."""
    return {
        "IpProtocol": "tcp",
        "FromPort": PORT,
        "ToPort": PORT,
        "IpRanges": [{"CidrIp": cidr} for cidr in cidrs if ":" not in cidr],
        "Ipv6Ranges": [{"CidrIpv6": cidr} for cidr in cidrs if ":" in cidr],
    }


def permission_of_members(group: str) -> dict[str, Any]:
    """Members of the group may connect to each other."""
    return {"IpProtocol": "tcp", "FromPort": PORT, "ToPort": PORT, "UserIdGroupPairs": [{"GroupId": group}]}


def _profile(spec: ModelSpec, settings: AwsSettings) -> dict[str, str]:
    named = settings.entry("roles", "cloud.role", spec) if "cloud.role" in spec.options else settings.instance_profile
    if named is None:
        raise Denied("machines need an instance profile: name one under aws.instance_profile (infra/aws makes one)")
    return {"Arn": named} if named.startswith("arn:") else {"Name": named}


def _volume(spec: ModelSpec, settings: AwsSettings, least_gib: int) -> dict[str, Any]:
    asked = spec.options.get("cloud.disk-size")
    gib = math.ceil(size(asked) / _GIB) if asked is not None else max(least_gib, _standard_gib(spec))
    if gib < least_gib:
        raise Rejected(f"cloud.disk-size={asked}: the machine image alone needs {least_gib} GiB")
    volume: dict[str, Any] = {
        "VolumeSize": gib,
        "VolumeType": spec.options.get("cloud.disk-type", "gp3"),
        "Encrypted": True,
        "DeleteOnTermination": True,
    }
    key = settings.entry("kms_keys", "cloud.kms-key", spec)
    return volume | ({"KmsKeyId": key} if key is not None else {})


def _standard_gib(spec: ModelSpec) -> int:
    """The model's size × 1.5 beside the system."""
    name = spec.model.partition("@")[0].lower()
    entry = catalog.models()["models"].get(name)
    model_gib = math.ceil(size(str(entry["size"])) * 1.5 / _GIB) if entry and "size" in entry else _UNKNOWN_GIB
    return _SYSTEM_GIB + model_gib
