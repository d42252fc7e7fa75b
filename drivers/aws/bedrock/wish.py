"""What a spec asks of Bedrock: which of its ways to serve a model, and which model. Pure.

on demand       the model's own id, or a system inference profile's; nothing is created, tokens are paid for
profile         an application inference profile over either, because there are tags to put on it
provisioned     model units of one's own, paid for by the hour, used or not
import          one's own weights from S3, as an imported model
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from drivers import catalog, identity
from drivers.aws.settings import AwsSettings
from drivers.base import ModelSpec
from drivers.errors import Rejected
from drivers.modelstore.reference import parse_reference
from drivers.shapes import SHAPES

PLATFORM = "aws-bedrock"
API = "aws.bedrock-api"
"""The passthrough key that chooses between Bedrock's two OpenAI-compatible services."""
MANTLE = "mantle"
_FOUNDATION_ARN = re.compile(r"arn:aws[a-z-]*:bedrock:[a-z0-9-]*::foundation-model/(?P<id>.+)")


class Mode(Enum):
    """How the model is served."""

    ON_DEMAND = "on-demand"
    PROFILE = "profile"
    PROVISIONED = "provisioned"
    IMPORT = "import"


class Unfit(Rejected):
    """The spec asks for what Bedrock does not have. `key` is the thing in the spec that must change."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be served, in Bedrock's words."""

    mode: Mode
    model: str = ""
    """Id of a foundation model; empty for weights of one's own."""
    residency: str = "auto"
    """`cloud.inference-profile` as written."""
    units: int = 0
    """Model units to buy."""
    source: str = ""
    """`s3://bucket/prefix` of weights to import."""
    mantle: bool = False
    """Served by the service `bedrock-mantle`, which has model ids of its own."""


def mode_of(spec: ModelSpec) -> Mode:
    """The way that the spec's words lead to, whether or not it may be gone."""
    if "cloud.model-source" in spec.options:
        return Mode.IMPORT
    if spec.options.get("cloud.throughput", "").startswith("provisioned:"):
        return Mode.PROVISIONED
    if "cloud.tags" in spec.options or "cloud.name" in spec.options:
        return Mode.PROFILE
    return Mode.ON_DEMAND


def wish_of(spec: ModelSpec, settings: AwsSettings) -> Wish:
    """What the spec asks for. Raises Unfit for what Bedrock does not have or the operator does not allow."""
    mode, throughput = mode_of(spec), spec.options.get("cloud.throughput", "on-demand")
    if throughput == "batch":
        raise Unfit("cloud.throughput", "a batch job answers no requests; write on-demand or provisioned:N")
    if mode is Mode.IMPORT:
        return _import(spec, settings, throughput)
    mantle = spec.options.get(API) == MANTLE
    residency = spec.options.get("cloud.inference-profile", "auto")
    if mantle:
        _only_on_demand(mode, residency)
    if mode is Mode.PROFILE and ":application-inference-profile/" in residency:
        raise Unfit(
            "cloud.inference-profile",
            "a profile of one's own cannot be copied into one with these tags; name its source",
        )
    model = _model(spec, settings, mantle)
    if not SHAPES["throughput"].fits(throughput):
        raise Unfit("cloud.throughput", SHAPES["throughput"].wrong)
    if mode is not Mode.PROVISIONED:
        return Wish(mode=mode, model=model, residency=residency, mantle=mantle)
    if not settings.provisioned_throughput:
        raise Unfit(
            "cloud.throughput",
            "provisioned throughput is paid for by the hour, used or not, and the operator's settings do not allow it "
            "(aws.provisioned_throughput)",
        )
    return Wish(mode=mode, model=model, units=int(throughput.partition(":")[2]))


def _import(spec: ModelSpec, settings: AwsSettings, throughput: str) -> Wish:
    source = spec.options["cloud.model-source"]
    if not source.startswith("s3://"):
        raise Unfit("cloud.model-source", "Bedrock imports weights from s3:// and from nowhere else")
    if throughput != "on-demand":
        raise Unfit("cloud.throughput", "an imported model is paid for by its active copies; leave the option out")
    if "cloud.model-id" in spec.options:
        raise Unfit("cloud.model-id", "the weights come from cloud.model-source; leave one of the two out")
    if spec.options.get(API) == MANTLE:
        raise Unfit(API, "bedrock-mantle does not serve imported models")
    if settings.entry("roles", "cloud.role", spec) is None:
        raise Unfit(
            "cloud.model-source",
            "an import needs a role that may read the bucket: the settings have none (aws.roles.default)",
        )
    return Wish(mode=Mode.IMPORT, source=source)


def _only_on_demand(mode: Mode, residency: str) -> None:
    if mode is not Mode.ON_DEMAND:
        raise Unfit(API, "bedrock-mantle knows neither tags on a profile nor provisioned throughput")
    if residency not in ("auto", "none"):
        raise Unfit("cloud.inference-profile", "bedrock-mantle has no inference profiles; leave the option out")


def _model(spec: ModelSpec, settings: AwsSettings, mantle: bool) -> str:
    named = spec.options.get("cloud.model-id")
    if named is not None:
        return _foundation_id(named)
    models = catalog.models()["models"]
    try:
        what = identity.identify(parse_reference(spec.model), models)
    except ValueError as wrong:
        raise Unfit("model", str(wrong)) from None
    substitute = spec.options.get("cloud.substitute", settings.substitute)
    found = identity.offer(what, spec, PLATFORM, models, substitute=substitute)
    if isinstance(found, str):
        raise Unfit("model", found)
    return _id_of_mantle(found.model_id) if mantle else found.model_id


def _id_of_mantle(model: str) -> str:
    """The same model's id there, as far as the catalogue knows; its own list has the last word."""
    ids: Mapping[str, str] = catalog.models()["chats"][PLATFORM]["ids"]
    if model not in ids:
        raise Unfit(
            API,
            f"bedrock-mantle has model ids of its own, and the catalogue knows none for {model}: name one with "
            "cloud.model-id, or leave the option out",
        )
    return ids[model]


def _foundation_id(named: str) -> str:
    if not named.startswith("arn:"):
        return named
    match = _FOUNDATION_ARN.fullmatch(named)
    if match is None:
        raise Unfit(
            "cloud.model-id",
            "name the id of a foundation model; an inference profile goes into cloud.inference-profile",
        )
    return match["id"]
