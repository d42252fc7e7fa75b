"""What can be known before the first deployment: whose credentials, where, the role, and the quota of instances."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drivers import catalog
from drivers.aws.clients import Clients
from drivers.aws.errors import QUOTA_REMEDY, edge
from drivers.aws.place import Place
from drivers.aws.settings import AwsSettings
from drivers.base import Look
from drivers.errors import DriverError

MOST_PAGES = 60
"""Quotas of SageMaker are told a hundred at a time, thousands in all."""


def looks(place: Place, clients: Clients, settings: AwsSettings) -> Iterator[Look]:
    """Each look on its own; without credentials or a region, none of the later ones means anything."""
    try:
        region, account = clients.region(place), clients.account(place)
    except DriverError as error:
        yield Look("credentials", False, str(error))
        return
    guarded = settings.account is None or settings.account == account
    wrong = f", and the settings allow only {settings.account} (aws.account)"
    yield Look("credentials", guarded, f"'{place.credentials}' belongs to account {account}{'' if guarded else wrong}")
    yield Look("region", True, region)
    yield _role(place, clients, settings)
    yield _quota(place, clients, region)


def _role(place: Place, clients: Clients, settings: AwsSettings) -> Look:
    role = settings.roles.get("default")
    if role is None:
        return Look("role", False, "the settings name none: give its ARN under aws.roles.default")
    name = role.rpartition("/")[2]
    try:
        with edge(f"looking at the role {name}"):
            said = clients(place, "iam").reads.get_role(RoleName=name)["Role"]
    except DriverError as error:
        if "NoSuchEntity" in str(error):
            return Look("role", False, f"{role} does not exist: make it, or name another one under aws.roles.default")
        return Look("role", False, f"{error}; whether it exists shows at the first create", needed=False)
    trusts = "sagemaker.amazonaws.com" in str(said.get("AssumeRolePolicyDocument", ""))
    return Look("role", trusts, f"{role}{'' if trusts else ' does not trust sagemaker.amazonaws.com'}")


def _quota(place: Place, clients: Clients, region: str) -> Look:
    """For the smallest size with a GPU; a new account has none of most types."""
    kind = catalog.sizes()["sizes"]["gpu-small"]["aws-sagemaker"][0]
    try:
        with edge("asking for SageMaker's quotas"):
            value = _value(clients(place, "service-quotas").reads, f"{kind} for endpoint usage")
    except DriverError as error:
        return Look("quota", False, str(error), needed=False)
    if value is None:
        return Look("quota", False, f"AWS names no quota for {kind} in {region}", needed=False)
    text = f"{kind} for endpoint usage: {value:g} in {region}"
    return Look("quota", value >= 1, text if value >= 1 else f"{text}; {QUOTA_REMEDY}", needed=False)


def _value(client: Any, name: str) -> float | None:
    request: dict[str, Any] = {"ServiceCode": "sagemaker", "MaxResults": 100}
    for _ in range(MOST_PAGES):
        said = client.list_service_quotas(**request)
        found = next((each["Value"] for each in said["Quotas"] if each["QuotaName"] == name), None)
        if found is not None or not said.get("NextToken"):
            return None if found is None else float(found)
        request["NextToken"] = said["NextToken"]
    return None
