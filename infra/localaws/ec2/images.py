"""The machine image with NVIDIA's driver, and the public parameter that names it, which moto does not have."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from moto.ec2.models import EC2Backend
from moto.ec2.models.amis import Ami
from moto.ssm.models import Parameter, ParameterDict

PARAMETER = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id"
_original_describe: Callable[..., Any] = EC2Backend.describe_images
_original_loading: Callable[..., Any] = ParameterDict._check_loading_status
newest = ["ami-0a1b2c3d4e5f60001"]
"""What the parameter says, last one last."""


def install() -> None:
    cast(Any, ParameterDict)._check_loading_status = _check_loading_status


def release(id: str) -> None:
    """A newer image, which the parameter names from now on."""
    newest.append(id)


def reset() -> None:
    del newest[1:]


def describe_images(backend: Any, ami_ids: Any = None, *given: Any, **named: Any) -> Any:
    for id in ami_ids or ():
        if id in newest and id not in backend.amis:
            backend.amis[id] = Ami(
                backend,
                id,
                name="Deep Learning Base OSS Nvidia Driver GPU AMI (Amazon Linux 2023)",
                owner_alias="amazon",
                architecture="x86_64",
                virtualization_type="hvm",
                root_device_type="ebs",
                root_device_name="/dev/xvda",
                region_name=backend.region_name,
            )
    return _original_describe(backend, ami_ids, *given, **named)


def _check_loading_status(parameters: Any, key: str) -> None:
    if key == PARAMETER:
        stored = cast(Any, Parameter)(
            account_id=parameters.account_id,
            name=key,
            value=newest[-1],
            parameter_type="String",
            description=None,
            allowed_pattern=None,
            keyid=None,
            last_modified_date=datetime(2026, 11, 1, tzinfo=UTC),
            version=len(newest),
            data_type="aws:ec2:image",
        )
        dict.__setitem__(parameters, key, [stored])
    _original_loading(parameters, key)
