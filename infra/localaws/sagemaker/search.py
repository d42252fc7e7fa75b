"""Search over endpoints, and tags of everything. Search is an index: it may lag, and it knows endpoints only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from infra.localaws.calls import Call
from infra.localaws.errors import AwsError, Invalid
from infra.localaws.sagemaker.hosting import Hosting, Operate
from infra.localaws.sagemaker.views import paged
from infra.localaws.sagemaker.world import Region
from infra.localaws.validation import check

MOST_TAGS = 50


def search(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    """A page of at most 100 records (`Search` of the reference)."""
    check(call)
    said = call.parameters
    if said["Resource"] != "Endpoint":
        raise Invalid(f"the local cloud searches endpoints only, not {said['Resource']}")
    expression = said.get("SearchExpression", {})
    found = [one for one in hosting.index.read(call.region, hosting.now()) if _matches(one, expression)]
    found.sort(key=lambda record: record["EndpointName"])
    page, token = paged(found, said, default=100)
    answer: dict[str, Any] = {"Results": [{"Endpoint": record} for record in page]}
    return answer | ({"NextToken": token} if token else {})


def _matches(record: Mapping[str, Any], expression: Mapping[str, Any]) -> bool:
    """AND over everything in an expression, unless it says Or; an empty one matches all."""
    if expression.get("NestedFilters"):
        raise Invalid("the local cloud's Search has no NestedFilters")
    answers = [_passes(record, one) for one in expression.get("Filters", ())]
    answers += [_matches(record, one) for one in expression.get("SubExpressions", ())]
    return any(answers) if expression.get("Operator") == "Or" and answers else all(answers)


def _passes(record: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
    value, wanted = _property(record, one["Name"]), one.get("Value")
    operator = one.get("Operator", "Exists" if wanted is None else "Equals")
    text = wanted or ""
    tests: Mapping[str, Callable[[], bool]] = {
        "Exists": lambda: value is not None,
        "NotExists": lambda: value is None,
        "Equals": lambda: value == text,
        "NotEquals": lambda: value != text,
        "Contains": lambda: value is not None and text in value,
        "In": lambda: value in text.split(","),
    }
    if operator not in tests:
        raise Invalid(f"the local cloud's Search has no operator {operator}")
    return tests[operator]()


def _property(record: Mapping[str, Any], name: str) -> str | None:
    if name.startswith("Tags."):
        return next((tag["Value"] for tag in record["Tags"] if tag["Key"] == name.removeprefix("Tags.")), None)
    value = record.get(name)
    return None if value is None else str(value)


def add_tags(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    check(call)
    tags = _tags(hosting.of(call), call)
    new = tags | {tag["Key"]: tag["Value"] for tag in call.parameters["Tags"]}
    if len(new) > MOST_TAGS:
        raise AwsError("ResourceLimitExceeded", f"A resource can have {MOST_TAGS} tags at most.")
    tags.update(new)
    return {"Tags": _as_list(tags)}


def list_tags(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    page, token = paged(_as_list(_tags(hosting.of(call), call)), call.parameters, default=50)
    return {"Tags": list(page)} | ({"NextToken": token} if token else {})


def delete_tags(hosting: Hosting, call: Call) -> Mapping[str, Any]:
    tags = _tags(hosting.of(call), call)
    for key in call.parameters["TagKeys"]:
        tags.pop(key, None)
    return {}


def _tags(region: Region, call: Call) -> dict[str, str]:
    arn = call.parameters["ResourceArn"]
    if arn not in region.tags:
        raise Invalid(f'Could not find resource "{arn}".')
    return region.tags[arn]


def _as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


OPERATIONS: Mapping[str, Operate] = {
    "Search": search,
    "AddTags": add_tags,
    "ListTags": list_tags,
    "DeleteTags": delete_tags,
}
