"""What `reconcile doctor` finds out about Bedrock: whose credentials, which region, which models. Read only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from drivers import catalog, probe
from drivers.aws.bedrock import access
from drivers.aws.bedrock.answering import base_url, unlisted
from drivers.aws.bedrock.shelf import Shelf
from drivers.aws.bedrock.wish import PLATFORM
from drivers.aws.clients import Clients
from drivers.aws.place import Place
from drivers.base import Look
from drivers.errors import DriverError

TOKEN_S = 300


def looks(clients: Clients, place: Place, now: datetime) -> Iterator[Look]:
    """One look after the other, the first failure that makes the rest pointless ends them. Names no secret."""
    try:
        region = clients.region(place)
        account = clients.account(place)
        clients.guard_account(place, {})
        yield Look("identity", True, f"account {account}, credentials '{place.credentials}', region {region}")
    except DriverError as error:
        yield Look("identity", False, str(error))
        return
    shelf = Shelf(clients(place, "bedrock"))
    try:
        speaking = [model for model in shelf.models.values() if "TEXT" in model.get("outputModalities", ())]
        on_demand = sum("ON_DEMAND" in model.get("inferenceTypesSupported", ()) for model in speaking)
        text = f"{len(speaking)} that answer with text, {on_demand} of them on demand"
        yield Look(f"models in {region}", True, f"{text}, {len(shelf.system_profiles)} inference profiles")
    except DriverError as error:
        yield Look(f"models in {region}", False, str(error))
        return
    yield from (_access(shelf, model) for model in _mapped() if model in shelf.models)
    yield _mantle(clients, place, now)


def _mantle(clients: Clients, place: Place, now: datetime) -> Look:
    """The models that the other API lists, which is the only list of its; asking for it costs nothing."""
    region = clients.region(place)
    name = f"bedrock-mantle in {region}"
    try:
        url = base_url(clients(place, "bedrock-runtime").reads.meta.endpoint_url, region, mantle=True)
        said = probe.models(url, key=clients.token(place, "bedrock", TOKEN_S, now).text)
    except DriverError as error:
        return Look(name, False, str(error), needed=False)
    text = f"{len(said.names)} models: {', '.join(sorted(said.names))}"
    return Look(name, said.status == 200, unlisted(region, said) or text, needed=False)


def _access(shelf: Shelf, model: str) -> Look:
    try:
        missing = access.missing_for(shelf, model)
    except DriverError as error:
        missing = str(error)
    return Look(f"access to {model} in {shelf.region}", not missing, missing or "granted", needed=False)


def _mapped() -> tuple[str, ...]:
    """The ids that the catalogue's names of models lead to."""
    offers = (entry.get("managed", {}).get(PLATFORM, {}) for entry in catalog.models()["models"].values())
    ids = (offer["id"] for by_size in offers for found in by_size.values() for offer in found)
    return tuple(dict.fromkeys(ids))
