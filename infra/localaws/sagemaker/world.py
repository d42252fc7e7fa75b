"""What SageMaker hosting has in one region: models, endpoint configurations, endpoints, inference components, tags.

Looked up by name without regard to case, since that is how SageMaker keeps endpoint names apart (reference of
CreateEndpoint). Missing and existing things are said in AWS's own words (terraform-provider-aws #40048, #40080).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Generic, TypeVar

from infra.localaws.errors import Invalid


class Status(Enum):
    """Of endpoints and inference components, by AWS's names."""

    CREATING = "Creating"
    UPDATING = "Updating"
    ROLLING_BACK = "RollingBack"
    IN_SERVICE = "InService"
    DELETING = "Deleting"
    FAILED = "Failed"


@dataclass(slots=True)
class Thing:
    """What all have: a name, an ARN, when it came, and what the call that made it said."""

    name: str
    arn: str
    created: datetime
    said: Mapping[str, Any]


@dataclass(slots=True)
class Variant:
    """A production variant as it is deployed: how many instances of which type, and how many are wanted."""

    name: str
    said: Mapping[str, Any]
    desired: int
    weight: float = 1.0
    placed: dict[str, int] = field(default_factory=dict)
    """Instances that run, by type; more than one type only with instance pools."""

    @property
    def current(self) -> int:
        return sum(self.placed.values())


@dataclass(slots=True)
class Change:
    """What an endpoint is on its way to. `variants` are a new fleet beside the old; None where only counts change."""

    due: datetime
    started: datetime
    config: str = ""
    variants: list[Variant] | None = None
    deployment: Mapping[str, Any] | None = None
    counts: dict[str, tuple[int | None, float | None]] = field(default_factory=dict)
    is_placed: bool = False
    bakes: bool = False
    """The new fleet has the traffic, and is watched."""


@dataclass(slots=True)
class Endpoint(Thing):
    """An endpoint, and the change under way."""

    config: str = ""
    status: Status = Status.CREATING
    modified: datetime | None = None
    failure: str = ""
    variants: list[Variant] = field(default_factory=list)
    change: Change | None = None
    deployment: Mapping[str, Any] | None = None
    shown: str = ""
    """What is said instead of the status, where a test wants that."""

    @property
    def word(self) -> str:
        return self.shown or self.status.value


@dataclass(slots=True)
class Component(Thing):
    """An inference component: a model on a share of a variant's instances, in `desired` copies."""

    endpoint: str = ""
    variant: str = ""
    status: Status = Status.CREATING
    modified: datetime | None = None
    failure: str = ""
    desired: int = 1
    current: int = 0
    due: datetime | None = None
    running: Mapping[str, Any] = field(default_factory=dict)
    """The specification that is deployed."""
    coming: Mapping[str, Any] | None = None
    """The one that is to replace it."""
    revision: int = 0
    deployment: Mapping[str, Any] | None = None

    @property
    def word(self) -> str:
        return self.status.value


T = TypeVar("T", bound=Thing)


class Shelf(Generic[T]):
    """Things of one kind by name."""

    def __init__(self, kind: str, path: str) -> None:
        self.kind, self.path = kind, path
        self._things: dict[str, T] = {}

    def add(self, thing: T) -> None:
        """Raises Invalid where there is one of that name."""
        there = self._things.get(thing.name.lower())
        if there is not None:
            raise Invalid(f'Cannot create already existing {self.kind} "{there.arn}".')
        self._things[thing.name.lower()] = thing

    def get(self, name: str) -> T | None:
        return self._things.get(name.lower())

    def find(self, name: str, arn: str) -> T:
        """Raises Invalid where there is none; `arn` is what it would be."""
        thing = self.get(name)
        if thing is None:
            raise Invalid(f'Could not find {self.kind} "{arn}".')
        return thing

    def remove(self, thing: T) -> None:
        self._things.pop(thing.name.lower(), None)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._things.values()))


class Region:
    """One region's hosting."""

    def __init__(self, name: str, account: str) -> None:
        self.name, self.account = name, account
        self.models: Shelf[Thing] = Shelf("model", "model")
        self.configs: Shelf[Thing] = Shelf("endpoint configuration", "endpoint-config")
        self.endpoints: Shelf[Endpoint] = Shelf("endpoint", "endpoint")
        self.components: Shelf[Component] = Shelf("inference component", "inference-component")
        self.tags: dict[str, dict[str, str]] = {}
        """By ARN."""

    def arn(self, shelf: Shelf[Any], name: str) -> str:
        return f"arn:aws:sagemaker:{self.name}:{self.account}:{shelf.path}/{name.lower()}"

    def find(self, shelf: Shelf[T], name: str) -> T:
        return shelf.find(name, self.arn(shelf, name))

    def remove(self, shelf: Shelf[T], thing: T) -> None:
        shelf.remove(thing)
        self.tags.pop(thing.arn, None)

    def things(self) -> Iterator[tuple[str, Thing]]:
        """Everything, with the kind as AWS's tagging says it."""
        for shelf in (self.models, self.configs, self.endpoints, self.components):
            for thing in shelf:
                yield shelf.path, thing

    def placed(self) -> dict[str, int]:
        """How many instances of each type run, old and new fleets together."""
        total: dict[str, int] = {}
        for endpoint in self.endpoints:
            fleets = (endpoint.variants, (endpoint.change.variants if endpoint.change else None) or ())
            for variant in (variant for fleet in fleets for variant in fleet):
                for kind, count in variant.placed.items():
                    total[kind] = total.get(kind, 0) + count
        return total
