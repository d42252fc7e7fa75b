"""What can be known before money is spent: credentials, region, instance profile, network, machine image, quotas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from drivers.aws.clients import Clients
from drivers.aws.ec2.parameters import machine_image
from drivers.aws.ec2.platform import Platform
from drivers.aws.errors import edge
from drivers.aws.place import known_places
from drivers.aws.settings import STANDARD, AwsSettings
from drivers.base import Look
from drivers.errors import Denied, DriverError

QUOTAS = {
    "L-DB2E81BA": "vCPUs of on-demand G machines",
    "L-3819A6DF": "vCPUs of spot G machines",
    "L-417A185B": "vCPUs of on-demand P machines",
}
"""Codes of Service Quotas, service `ec2`. New accounts have 0 of most."""


def looks(settings: AwsSettings, clients: Clients) -> Iterator[Look]:
    """One look after the other in every place that the settings lead to; without credentials it ends with the first."""
    for place in known_places(settings):
        platform = Platform(clients, place)
        identity = _look("identity", partial(_identity, platform))
        yield identity
        if identity.ok:
            yield _look("instance profile", partial(_profile, settings, platform))
            yield _look("subnets", partial(_subnets, settings, platform))
            yield _look("machine image", partial(_image, settings, platform))
            yield from (_quota(platform, code, title) for code, title in QUOTAS.items())


def _look(name: str, ask: Callable[[], str]) -> Look:
    try:
        return Look(name, True, ask())
    except DriverError as error:
        return Look(name, False, str(error))


def _identity(platform: Platform) -> str:
    """The account, which must be the one that the settings expect."""
    platform.clients.guard_account(platform.place, {})
    return f"account {platform.clients.account(platform.place)} in {platform.region}"


def _image(settings: AwsSettings, platform: Platform) -> str:
    return machine_image(platform, settings.machine_image).id


def _profile(settings: AwsSettings, platform: Platform) -> str:
    named = settings.instance_profile
    if named is None:
        raise Denied("none is named: write aws.instance_profile (infra/aws makes one)")
    name = named.rpartition("/")[2]
    with edge(f"looking at the instance profile {name}"):
        found = platform.client("iam").reads.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    roles = ", ".join(role["RoleName"] for role in found.get("Roles", ()))
    return f"{name} with the role {roles or 'of nobody: add one'}"


def _subnets(settings: AwsSettings, platform: Platform) -> str:
    named = tuple(id for name, id in settings.subnets.items() if name.startswith(STANDARD))
    found = platform.subnets(named, settings.networks.get(STANDARD))
    if not found:
        raise Denied("there is none: name some under aws.subnets")
    return ", ".join(f"{subnet.id} ({subnet.zone})" for subnet in found)


def _quota(platform: Platform, code: str, title: str) -> Look:
    """A quota that cannot be read stops nothing: the permission to read it is not needed to deploy."""
    try:
        with edge("reading the quota"):
            quotas = platform.client("service-quotas").reads
            value = float(quotas.get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"])
    except DriverError as error:
        return Look(f"quota {code}", False, f"{title}: {error}", needed=False)
    text = f"{title}: {value:g}" + ("" if value else "; ask for more under Service Quotas before using one")
    return Look(f"quota {code}", value > 0, text, needed=False)
