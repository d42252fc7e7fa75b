"""Parameters of Systems Manager: the keys of models, and the public one that names the machine image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from drivers.aws.ec2.platform import Platform, absent_is_fine
from drivers.aws.ec2.requests import Image
from drivers.aws.errors import code_of, edge
from drivers.aws.tags import as_mapping
from drivers.errors import Denied


def machine_image(platform: Platform, name: str) -> Image:
    """The image that a public parameter names right now."""
    id = parameter(platform, name, secret=False)
    if id is None:
        raise Denied(f"there is no parameter {name} in {platform.region}: name another as aws.machine_image")
    with edge(f"looking at the machine image {id}"):
        found = platform.client("ec2").reads.describe_images(ImageIds=[id])["Images"]
    if not found:
        raise Denied(f"there is no machine image {id} in {platform.region}, of which {name} speaks")
    root = str(found[0].get("RootDeviceName") or "/dev/xvda")
    volumes = {one.get("DeviceName"): one.get("Ebs", {}) for one in found[0].get("BlockDeviceMappings", ())}
    return Image(id, root, int(volumes.get(root, {}).get("VolumeSize") or 0))


def parameter(platform: Platform, name: str, *, secret: bool = True) -> str | None:
    with edge(f"reading the parameter {name}"):
        try:
            answer = platform.client("ssm").reads.get_parameter(Name=name, WithDecryption=secret)
        except Exception as error:
            if code_of(error) == "ParameterNotFound":
                return None
            raise
    return str(answer["Parameter"]["Value"])


def parameters_below(platform: Platform, folder: str) -> Mapping[str, str]:
    """Names and values."""
    with edge(f"reading the parameters below {folder}"):
        pages = platform.client("ssm").reads.get_paginator("get_parameters_by_path")
        found = pages.paginate(Path=folder, WithDecryption=True)
        return {one["Name"]: one["Value"] for page in found for one in page["Parameters"]}


def names_below(platform: Platform, folder: str) -> Iterator[str]:
    """Names alone, of all levels: nobody's values are read."""
    with edge(f"listing the parameters below {folder}"):
        pages = platform.client("ssm").reads.get_paginator("describe_parameters")
        below = {"Key": "Path", "Option": "Recursive", "Values": [folder]}
        for page in pages.paginate(ParameterFilters=[below], PaginationConfig={"PageSize": 50}):
            yield from (str(one["Name"]) for one in page["Parameters"])


def tags_of_parameter(platform: Platform, name: str) -> Mapping[str, str]:
    """None at all for one that is gone."""
    with edge(f"reading the tags of {name}"):
        try:
            answer = platform.client("ssm").reads.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)
        except Exception as error:
            if code_of(error) == "InvalidResourceId":
                return {}
            raise
    return as_mapping(answer["TagList"])


def create_parameter(platform: Platform, **request: Any) -> bool:
    """False where there is one already."""
    with edge(f"storing the parameter {request['Name']}", changes=True):
        try:
            platform.client("ssm").calls.put_parameter(**request, Overwrite=False)
        except Exception as error:
            if code_of(error) == "ParameterAlreadyExists":
                return False
            raise
    return True


def delete_parameter(platform: Platform, name: str) -> None:
    with edge(f"deleting the parameter {name}", changes=True), absent_is_fine("ParameterNotFound"):
        platform.client("ssm").calls.delete_parameter(Name=name)
