"""Where in AWS a deployment lives: credentials, account and region, fixed once and remembered in its handle."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from drivers.aws.settings import STANDARD, AwsSettings
from drivers.base import Deployment, ModelSpec
from drivers.errors import Denied
from drivers.values import comma_list

REGION, CREDENTIALS, ACCOUNT = "region", "credentials", "account"
"""Keys of the handle. A changed setting must not make a deployment be looked for where it never was: in another
account it would be absent for certain, and go on costing money in its own."""


class Place(NamedTuple):
    """One region, seen with one set of credentials."""

    region: str | None
    """None leaves it to the profile."""
    profile: str | None
    """A profile of ~/.aws/config; None is the SDK's own search."""
    credentials: str = STANDARD
    """The operator's name for them."""


def place_for(spec: ModelSpec, settings: AwsSettings) -> Place:
    """Where a new deployment of a spec goes. Raises Denied for credentials that the operator did not name."""
    name = spec.options.get("cloud.credentials", STANDARD)
    return Place(wanted_region(spec, settings), profile(name, settings), name)


def place_of(deployment: Deployment, settings: AwsSettings) -> Place:
    """The place of a deployment: as it was when it was asked for, else as its spec and the settings say now.

    Raises Denied for credentials that the operator did not name.
    """
    region = deployment.handle.get(REGION) or wanted_region(deployment.spec, settings)
    name = deployment.handle.get(CREDENTIALS) or deployment.spec.options.get("cloud.credentials", STANDARD)
    return Place(region, profile(name, settings), name)


def wanted_region(spec: ModelSpec, settings: AwsSettings) -> str | None:
    """The first region that the file names, else the operator's; None leaves it to the profile."""
    named = comma_list(spec.options.get("cloud.region", ""))
    return named[0] if named else settings.region


def profile(name: str, settings: AwsSettings) -> str | None:
    """The profile behind the operator's name for a set of credentials."""
    if name not in settings.credentials and name != STANDARD:
        raise Denied(settings.unknown("credentials", "cloud.credentials", name))
    return settings.credentials.get(name)


def named_places(specs: Iterable[ModelSpec], settings: AwsSettings) -> tuple[Place, ...]:
    """Where else the specs lead. Credentials that the operator did not name lead nowhere."""
    names, known = (STANDARD, *settings.credentials), known_places(settings)
    led = [place_for(spec, settings) for spec in specs if spec.options.get("cloud.credentials", STANDARD) in names]
    return tuple(place for place in dict.fromkeys(led) if place.region is not None and place not in known)


def known_places(settings: AwsSettings) -> tuple[Place, ...]:
    """Everywhere that the operator's settings lead to: where to look for what is ours when nothing is remembered."""
    regions = dict.fromkeys((settings.region, *settings.regions))
    if len(regions) > 1:
        regions.pop(None, None)
    names = dict.fromkeys((STANDARD, *settings.credentials))
    return tuple(Place(region, profile(name, settings), name) for name in names for region in regions)
