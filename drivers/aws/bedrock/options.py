"""What Bedrock's driver makes of a spec before anything is asked of AWS. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from drivers.aws.bedrock.access import EULA, accepts
from drivers.aws.bedrock.chats import warning
from drivers.aws.bedrock.doors import PLACES, PUBLIC, is_private
from drivers.aws.bedrock.geography import RESIDENCY, geography
from drivers.aws.bedrock.keys import SECRET
from drivers.aws.bedrock.wish import API, MANTLE, Mode, Unfit, Wish, wish_of
from drivers.aws.place import wanted_region
from drivers.aws.serving import is_embedding
from drivers.aws.settings import AwsSettings
from drivers.base import Finding, Handling, ModelSpec
from drivers.errors import Denied
from drivers.manifest import NOT_YET
from drivers.values import pairs

IMPLEMENTED = frozenset(
    {
        API,
        EULA,
        "cloud.account",
        "cloud.api-key-secret",
        "cloud.auth",
        "cloud.credentials",
        "cloud.health-prompt",
        "cloud.inference-profile",
        "cloud.kms-key",
        "cloud.model-id",
        "cloud.model-source",
        "cloud.name",
        "cloud.network",
        "cloud.public-ip",
        "cloud.region",
        "cloud.role",
        "cloud.security-groups",
        "cloud.subnets",
        "cloud.tags",
        "cloud.throughput",
    }
)
_TAG = re.compile(r"[a-zA-Z0-9\s._:/=+@-]*")
_MEANINGLESS: Mapping[str, str] = MappingProxyType(
    {
        "cloud.health-path": (
            f"{NOT_YET}: there is no server of one's own to ask; ready means that a real completion was answered"
        ),
        "cloud.hf-token-secret": (
            f"{NOT_YET}: Bedrock reads weights from s3:// and from nowhere else, and no token of Hugging Face is asked "
            "for there; whoever copies a gated model into the bucket needs it"
        ),
        "cloud.project": f"{NOT_YET}: AWS has accounts and no projects; cloud.account is the guard there",
    }
)
_DOOR = "requests go through an interface endpoint of AWS PrivateLink"
_THROUGH: Mapping[str, str] = MappingProxyType(
    {
        "cloud.network": f"{_DOOR} in this network; one that is there, none is made",
        "cloud.subnets": f"{_DOOR} with an address in each of them; one that is there, none is made",
        "cloud.security-groups": f"{_DOOR} with all of them; one that is there, none is made",
        "cloud.public-ip": f"{_DOOR}; one that is there, none is made",
    }
)
_IMPORT_ONLY = ("cloud.role", "cloud.kms-key")


def findings(spec: ModelSpec, settings: AwsSettings) -> Iterator[Finding]:
    """What only Bedrock knows; of two findings for one key the later one counts."""
    try:
        wish = wish_of(spec, settings)
    except (Unfit, Denied) as wrong:
        yield Finding(wrong.key if isinstance(wrong, Unfit) else "cloud.role", Handling.REJECTED, str(wrong))
        wish = None
    if wish is not None:
        yield from _served(spec, settings, wish)
    for key, detail in _MEANINGLESS.items():
        if key in spec.options:
            yield Finding(key, Handling.IGNORED, detail)
    yield from _access(spec)
    yield from _refused(spec)


def _served(spec: ModelSpec, settings: AwsSettings, wish: Wish) -> Iterator[Finding]:
    if is_embedding(spec):
        yield Finding("model", Handling.REJECTED, "Bedrock's OpenAI-compatible URL answers chats, not embeddings")
        return
    yield Finding("model", Handling.TRANSLATED, "; ".join(filter(None, (what_happens(wish), warning(wish)))))
    if wish.mode in (Mode.PROVISIONED, Mode.IMPORT) and RESIDENCY in spec.options:
        detail = "has no meaning there: what is one's own answers in its own region"
        yield Finding(RESIDENCY, Handling.IGNORED, detail)
    elif RESIDENCY in spec.options:
        yield _residency(wish.residency, wanted_region(spec, settings))
    if EULA in spec.options:
        yield _terms(spec, wish)
    if wish.mode is not Mode.IMPORT:
        for key in _IMPORT_ONLY:
            if key in spec.options:
                yield Finding(key, Handling.IGNORED, "only an import of one's own weights needs it")


def _terms(spec: ModelSpec, wish: Wish) -> Finding:
    """Whose word it takes for an account to be subscribed to a model."""
    if wish.mode is Mode.IMPORT or wish.mantle:
        what = "weights of one's own" if wish.mode is Mode.IMPORT else "bedrock-mantle"
        return Finding(EULA, Handling.IGNORED, f"AWS asks nobody to accept terms for {what}")
    if not accepts(spec):
        return Finding(EULA, Handling.HONOURED)
    detail = (
        "where nobody has accepted the model's terms for the account, our first request does, if the credentials may "
        "aws-marketplace:Subscribe"
    )
    return Finding(EULA, Handling.TRANSLATED, detail)


def what_happens(wish: Wish) -> str:
    """What the platform is going to do, in one sentence for the plan."""
    if wish.mantle:
        return f"nothing is created: requests go to {wish.model} of bedrock-mantle, paid for by the token"
    if wish.mode is Mode.IMPORT:
        return f"weights are imported from {wish.source} as an imported model, paid for while copies of it are active"
    if wish.mode is Mode.PROVISIONED:
        return f"{wish.units} model units of {wish.model} are bought by the hour, used or not, without commitment"
    where = "" if wish.residency.startswith("arn:") else f"; {_answered(wish.residency)}"
    if wish.mode is Mode.PROFILE:
        return f"an inference profile with the tags is created for {wish.model}, paid for by the token{where}"
    return f"nothing is created: requests go to {wish.model}, paid for by the token{where}"


def _answered(residency: str) -> str:
    if residency == "auto":
        return "answered in the region where AWS serves it there on demand, else in the region's own geography"
    if residency == "none":
        return "answered in the region"
    return "answered anywhere in the world" if residency == "global" else f"answered anywhere in {residency}"


def _residency(residency: str, region: str | None) -> Finding:
    """A geography can only be asked from inside it; AWS's own list has the last word."""
    own = {"apac": "ap"}.get(residency, residency)
    home = geography(region or "")
    if residency in ("us", "eu", "apac") and home in ("us", "eu", "ap") and home != own:
        return Finding(RESIDENCY, Handling.REJECTED, f"profiles of {residency} cannot be used from {region}")
    if residency == "auto":
        return Finding(RESIDENCY, Handling.HONOURED)
    words = "through this profile" if residency.startswith("arn:") else _answered(residency)
    return Finding(RESIDENCY, Handling.TRANSLATED, words)


