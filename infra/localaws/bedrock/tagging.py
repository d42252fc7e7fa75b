"""Tags of everything that has an ARN here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.localaws.bedrock.account import Operate, World
from infra.localaws.bedrock.world import NotFound
from infra.localaws.calls import Call
from infra.localaws.errors import AwsError
from infra.localaws.validation import check

MOST = 50


def list_tags(world: World, call: Call) -> Mapping[str, Any]:
    return {"tags": [{"key": key, "value": value} for key, value in _tags(world, call).items()]}


def tag(world: World, call: Call) -> Mapping[str, Any]:
    check(call)
    given = {tag["key"]: tag["value"] for tag in call.parameters["tags"]}
    tags = _tags(world, call)
    if len(tags.keys() | given.keys()) > MOST:
        raise AwsError("TooManyTagsException", f"A resource has {MOST} tags at most.")
    tags.update(given)
    return {}


def untag(world: World, call: Call) -> Mapping[str, Any]:
    check(call)
    tags = _tags(world, call)
    for key in call.parameters["tagKeys"]:
        tags.pop(key, None)
    return {}


def _tags(world: World, call: Call) -> dict[str, str]:
    region, arn = world.of(call), call.parameters["resourceARN"]
    if arn not in region.things:
        raise NotFound(f"The resource {arn} was not found.")
    return region.tags.setdefault(arn, {})


OPERATIONS: Mapping[str, Operate] = {"ListTagsForResource": list_tags, "TagResource": tag, "UntagResource": untag}
