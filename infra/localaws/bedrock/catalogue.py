"""The models and inference profiles that this Bedrock offers, and where: few, one of every kind that matters.

Ids are AWS's; which region serves which of them on demand is a reading of the tables in the user guide
("Supported foundation models", "Supported Regions and models for inference profiles"), not a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

GEOGRAPHIES: Mapping[str, tuple[str, ...]] = {
    "us": ("us-east-1", "us-east-2", "us-west-2"),
    "eu": ("eu-central-1", "eu-north-1", "eu-west-1", "eu-west-3"),
    "apac": ("ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2"),
    "global": ("",),
}
"""Prefix of a system profile to the regions that it spreads requests over; it can be called in each of them, the last
one everywhere."""
EVERYWHERE = tuple(region for name, regions in GEOGRAPHIES.items() if name != "global" for region in regions)


@dataclass(frozen=True, slots=True)
class Model:
    """A foundation model. `ends` is a date in ISO 8601, and may be past."""

    id: str
    name: str
    on_demand: tuple[str, ...] = ()
    geographies: tuple[str, ...] = ()
    provisioned: tuple[str, ...] = ()
    output: str = "TEXT"
    status: str = "ACTIVE"
    ends: str = ""
    chats: bool = True
    """Whether the OpenAI-compatible URL serves it; on AWS fewer do than here."""

    @property
    def provider(self) -> str:
        return self.id.partition(".")[0].capitalize()

    def is_in(self, region: str) -> bool:
        called_from = {each for name in self.geographies for each in GEOGRAPHIES[name]}
        return region in {*self.on_demand, *self.provisioned, *called_from} or "" in called_from


MODELS: tuple[Model, ...] = (
    Model("openai.gpt-oss-20b-1:0", "gpt-oss-20b", EVERYWHERE),
    Model("openai.gpt-oss-120b-1:0", "gpt-oss-120b", EVERYWHERE),
    Model("meta.llama3-1-8b-instruct-v1:0", "Llama 3.1 8B Instruct", ("us-west-2",), ("us",)),
    Model("meta.llama3-1-8b-instruct-v1:0:128k", "Llama 3.1 8B Instruct", provisioned=("us-west-2",)),
    Model("meta.llama3-2-1b-instruct-v1:0", "Llama 3.2 1B Instruct", geographies=("us", "eu")),
    Model("meta.llama3-2-3b-instruct-v1:0", "Llama 3.2 3B Instruct", geographies=("us", "eu")),
    Model("meta.llama3-3-70b-instruct-v1:0", "Llama 3.3 70B Instruct", geographies=("us",)),
    Model("deepseek.r1-v1:0", "DeepSeek-R1", geographies=("us",), chats=False),
    Model("anthropic.claude-sonnet-4-5-20250929-v1:0", "Claude Sonnet 4.5", geographies=("global",)),
    Model("amazon.nova-lite-v1:0", "Nova Lite", ("us-east-1",), ("us", "eu", "apac"), ("us-east-1",)),
    Model("mistral.mistral-7b-instruct-v0:2", "Mistral 7B Instruct", EVERYWHERE, status="LEGACY", ends="2099-03-31"),
    Model("amazon.titan-text-lite-v1", "Titan Text G1 - Lite", EVERYWHERE, status="LEGACY", ends="2025-08-15"),
    Model("amazon.titan-image-generator-v2:0", "Titan Image Generator G1 v2", EVERYWHERE, output="IMAGE"),
)
MANTLE = ("openai.gpt-oss-20b", "openai.gpt-oss-120b")
"""What the service bedrock-mantle offers; its ids are its own."""

GRANTED = {
    "agreement": "AVAILABLE",
    "authorization": "AUTHORIZED",
    "entitlement": "AVAILABLE",
    "region": "AVAILABLE",
    "marketplace": "ALLOWED",
}
"""The last one is whether credentials may subscribe the account, which is IAM's to say on AWS."""


@dataclass(slots=True)
class Catalogue:
    """What is offered now: the models as they are, but for what a test changed about them."""

    changed: dict[str, Model] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    access: dict[str, dict[str, str]] = field(default_factory=dict)
    subscribed: dict[str, datetime] = field(default_factory=dict)
    """Models to which the account is being subscribed, until when."""

    def models(self, region: str) -> Iterator[Model]:
        """Those that a region lists."""
        for model in MODELS:
            if model.id not in self.hidden and model.is_in(region):
                yield self.changed.get(model.id, model)

    def find(self, region: str, id: str) -> Model | None:
        return next((model for model in self.models(region) if model.id == id), None)

    def may_use(self, id: str, now: datetime, takes_s: float) -> bool:
        """Whether a request is answered. The first one for a model without an agreement begins to make one, and is
        answered meanwhile (user guide, "Understanding automatic model access")."""
        access = self.access_to(id)
        if access["agreement"] == "NOT_AVAILABLE" and access["marketplace"] == "ALLOWED":
            self.access[id] = access | {"agreement": "PENDING"}
            self.subscribed[id] = now + timedelta(seconds=takes_s)
        access = self.access_to(id) | {"marketplace": "ALLOWED"}
        if id in self.subscribed:
            access |= {"agreement": "AVAILABLE", "entitlement": "AVAILABLE"}
        return access == GRANTED

    def settle(self, now: datetime) -> None:
        """Agreements that are due have come about, unless somebody changed their course."""
        for id in [id for id, due in self.subscribed.items() if due <= now]:
            del self.subscribed[id]
            if self.access_to(id)["agreement"] == "PENDING":
                self.access[id] = self.access_to(id) | {"agreement": "AVAILABLE", "entitlement": "AVAILABLE"}

    def access_to(self, id: str) -> dict[str, str]:
        return GRANTED | self.access.get(id, {})

    def system_profiles(self, region: str) -> Iterator[tuple[str, Model, tuple[str, ...]]]:
        """Id, model and regions of every profile that can be called in a region."""
        for model in self.models(region):
            for name in model.geographies:
                if region in GEOGRAPHIES[name] or name == "global":
                    yield f"{name}.{model.id}", model, GEOGRAPHIES[name]

    def reset(self) -> None:
        self.changed.clear()
        self.hidden.clear()
        self.access.clear()
        self.subscribed.clear()


def model_arn(region: str, id: str) -> str:
    return f"arn:aws:bedrock:{region}::foundation-model/{id}"


def described(model: Model, region: str) -> dict[str, Any]:
    """A model as ListFoundationModels and GetFoundationModel say it."""
    ways = (("ON_DEMAND", region in model.on_demand), ("PROVISIONED", region in model.provisioned))
    types = [name for name, offered in ways if offered] + (["INFERENCE_PROFILE"] if model.geographies else [])
    cycle: dict[str, Any] = {"status": model.status}
    if model.ends:
        cycle["endOfLifeTime"] = datetime.fromisoformat(model.ends).replace(tzinfo=UTC)
    return {
        "modelArn": model_arn(region, model.id),
        "modelId": model.id,
        "modelName": model.name,
        "providerName": model.provider,
        "inputModalities": ["TEXT"],
        "outputModalities": [model.output],
        "responseStreamingSupported": model.output == "TEXT",
        "customizationsSupported": [],
        "inferenceTypesSupported": types,
        "modelLifecycle": cycle,
    }
