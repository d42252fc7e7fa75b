"""Bedrock as a whole: its regions, its catalogue, and what its operations need beside the call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from infra.localaws.bedrock.catalogue import Catalogue
from infra.localaws.bedrock.world import Region
from infra.localaws.calls import Call
from infra.localaws.overlay import Surroundings

Operate = Callable[["World", Call], Mapping[str, Any]]
"""One operation, before it is bound to a world."""


class World:
    """All regions, the catalogue, and the cloud around them."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.catalogue = Catalogue()
        self.regions: dict[str, Region] = {}
        self.broken_sources: set[str] = set()
        self.keys: dict[str, str] = {}

    def region(self, name: str) -> Region:
        return self.regions.setdefault(name, Region(name))

    def of(self, call: Call) -> Region:
        return self.region(call.region)

    def now(self) -> datetime:
        return self.around.clock.now()

    def reset(self) -> None:
        self.catalogue.reset()
        self.regions.clear()
        self.broken_sources.clear()
        self.keys.clear()
