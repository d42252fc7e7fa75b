"""Looking for what is ours wherever it may be: in the places of the operator's settings, and in those of the files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable

from drivers.aws.clients import Clients
from drivers.aws.place import Place, known_places, named_places
from drivers.aws.settings import AwsSettings
from drivers.base import Deployment, ModelSpec
from drivers.errors import Denied, DriverError

log = logging.getLogger(__name__)


def found_everywhere(
    clients: Clients,
    settings: AwsSettings,
    specs: Collection[ModelSpec],
    found_in: Callable[[Place], Iterable[Deployment]],
) -> tuple[Deployment, ...]:
    """What `found_in` finds in all places. Raises what a place answers instead, with its region, but that one which
    only a file names and in which we may not look is passed over: one model must not hold up all others, and what has
    to be looked at the operator names in `aws.regions`."""
    found: dict[str, Deployment] = {}
    looked: set[tuple[str, str | None]] = set()

    def look(place: Place) -> None:
        at = (clients.region(place), place.profile)
        if at in looked:
            return  # under another name: the profile's own region, or two names for one set of credentials
        looked.add(at)
        try:
            clients.guard_account(place, {})
            for deployment in found_in(place):
                found.setdefault(deployment.id, deployment)
        except DriverError as trouble:
            # With many regions nobody would know which one to take out of the settings, or to open in the account.
            raise type(trouble)(f"in {at[0]}: {trouble}", retry_after_s=trouble.retry_after_s) from trouble

    for place in known_places(settings):
        look(place)
    for place in named_places(specs, settings):
        if not clients.is_region(place.region):
            continue  # misspelt: nothing can be there, and it is that model's own trouble
        try:
            look(place)
        except Denied as refusal:
            log.debug("what is ours cannot be seen: %s", refusal)
    return tuple(found.values())
