"""The OpenAI-compatible URLs: `/openai/v1/` of bedrock-runtime, `/v1/` of bedrock-mantle; on AWS each has a host.

A model id may be a foundation model's, a profile's id or ARN, or the ARN of provisioned throughput or an imported
model. What answers is a container as everywhere in this cloud: an echo, or a llama-server with the weights at hand.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from infra.localaws.bedrock import endpoints
from infra.localaws.bedrock.account import World
from infra.localaws.bedrock.catalogue import MANTLE, Model
from infra.localaws.containers import Container
from infra.localaws.errors import AwsError
from infra.localaws.http import Answer, Dropped, Request
from infra.localaws.tokens import region_of

RUNTIME_PATH, MANTLE_PATH = "/openai/v1/", "/v1/"
STARTED_WITHIN_S = 60.0
"""Real time that a first request may wait for a real server, which on AWS has been there for long."""


class Refused(Exception):
    """An answer in OpenAI's shape that is an error."""

    def __init__(self, status: int, message: str, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


def answer(world: World, request: Request) -> Answer | None:
    """What these URLs answer; None where the request is for another one. Raises Dropped where it came in by a name that
    leads nowhere."""
    base = next((path for path in (RUNTIME_PATH, MANTLE_PATH) if request.path.startswith(path)), None)
    if base is None:
        return None
    try:
        region = _region(world, request)
        service = "bedrock-mantle" if base == MANTLE_PATH else "bedrock-runtime"
        with world.around.lock:
            if not endpoints.leads_here(world.around.moto, request.headers.get("host", ""), region, service):
                raise Dropped
        return _route(world, request, region, base)
    except AwsError as error:
        return _error(error.status, error.message, "authentication_error")
    except Refused as error:
        return _error(error.status, str(error), error.kind)


def _region(world: World, request: Request) -> str:
    """Of a long-term key, the one that it was made known for; on AWS the host says it. Raises BadToken."""
    key = request.headers.get("authorization", "").removeprefix("Bearer ")
    return world.keys.get(key) or region_of(request, "bedrock", world.now(), world.around.moto.secret_of)


def _route(world: World, request: Request, region: str, base: str) -> Answer:
    what = request.path.removeprefix(base)
    is_mantle = base == MANTLE_PATH
    if what == "models" and request.method == "GET":
        ids = MANTLE if is_mantle else tuple(model.id for model in world.catalogue.models(region))
        return _json(200, {"object": "list", "data": [{"id": id, "object": "model"} for id in ids]})
    if what != "chat/completions" or request.method != "POST":
        raise Refused(404, f"There is no {request.method} {request.path}.")
    asked = json.loads(request.body)
    model = str(asked.get("model", ""))
    with world.around.lock:  # not while it is answered: a model takes its time
        serves = _mantle(model) if is_mantle else served(world, region, model)
    return _chat(world, request, asked, serves)


def _mantle(model: str) -> str:
    if model not in MANTLE:
        raise Refused(404, f"The model '{model}' does not exist.")
    return model


def served(world: World, region: str, model: str) -> str:
    """The foundation model, or the imported one, that a model id comes to. Raises Refused, in AWS's words."""
    things = world.region(region)
    if (imported := things.find("imported model", model)) is not None and model == imported.arn:
        return imported.name
    if (bought := things.find("throughput", model)) is not None and model == bought.arn:
        if bought.status != "InService":
            raise Refused(400, f"The provisioned model {model} is not in service.")
        return _through(world, region, bought.more["model"])
    if (own := things.find("profile", model)) is not None and model == own.arn:
        return _through(world, region, own.more["models"][0]["modelArn"].rpartition("/")[2])
    id = model.rpartition("/")[2]
    for profile, source, _ in world.catalogue.system_profiles(region):
        if id == profile:
            return _allowed(world, _chatting(source).id)
    found = world.catalogue.find(region, model)
    if found is None:
        raise Refused(400, "The provided model identifier is invalid.")
    if region not in found.on_demand:
        raise Refused(
            400,
            f"Invocation of model ID {model} with on-demand throughput isn't supported. Retry your request with the ID "
            "or ARN of an inference profile that contains this model.",
        )
    return _allowed(world, _chatting(found).id)


def _through(world: World, region: str, id: str) -> str:
    """A model behind something of the account's own; one that is not listed any more answers on."""
    found = world.catalogue.find(region, id)
    return _allowed(world, _chatting(found).id if found is not None else id)


def _chatting(model: Model) -> Model:
    if not model.chats:
        raise Refused(400, f'"{model.id}" is not supported on this API.')
    return model


def _allowed(world: World, id: str) -> str:
    if not world.catalogue.may_use(id, world.now(), world.around.latencies.create_s):
        raise Refused(403, "You don't have access to the model with the specified model ID.", "permission_error")
    return id


def _chat(world: World, request: Request, asked: dict[str, Any], serves: str) -> Answer:
    containers, key = world.around.containers, f"bedrock/{serves}"
    containers.start(key, Container("bedrock", {"SM_LLAMA_CPP_DOCKER_REPO": serves, "SM_LLAMA_CPP_ALIAS": serves}))
    containers.await_started(STARTED_WITHIN_S)
    return containers.chat(key, replace(request, body=json.dumps(asked | {"model": serves}).encode()))


def _error(status: int, message: str, kind: str) -> Answer:
    return _json(status, {"error": {"message": message, "type": kind, "code": None, "param": None}})


def _json(status: int, said: object) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(said).encode())
