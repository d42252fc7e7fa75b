"""Whether this account may use a model in this region, before anything is made for it.

AWS opens models by itself: the first request for one whose terms nobody has accepted subscribes the account to it,
within a quarter of an hour, if the credentials may (`aws-marketplace:Subscribe`). That accepts the terms, so no request
is made for such a model unless the file says so. Source:
docs.aws.amazon.com/bedrock/latest/userguide/model-access.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.aws.bedrock.shelf import Shelf
from drivers.base import ModelSpec
from drivers.errors import Denied
from drivers.values import boolean

EULA = "cloud.accept-eula"
_ANSWERABLE = ("NOT_AVAILABLE", "PENDING")
"""What AWS says of an agreement that a request makes, or that is being made. Whether it then still misses an
entitlement is not written anywhere; it comes with the agreement."""


def accepts(spec: ModelSpec) -> bool:
    """Whether the file accepts the terms of its model."""
    return boolean(spec.options.get(EULA, "false"))


def require(shelf: Shelf, model: str, accepted: bool) -> bool:
    """Whether an agreement is still to come about: by the first request, where the terms are `accepted`.

    Raises Denied with what AWS misses and who can mend it.
    """
    found = _asked(shelf, model)
    is_coming = _is_coming(found, accepted)
    granted = {"agreementAvailability": {"status": "AVAILABLE"}, "entitlementAvailability": "AVAILABLE"}
    missing = said(found | (granted if is_coming else {}), model, shelf.region)
    if missing:
        raise Denied(missing)
    return is_coming


def missing_for(shelf: Shelf, model: str) -> str:
    """What is missing before the account may use a model; empty when nothing is."""
    try:
        return said(_asked(shelf, model), model, shelf.region)
    except Denied as unknown:
        return str(unknown)


def said(answer: Mapping[str, Any], model: str, region: str) -> str:
    """The same of AWS's answer. Pure."""
    agreement = answer["agreementAvailability"]
    if answer["regionAvailability"] != "AVAILABLE":
        return f"AWS does not offer {model} to this account in {region}: choose another region"
    if agreement["status"] == "PENDING":
        return under_way(model)
    if agreement["status"] != "AVAILABLE":
        why = f" ({agreement['errorMessage']})" if agreement.get("errorMessage") else ""
        return (
            f"nobody has accepted the terms of {model} for this account{why}: its owner does so once, by asking it "
            f"something in the Bedrock console, or the file says {EULA}=true and the credentials may "
            "aws-marketplace:Subscribe"
        )
    if answer["entitlementAvailability"] != "AVAILABLE":
        return f"this account is not entitled to {model}: its owner asks for access in the Bedrock console"
    if answer["authorizationStatus"] != "AUTHORIZED":
        return f"this account, or these credentials, may not use {model}: grant bedrock:InvokeModel and access to it"
    return ""


def under_way(model: str) -> str:
    """What is missing while AWS makes the agreement, which a request or a person has begun."""
    return f"AWS is subscribing this account to {model}, which takes up to a quarter of an hour"


def _asked(shelf: Shelf, model: str) -> dict[str, Any]:
    found = shelf.one("get_foundation_model_availability", modelId=model)
    if found is None:
        raise Denied(f"AWS knows no model {model} in {shelf.region}")
    return dict(found)


def _is_coming(answer: Mapping[str, Any], accepted: bool) -> bool:
    """Somebody's request has begun it already, or ours may."""
    status = answer["agreementAvailability"]["status"]
    return status == "PENDING" or (accepted and status in _ANSWERABLE)
