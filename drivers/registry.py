"""All platforms by name, and how to get the driver of one. Asking what exists imports no driver and no SDK.

Drivers of other packages come in through the entry-point group `reconciler.drivers`: the name of the entry point is the
platform's name, what it points to is called with the keywords of `create` and returns a `drivers.base.Driver`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, NamedTuple

from drivers import catalog
from drivers.base import Capabilities, Driver
from drivers.errors import Rejected

GROUP = "reconciler.drivers"

FACTORIES: Mapping[str, str] = MappingProxyType(
    {
        "llamacpp": "drivers.llamacpp.driver:LlamaCppDriver",
        "aws-ec2": "drivers.aws.ec2.driver:Ec2Driver",
        "aws-sagemaker": "drivers.aws.sagemaker.driver:SageMakerDriver",
        "aws-bedrock": "drivers.aws.bedrock.driver:BedrockDriver",
    }
)
"""Platform to `module:attribute`, for the drivers that are part of this release."""


class Description(NamedTuple):
    """One line of `reconcile drivers`."""

    name: str
    title: str
    provider: str
    available: bool
    """This release can deploy there."""
    origin: str
    """`built in`, `not part of this release`, or the package a driver comes from."""
    options: int
    """How many option keys it honours or translates."""


def names() -> tuple[str, ...]:
    """Every platform of the catalogue, also those without a driver in this release."""
    return tuple(catalog.platforms().platforms)


def outside_names() -> tuple[str, ...]:
    """The platforms beyond the catalogue that drivers of other packages bring."""
    return tuple(point.name for point in _entry_points() if point.name not in names())


def is_available(name: str) -> bool:
    """Whether there is a driver for it, here or in another package."""
    return name in FACTORIES or _entry_point(name) is not None


def constructor(name: str) -> Callable[..., Driver]:
    """What makes the driver of a platform. Raises Rejected where this installation has none."""
    if name in FACTORIES:
        module, _, attribute = FACTORIES[name].partition(":")
        made: Callable[..., Driver] = getattr(import_module(module), attribute)
        return made
    outside = _entry_point(name)
    if outside is not None:
        loaded: Callable[..., Driver] = outside.load()
        return loaded
    raise Rejected(absence(name))


def create(name: str, **given: Any) -> Driver:
    """The driver of a platform, built from the clients, clock and settings in `given`."""
    return constructor(name)(**given)


def absence(name: str) -> str:
    """Why there is no driver for a platform, and what to do; empty where there is one."""
    if is_available(name):
        return ""
    if name in names():
        return f"the platform {name} is known, but its driver is not part of this release"
    return f"there is no platform {name}; known are {', '.join(names())}, and drivers installed as '{GROUP}'"


def assumed_capabilities(name: str) -> Capabilities:
    """What a plan may assume of a platform whose driver is not here: whether it costs money, and nothing more."""
    entry = catalog.platforms().platforms.get(name)
    local = entry is not None and entry.provider == "local"
    return Capabilities(local=local, billable=not local)


def describe() -> tuple[Description, ...]:
    """All platforms, then the drivers of other packages."""
    built_in = tuple(_described(entry) for entry in catalog.platforms().platforms.values())
    return built_in + tuple(_foreign(point) for point in _entry_points() if point.name not in names())


def _described(entry: catalog.Platform) -> Description:
    outside = None if entry.name in FACTORIES else _entry_point(entry.name)
    origin = "built in" if entry.name in FACTORIES else "not part of this release"
    return Description(
        name=entry.name,
        title=entry.title,
        provider=entry.provider,
        available=entry.name in FACTORIES or outside is not None,
        origin=origin if outside is None else outside.value,
        options=_option_count(entry),
    )


def _option_count(entry: catalog.Platform) -> int:
    from drivers.base import Handling, ModelSpec
    from drivers.manifest import check, honoured

    spec = ModelSpec(model="", options=dict.fromkeys(catalog.vocabulary().keys, ""))
    findings = check(spec, entry.name, honoured(entry.name))
    return sum(finding.handling in (Handling.HONOURED, Handling.TRANSLATED) for finding in findings[1:])


def _foreign(point: Any) -> Description:
    return Description(name=point.name, title=point.value, provider="", available=True, origin=point.value, options=0)


def _entry_point(name: str) -> Any:
    return next((point for point in _entry_points() if point.name == name), None)


def _entry_points() -> tuple[Any, ...]:
    # Imported here: reading the metadata of every installed package costs more than the rest of a dry run.
    from importlib.metadata import entry_points

    return tuple(entry_points(group=GROUP))
