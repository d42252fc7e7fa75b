"""Foundation models: the list, one of them, and whether this account may use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.localaws.bedrock.account import Operate, World
from infra.localaws.bedrock.catalogue import Model, described
from infra.localaws.bedrock.world import NotFound
from infra.localaws.calls import Call


def list_foundation_models(world: World, call: Call) -> Mapping[str, Any]:
    """All at once: this list has no pages."""
    output, inference = call.parameters.get("byOutputModality"), call.parameters.get("byInferenceType")
    models = [described(model, call.region) for model in world.catalogue.models(call.region)]
    return {
        "modelSummaries": [
            model
            for model in models
            if output in (None, *model["outputModalities"]) and inference in (None, *model["inferenceTypesSupported"])
        ]
    }


def get_foundation_model(world: World, call: Call) -> Mapping[str, Any]:
    return {"modelDetails": described(_model(world, call, "modelIdentifier"), call.region)}


def get_foundation_model_availability(world: World, call: Call) -> Mapping[str, Any]:
    access = world.catalogue.access_to(_model(world, call, "modelId").id)
    return {
        "modelId": call.parameters["modelId"],
        "agreementAvailability": {"status": access["agreement"]},
        "authorizationStatus": access["authorization"],
        "entitlementAvailability": access["entitlement"],
        "regionAvailability": access["region"],
    }


def _model(world: World, call: Call, member: str) -> Model:
    named = call.parameters[member].rpartition("/")[2]
    found = world.catalogue.find(call.region, named)
    if found is None:
        raise NotFound(f"The model {named} was not found.")
    return found


OPERATIONS: Mapping[str, Operate] = {
    "ListFoundationModels": list_foundation_models,
    "GetFoundationModel": get_foundation_model,
    "GetFoundationModelAvailability": get_foundation_model_availability,
}
