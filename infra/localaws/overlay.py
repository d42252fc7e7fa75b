"""What a part of the cloud owes that answers calls itself: its operations, its back door, its time, its books.

An overlay stands before moto: what it has an operation for never gets there. Whoever only mends moto's own classes does
that in `__init__` (once per process is enough) and has no operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from infra.localaws.calls import Call
from infra.localaws.http import Answer, Request

if TYPE_CHECKING:
    from infra.localaws.clock import Clock, Latencies
    from infra.localaws.containers import Containers
    from infra.localaws.moto import Moto
    from infra.localaws.supply import Supply

Operation = Callable[[Call], Mapping[str, Any]]
"""One API operation: what a call comes to, in the members of the service's model, datetimes aware. Raises AwsError, or
NotOurs for a call that moto is to answer."""
Verb = Callable[..., Any]
"""One thing that the back door can do; takes and gives what JSON can carry."""


class NotOurs(Exception):
    """This call is moto's after all."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that exists in the account. `usd_per_hour` is what it costs while it runs."""

    service: str
    kind: str
    name: str
    usd_per_hour: float = 0.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the cloud hands to its overlays."""

    clock: Clock
    latencies: Latencies
    supply: Supply
    moto: Moto
    containers: Containers
    lock: AbstractContextManager[Any]
    """Held during every API call; the data plane takes it to look things up, and lets go before a model answers."""


class Overlay:
    """A part of the cloud; everything has a default that does nothing. All calls come under the cloud's one lock."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around

    def operations(self) -> Mapping[tuple[str, str], Operation]:
        """By service and operation (`("sagemaker", "CreateEndpoint")`), for services that speak JSON."""
        return {}

    def verbs(self) -> Mapping[str, Verb]:
        """What the back door can do with this part, by name: `POST /local/NAME`."""
        return {}

    def data_plane(self, request: Request) -> Answer | None:
        """The answer to a request that carries a bearer token instead of a signature; None if it is not ours.
        Called without the lock, since a model may take its time. `tokens.region_of` checks the token."""
        return None

    def before(self, call: Call) -> None:
        """What must be so before this call is answered, whoever answers it."""

    def settle(self, now: datetime) -> None:
        """Let everything happen that is due. Called before every call and after every move of the clock."""

    def books(self) -> Iterable[Entry]:
        """Everything that exists of this part, down to what costs nothing."""
        return ()

    def reset(self) -> None:
        """As if nothing had ever been made."""
