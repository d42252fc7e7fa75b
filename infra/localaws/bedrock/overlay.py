"""Bedrock as a part of the cloud: its operations put together, its time, its back door, its books."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from infra.localaws.bedrock import dataplane, endpoints, foundation, imports, profiles, tagging, throughput
from infra.localaws.bedrock.account import World
from infra.localaws.bedrock.catalogue import GRANTED, MODELS
from infra.localaws.http import Answer, Request
from infra.localaws.overlay import Entry, Operation, Overlay, Surroundings, Verb


class Bedrock(Overlay):
    """Models, profiles, throughput, imports and their tags; the rest of Bedrock is moto's."""

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self.world = World(around)
        endpoints.install()

    def operations(self) -> Mapping[tuple[str, str], Operation]:
        parts = (foundation, profiles, throughput, imports, tagging)
        operations = {name: one for part in parts for name, one in part.OPERATIONS.items()}
        return {("bedrock", name): partial(one, self.world) for name, one in operations.items()}

    def verbs(self) -> Mapping[str, Verb]:
        return {
            "bedrock-access": self.access,
            "bedrock-model": self.model,
            "bedrock-commit": self.commit,
            "bedrock-break-import": self.break_import,
            "bedrock-key": self.key,
        }

    def access(self, model: str, **given: str) -> None:
        """From now on GetFoundationModelAvailability says this of a model: `agreement`, `authorization`, `entitlement`,
        `region`. What is not plainly granted is refused by the data plane, too, but for an agreement that a request can
        make; it cannot where `marketplace` is REFUSED."""
        if unknown := given.keys() - GRANTED.keys():
            raise KeyError(f"there is no {', '.join(unknown)}: {', '.join(GRANTED)}")
        self.world.catalogue.access[model] = self.world.catalogue.access.get(model, {}) | given

    def model(self, model: str, *, listed: bool = True, **given: object) -> None:
        """From now on a model is like this: any member of `catalogue.Model`; not `listed` is gone from all lists."""
        catalogue = self.world.catalogue
        catalogue.hidden = (catalogue.hidden - {model}) | (set() if listed else {model})
        known = catalogue.changed.get(model) or next(each for each in MODELS if each.id == model)
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        catalogue.changed[model] = replace(known, **values)  # type: ignore[arg-type]

    def key(self, key: str, region: str) -> None:
        """From now on this long-term API key is good for the data plane, in this region."""
        self.world.keys[key] = region

    def break_import(self, source: str) -> None:
        """From now on imports from a place with this text in its name fail."""
        self.world.broken_sources.add(source)

    def commit(self, throughput: str, days: float) -> None:
        """Somebody committed to provisioned throughput, for so many days from now."""
        for region in self.world.regions.values():
            if (thing := region.find("throughput", throughput)) is not None:
                thing.more["expires"] = self.world.now() + timedelta(days=days)

    def data_plane(self, request: Request) -> Answer | None:
        return dataplane.answer(self.world, request)

    def settle(self, now: datetime) -> None:
        self.world.catalogue.settle(now)
        for region in self.world.regions.values():
            throughput.settle(self.world, region, now)
            imports.settle(self.world, region, now)

    def books(self) -> Iterable[Entry]:
        """A job that has ended is a line of history: nobody can delete it, and it costs nothing."""
        for region in self.world.regions.values():
            for thing in region.things.values():
                if thing.kind != "job" or thing.status == "InProgress":
                    price = throughput.USD_PER_UNIT_HOUR * thing.said.get("modelUnits", 0)
                    yield Entry("bedrock", thing.kind, f"{region.name}/{thing.name}", round(price, 4))

    def reset(self) -> None:
        self.world.reset()
