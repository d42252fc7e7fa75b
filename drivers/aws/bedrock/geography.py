"""Where requests may be answered: the model in its region, or one of AWS's inference profiles. Pure.

A system profile spreads requests over the regions of its models' ARNs. `auto` takes the model itself where AWS serves
it on demand, else the narrowest profile whose regions all lie in the region's own geography, and never one that leaves
it: that needs a word in the file. Source: docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from drivers.aws.bedrock.wish import Mode, Unfit, Wish

RESIDENCY = "cloud.inference-profile"
Listed = Mapping[str, Mapping[str, Any]]
"""What AWS lists, by id."""


class Target(NamedTuple):
    """What answers."""

    sends: str
    """What clients send as `model`, where nothing is created."""
    source: str
    """ARN of the same, for what is created from it."""
    where: str
    """In which regions, for people."""


NOWHERE = Target("", "", "")
"""For what comes from nobody's list."""


def target_of(wish: Wish, region: str, models: Listed, profiles: Listed, now: datetime) -> Target:
    """What answers in a region. `profiles` are all that the account sees there, by id and by ARN.

    Raises Unfit for what AWS does not list there, and for what it would answer elsewhere than the file allows.
    """
    model = models.get(wish.model)
    if model is None:
        raise Unfit(_named(wish), f"AWS lists no model {wish.model} in {region}{_nearest(wish.model, models)}")
    unusable = end_of(model, now) or _speechless(model)
    if unusable:
        raise Unfit(_named(wish), unusable)
    if wish.mode is Mode.PROVISIONED:
        return _provisioned(wish, region, models)
    return _profile(wish, region, model, profiles)


def end_of(model: Mapping[str, Any], now: datetime) -> str:
    """Why a listed model answers nobody any more; empty where it does."""
    ends = model.get("modelLifecycle", {}).get("endOfLifeTime")
    if ends is not None and ends <= now:
        return f"{model['modelId']} reached the end of its life on {ends:%Y-%m-%d}; choose its successor"
    return ""


def notice_of(model: Mapping[str, Any]) -> str:
    """What people should know of a model that AWS is going to end; empty for any other."""
    cycle = model.get("modelLifecycle", {})
    if cycle.get("status") != "LEGACY":
        return ""
    ends = cycle.get("endOfLifeTime")
    return f"AWS calls {model['modelId']} legacy" + (f" and ends it on {ends:%Y-%m-%d}" if ends else "")


def geography(region: str) -> str:
    """`us` of `us-west-2`, `us-gov` of `us-gov-west-1`, `ap` of `ap-northeast-1`; empty for no region at all."""
    return "-".join(region.split("-")[:-2])


def regions_of(profile: Mapping[str, Any]) -> tuple[str, ...]:
    """The regions that a profile spreads requests over; an empty one stands for all of them."""
    return tuple(dict.fromkeys(model["modelArn"].split(":")[3] for model in profile.get("models", ())))


def _profile(wish: Wish, region: str, model: Mapping[str, Any], profiles: Listed) -> Target:
    on_demand = "ON_DEMAND" in model.get("inferenceTypesSupported", ())
    if wish.residency in ("auto", "none") and on_demand:
        return Target(wish.model, model["modelArn"], f"in {region}")
    if wish.residency == "none":
        raise Unfit(RESIDENCY, f"AWS does not serve {wish.model} on demand in {region} itself{_offers(wish, profiles)}")
    if wish.residency == "auto":
        return _target(_at_home(wish, region, profiles))
    return _target(_chosen(wish, region, profiles))


def _at_home(wish: Wish, region: str, profiles: Listed) -> Mapping[str, Any]:
    own = [
        one
        for one in _of_model(wish.model, profiles)
        if {geography(each) for each in regions_of(one)} == {geography(region)}
    ]
    if not own:
        raise Unfit(
            RESIDENCY,
            f"AWS serves {wish.model} in {region} only through other geographies, which the file must allow"
            f"{_offers(wish, profiles)}",
        )
    return min(own, key=lambda one: (len(regions_of(one)), one["inferenceProfileId"]))


def _chosen(wish: Wish, region: str, profiles: Listed) -> Mapping[str, Any]:
    wanted = wish.residency if wish.residency.startswith("arn:") else f"{wish.residency}.{wish.model}"
    found = profiles.get(wanted)
    if found is None:
        raise Unfit(RESIDENCY, f"there is no inference profile {wanted} in {region}{_offers(wish, profiles)}")
    if wish.model not in {_id_of(model["modelArn"]) for model in found["models"]}:
        served = ", ".join(sorted({_id_of(model["modelArn"]) for model in found["models"]}))
        raise Unfit(
            RESIDENCY, f"the inference profile serves {served}, not {wish.model}: no model is substituted silently"
        )
    return found


def _target(profile: Mapping[str, Any]) -> Target:
    regions = ", ".join(regions_of(profile))
    where = f"in {regions}" if all(regions_of(profile)) else "anywhere in the world"
    is_system = profile.get("type", "SYSTEM_DEFINED") == "SYSTEM_DEFINED"
    sends = profile["inferenceProfileId"] if is_system else profile["inferenceProfileArn"]
    return Target(sends, profile["inferenceProfileArn"], where)


def _provisioned(wish: Wish, region: str, models: Listed) -> Target:
    """The model itself, or the one variant of it (`…:0:128k`) that AWS sells by the hour."""
    sold = [
        id
        for id, model in models.items()
        if (id == wish.model or id.startswith(f"{wish.model}:"))
        and "PROVISIONED" in model.get("inferenceTypesSupported", ())
    ]
    if len(sold) != 1:
        several = f"; name one of {', '.join(sorted(sold))} with cloud.model-id" if sold else ""
        raise Unfit(
            "cloud.throughput", f"AWS does not sell provisioned throughput of {wish.model} in {region}{several}"
        )
    return Target(sold[0], models[sold[0]]["modelArn"], f"in {region}")


def _of_model(model: str, profiles: Listed) -> Iterator[Mapping[str, Any]]:
    for id, profile in profiles.items():
        if not id.startswith("arn:") and id.endswith(f".{model}"):
            yield profile


def _offers(wish: Wish, profiles: Listed) -> str:
    ids = sorted(one["inferenceProfileId"].removesuffix(f".{wish.model}") for one in _of_model(wish.model, profiles))
    return f"; it has profiles for {', '.join(ids)}: write one of them into {RESIDENCY}" if ids else ""


def _speechless(model: Mapping[str, Any]) -> str:
    if "TEXT" in model.get("outputModalities", ("TEXT",)):
        return ""
    return f"{model['modelId']} answers with {', '.join(model['outputModalities']).lower()}, not with text"


def _named(wish: Wish) -> str:
    return "cloud.model-id" if wish.mantle else "model"


def _nearest(model: str, models: Listed) -> str:
    from difflib import get_close_matches

    found = get_close_matches(model, list(models), n=1, cutoff=0.8)
    return f" (it lists {found[0]})" if found else ""


def _id_of(arn: str) -> str:
    return arn.rpartition("/")[2]
