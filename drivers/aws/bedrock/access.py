"""Whether this account may use a model in this region, before anything is made for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.aws.bedrock.shelf import Shelf
from drivers.errors import Denied


def require(shelf: Shelf, model: str) -> None:
    """Return where the account may use the model. Raises Denied with what AWS misses and who can mend it."""
    missing = missing_for(shelf, model)
    if missing:
        raise Denied(missing)


def missing_for(shelf: Shelf, model: str) -> str:
    """What is missing before the account may use a model; empty when nothing is."""
    found = shelf.one("get_foundation_model_availability", modelId=model)
    return said(found, model, shelf.region) if found is not None else f"AWS knows no model {model} in {shelf.region}"


def said(answer: Mapping[str, Any], model: str, region: str) -> str:
    """The same of AWS's answer. Pure."""
    agreement = answer["agreementAvailability"]
    if answer["regionAvailability"] != "AVAILABLE":
        return f"AWS does not offer {model} to this account in {region}: choose another region"
    if answer["entitlementAvailability"] != "AVAILABLE":
        return f"this account is not entitled to {model}: its owner asks for access in the Bedrock console"
    if agreement["status"] != "AVAILABLE":
        why = f" ({agreement['errorMessage']})" if agreement.get("errorMessage") else ""
        return (
            f"nobody has accepted the terms of {model} for this account{why}: its owner does so once, in the Bedrock "
            "console; this driver never does"
        )
    if answer["authorizationStatus"] != "AUTHORIZED":
        return f"this account, or these credentials, may not use {model}: grant bedrock:InvokeModel and access to it"
    return ""
