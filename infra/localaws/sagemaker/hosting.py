"""SageMaker hosting as a whole: its regions, and what its operations need beside the call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from infra.localaws.calls import ACCOUNT, Call
from infra.localaws.containers import Container
from infra.localaws.overlay import Surroundings
from infra.localaws.sagemaker.index import Index
from infra.localaws.sagemaker.runs import Runs
from infra.localaws.sagemaker.scaling import Scaling
from infra.localaws.sagemaker.world import Endpoint, Region, Thing, Variant

Operate = Callable[["Hosting", Call], Mapping[str, Any]]
"""One operation, before it is bound to a hosting."""


class Hosting:
    """All regions, the clock, the capacity and the containers."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.regions: dict[str, Region] = {}
        self.scaling = Scaling()
        self.index = Index()
        self.runs = Runs(around)

    def region(self, name: str) -> Region:
        return self.regions.setdefault(name, Region(name, ACCOUNT))

    def of(self, call: Call) -> Region:
        return self.region(call.region)

    def now(self) -> datetime:
        return self.around.clock.now()

    def placed(self) -> dict[str, int]:
        """Instances that run in all regions, by type: capacity is scripted for the whole cloud."""
        total: dict[str, int] = {}
        for region in self.regions.values():
            for kind, count in region.placed().items():
                total[kind] = total.get(kind, 0) + count
        return total

    def reset(self) -> None:
        self.regions.clear()
        self.scaling.reset()
        self.index.reset()
        self.runs.reset()


def tags_of(said: Mapping[str, Any]) -> dict[str, str]:
    """The tags of a create call."""
    return {tag["Key"]: tag["Value"] for tag in said.get("Tags", ())}


def container_key(region: Region, endpoint: Endpoint, config: str, variant: str) -> str:
    """Under which a variant's container runs; a new fleet has its own, beside the old one."""
    return f"{region.name}/{endpoint.name}/{config}/{variant}"


def container_of(region: Region, variant: Variant) -> Container | None:
    """What runs in a variant: its model's first container, or the one of the pool that it landed in; None where only
    inference components bring models, or the model is gone."""
    pools = variant.said.get("InstancePools", ())
    override = next((p.get("ModelNameOverride") for p in pools if variant.placed.get(p["InstanceType"])), None)
    name = override or variant.said.get("ModelName")
    model = region.models.get(name) if name else None
    return container_in(model) if model is not None else None


def container_in(model: Thing) -> Container:
    said: Mapping[str, Any] = model.said.get("PrimaryContainer") or next(iter(model.said.get("Containers", ())), {})
    return container_said(said)


def container_said(said: Mapping[str, Any]) -> Container:
    """A container definition of a model or of an inference component."""
    mounted = any(key in said for key in ("ModelDataUrl", "ModelDataSource", "ArtifactUrl"))
    return Container(said.get("Image", ""), dict(said.get("Environment", {})), mounted)
