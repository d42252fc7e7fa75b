"""Inference profiles: AWS's own, and the application profiles that an account makes from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from infra.localaws.bedrock.account import Operate, World
from infra.localaws.bedrock.catalogue import model_arn
from infra.localaws.bedrock.world import Conflict, NotFound, Thing, page
from infra.localaws.calls import ACCOUNT, Call
from infra.localaws.errors import Invalid
from infra.localaws.validation import check


def create_inference_profile(world: World, call: Call) -> Mapping[str, Any]:
    """ACTIVE at once. That a second one of the same name is refused is our reading of its ConflictException."""
    check(call)
    region = world.of(call)

    def make() -> Thing:
        name = call.parameters["inferenceProfileName"]
        if region.find("profile", name) is not None:
            raise Conflict(f"An inference profile with the name {name} already exists.")
        models = _copied(world, call)
        arn = region.new_arn("profile", name)
        region.tag(arn, call.parameters.get("tags"))
        return Thing("profile", arn, name, call.parameters, world.now(), "ACTIVE", more={"models": models})

    return {"inferenceProfileArn": region.once(call, make), "status": "ACTIVE"}


def _copied(world: World, call: Call) -> list[dict[str, str]]:
    source = call.parameters["modelSource"]["copyFrom"]
    model = world.catalogue.find(call.region, source.rpartition("/")[2])
    if ":foundation-model/" in source and model is not None:
        if call.region not in model.on_demand:
            raise Invalid(f"The model {model.id} cannot be used on demand in {call.region}.")
        return [{"modelArn": source}]
    for profile in _system(world, call.region):
        if profile["inferenceProfileArn"] == source:
            models: list[dict[str, str]] = profile["models"]
            return models
    raise NotFound(f"The source {source} was not found.")


def get_inference_profile(world: World, call: Call) -> Mapping[str, Any]:
    named = call.parameters["inferenceProfileIdentifier"]
    for profile in _system(world, call.region):
        if named in (profile["inferenceProfileArn"], profile["inferenceProfileId"]):
            return profile
    return _own(_by_id(world, call))


def list_inference_profiles(world: World, call: Call) -> Mapping[str, Any]:
    # On the wire, the member `typeEquals` is called `type`.
    wanted = call.parameters.get("type", "SYSTEM_DEFINED")
    own = [_own(thing) for thing in world.of(call).of("profile")]
    rows = list(_system(world, call.region)) if wanted == "SYSTEM_DEFINED" else own
    return page(call, rows, "inferenceProfileSummaries")


def delete_inference_profile(world: World, call: Call) -> Mapping[str, Any]:
    world.of(call).drop(_by_id(world, call))
    return {}


def _by_id(world: World, call: Call) -> Thing:
    """An application profile by id or ARN; a name is neither."""
    named = call.parameters["inferenceProfileIdentifier"]
    for thing in world.of(call).of("profile"):
        if named in (thing.id, thing.arn):
            return thing
    raise NotFound(f"The inference profile {named} was not found.")


def _system(world: World, region: str) -> Iterator[dict[str, Any]]:
    for id, model, regions in world.catalogue.system_profiles(region):
        yield {
            "inferenceProfileName": f"{id.partition('.')[0].upper()} {model.name}",
            "inferenceProfileArn": f"arn:aws:bedrock:{region}:{ACCOUNT}:inference-profile/{id}",
            "inferenceProfileId": id,
            "models": [{"modelArn": model_arn(each, model.id)} for each in regions],
            "status": "ACTIVE",
            "type": "SYSTEM_DEFINED",
        }


def _own(thing: Thing) -> dict[str, Any]:
    said = {
        "inferenceProfileName": thing.name,
        "inferenceProfileArn": thing.arn,
        "inferenceProfileId": thing.id,
        "createdAt": thing.made_at,
        "updatedAt": thing.made_at,
        "models": thing.more["models"],
        "status": thing.status,
        "type": "APPLICATION",
    }
    return said | ({"description": thing.said["description"]} if "description" in thing.said else {})


OPERATIONS: Mapping[str, Operate] = {
    "CreateInferenceProfile": create_inference_profile,
    "GetInferenceProfile": get_inference_profile,
    "ListInferenceProfiles": list_inference_profiles,
    "DeleteInferenceProfile": delete_inference_profile,
}