def _access(spec: ModelSpec) -> Iterator[Finding]:
    """How requests get into AWS: by its public address, or by an endpoint that the operator has."""
    named = [key for key in PLACES if key in spec.options]
    if PUBLIC in spec.options and not is_private(spec):
        if named:
            yield Finding(PUBLIC, Handling.REJECTED, f"contradicts {', '.join(named)}: leave one or the other out")
        else:
            yield Finding(PUBLIC, Handling.TRANSLATED, "requests go to AWS's public address, with a token or key")
        return
    for key in (*named, *((PUBLIC,) if PUBLIC in spec.options else ())):
        yield Finding(key, Handling.TRANSLATED, _THROUGH[key])


def _refused(spec: ModelSpec) -> Iterator[Finding]:
    if "cloud.guardrail" in spec.options:
        detail = (
            f"{NOT_YET}: a guardrail rides on headers of every request, which clients of this URL do not send, and "
            "serving without it is not what the file asks for; enforce it for the account, or leave the option out"
        )
        yield Finding("cloud.guardrail", Handling.REJECTED, detail)
    yield from _auth(spec)
    if "cloud.tags" in spec.options and (wrong := _tags(spec.options["cloud.tags"])):
        yield Finding("cloud.tags", Handling.REJECTED, wrong)
    if spec.options.get(API, MANTLE) not in (MANTLE, "runtime"):
        yield Finding(API, Handling.REJECTED, f"is runtime or {MANTLE}")


def _auth(spec: ModelSpec) -> Iterator[Finding]:
    """Tokens that end within hours, or the operator's own long-term key."""
    auth = spec.options.get("cloud.auth")
    if auth == "none":
        yield Finding("cloud.auth", Handling.REJECTED, "Bedrock answers nobody without a token or a key")
    elif auth == "api-key" and SECRET not in spec.options:
        detail = f"needs {SECRET}: the operator's name for a long-term Bedrock API key in Systems Manager"
        yield Finding("cloud.auth", Handling.REJECTED, detail)
    elif auth == "iam" and SECRET in spec.options:
        yield Finding(SECRET, Handling.IGNORED, "clients send a token of AWS's (cloud.auth=iam)")


def _tags(text: str) -> str:
    """Why Bedrock would not take these tags; empty where it does."""
    try:
        tags = pairs(text)
    except ValueError as wrong:
        return str(wrong)
    bad = [key for key, value in tags.items() if not (_TAG.fullmatch(key) and _TAG.fullmatch(value))]
    return f"'{bad[0]}': Bedrock's tags are of letters, digits, blanks and . _ : / = + @ -" if bad else ""
