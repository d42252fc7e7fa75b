"""Provisioned throughput: model units by the hour, in service after a while, kept for as long as one is committed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from infra.localaws.bedrock.account import Operate, World
from infra.localaws.bedrock.catalogue import model_arn
from infra.localaws.bedrock.world import Conflict, NotFound, Region, Thing, page
from infra.localaws.calls import Call
from infra.localaws.errors import AwsError, Invalid
from infra.localaws.validation import check

USD_PER_UNIT_HOUR = 21.18
"""Of a small model without commitment; about right is enough."""
UNITS = "bedrock/model-units"
"""The key of its quota, and of its capacity, in the cloud's supply."""
_TERMS = {"OneMonth": timedelta(days=30), "SixMonths": timedelta(days=182)}


def create(world: World, call: Call) -> Mapping[str, Any]:
    check(call)
    region = world.of(call)

    def make() -> Thing:
        said = call.parameters
        name, model = said["provisionedModelName"], said["modelId"].rpartition("/")[2]
        if region.find("throughput", name) is not None:
            raise Invalid(f"The provisioned model name {name} is already in use.")  # our words
        found = world.catalogue.find(call.region, model)
        if found is None:
            raise NotFound(f"The model {model} was not found.")
        if call.region not in found.provisioned:
            raise Invalid(f"The model {model} is not supported for provisioned throughput.")
        _check_quota(world, said["modelUnits"])
        arn = region.new_arn("throughput", name)
        region.tag(arn, said.get("tags"))
        due = world.now() + timedelta(seconds=world.around.latencies.create_s)
        more = {"model": model, "expires": _expiry(said, world.now())}
        return Thing("throughput", arn, name, said, world.now(), "Creating", due, more=more)

    return {"provisionedModelArn": region.once(call, make)}


def _check_quota(world: World, wanted: int) -> None:
    most = world.around.supply.quota(UNITS)
    if most is not None and _units(world) + wanted > most:
        text = f"Your account may have {most} model units without commitment; request an increase in Service Quotas."
        raise AwsError("ServiceQuotaExceededException", text)


def _units(world: World) -> int:
    things = (thing for region in world.regions.values() for thing in region.of("throughput"))
    return sum(thing.said["modelUnits"] for thing in things if thing.status != "Failed")


def _expiry(said: Mapping[str, Any], now: datetime) -> datetime | None:
    return now + _TERMS[said["commitmentDuration"]] if "commitmentDuration" in said else None


def settle(world: World, region: Region, now: datetime) -> None:
    for thing in region.of("throughput"):
        if thing.due is not None and thing.due <= now:
            thing.due = None
            if world.around.supply.free(UNITS, {}) < thing.said["modelUnits"]:
                thing.status, thing.failure = "Failed", "There is not enough capacity for the requested model units."
            else:
                thing.status = "InService"


def get(world: World, call: Call) -> Mapping[str, Any]:
    thing = world.of(call).get("throughput", call.parameters["provisionedModelId"])
    return _described(world, call, thing) | ({"failureMessage": thing.failure} if thing.failure else {})


def list_all(world: World, call: Call) -> Mapping[str, Any]:
    rows = [_described(world, call, thing) for thing in world.of(call).of("throughput")]
    return page(call, rows, "provisionedModelSummaries")


def update(world: World, call: Call) -> Mapping[str, Any]:
    """A new name; another model only for custom ones, which nobody here has."""
    check(call)
    thing = world.of(call).get("throughput", call.parameters["provisionedModelId"])
    if thing.status != "InService":
        raise Conflict("The provisioned model is not in service.")
    if "desiredModelId" in call.parameters:
        raise Invalid("The model of a provisioned base model cannot be changed.")
    thing.name = call.parameters.get("desiredProvisionedModelName", thing.name)
    return {}


def delete(world: World, call: Call) -> Mapping[str, Any]:
    """Refused while it is made and while a commitment runs (user guide, "Delete a Provisioned Throughput")."""
    region = world.of(call)
    thing = region.get("throughput", call.parameters["provisionedModelId"])
    if thing.status in ("Creating", "Updating"):
        raise Conflict(f"The provisioned model {thing.name} is being changed and cannot be deleted now.")
    expires = thing.more["expires"]
    if expires is not None and expires > world.now():
        raise Conflict(f"The provisioned model {thing.name} cannot be deleted before its commitment term is complete.")
    region.drop(thing)
    return {}


def _described(world: World, call: Call, thing: Thing) -> dict[str, Any]:
    arn = model_arn(call.region, thing.more["model"])
    said = {
        "provisionedModelName": thing.name,
        "provisionedModelArn": thing.arn,
        "modelArn": arn,
        "desiredModelArn": arn,
        "foundationModelArn": arn,
        "modelUnits": thing.said["modelUnits"],
        "desiredModelUnits": thing.said["modelUnits"],
        "status": thing.status,
        "creationTime": thing.made_at,
        "lastModifiedTime": thing.made_at,
    }
    if thing.more["expires"] is not None:
        said |= {"commitmentDuration": thing.said.get("commitmentDuration", "OneMonth")}
        said |= {"commitmentExpirationTime": thing.more["expires"]}
    return said


OPERATIONS: Mapping[str, Operate] = {
    "CreateProvisionedModelThroughput": create,
    "GetProvisionedModelThroughput": get,
    "ListProvisionedModelThroughputs": list_all,
    "UpdateProvisionedModelThroughput": update,
    "DeleteProvisionedModelThroughput": delete,
}
