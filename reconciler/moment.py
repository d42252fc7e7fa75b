"""What a decision depends on besides the model itself: the time, each driver's rules, the operator's patience. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

from drivers.base import Capabilities


class Rules(NamedTuple):
    """What the table must know of one driver, and of the operator's patience with it. Times in seconds."""

    capabilities: Capabilities
    inert: Callable[[str], bool] = lambda key: False
    """Whether a change of this key of the spec needs nothing done on the platform."""
    bake_s: float = 120.0
    """How long a replaced deployment is kept after the switch."""
    removal_grace_s: float = 600.0
    """How long a model must have been gone from the file before it is deleted."""


class Removals(Enum):
    """Who decides that a model which is gone from the file is deleted."""

    RIPEN = "good readings and a grace time"
    CONFIRMED = "a person, who said yes"
    HELD = "a person, who has not said yes"


class Unlisted(NamedTuple):
    """A platform that did not say what it has of ours."""

    why: str
    again_at: datetime | None
    """When it is asked again; None where a person must act first."""


class Moment(NamedTuple):
    """Everything a decision may depend on besides the model itself."""

    now: datetime
    rules: Mapping[str, Rules]
    busy: Mapping[str, str] = MappingProxyType({})
    """Deployment id to the reason why something still uses it: a running service, a request in flight."""
    removals: Removals = Removals.RIPEN
    unlisted: Mapping[str, Unlisted] = MappingProxyType({})
    """Platforms on which there may be more of ours than is recorded."""
