"""What AWS checks in a call before anything else: enumerations, patterns, lengths and ranges of the service's model.

An SDK checks required members, types and the smallest lengths; the rest comes back from AWS as one
ValidationException that lists all violations, in the words used here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from botocore.model import Shape

from infra.localaws.calls import Call, service_model
from infra.localaws.errors import Invalid

_TRANSLATED = (
    (r"\p{L}", r"\w"),  # near enough: all those patterns allow the underscore that `\w` has beside the letters
    (r"\p{N}", r"\d"),
    (r"\p{Z}", r"\s"),
    (r"\p{Print}", r"[^\x00-\x1f\x7f]"),
    (r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF"),
)
"""What the models' patterns say in Java's words, and in Python's."""


def check(call: Call) -> None:
    """Return if the call's parameters are what the service's model allows. Raises Invalid."""
    shape = service_model(call.service).operation_model(call.operation).input_shape
    found = tuple(_violations(call.parameters, shape, "")) if shape is not None else ()
    if found:
        count = f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected: "
        raise Invalid(count + "; ".join(found))


def _violations(value: Any, shape: Shape, path: str) -> Iterator[str]:
    if shape.type_name == "structure" and isinstance(value, Mapping):
        for name in shape.required_members:
            if name not in value:
                yield _violation("null", _joined(path, name), "Member must not be null")
        for name, member in shape.members.items():
            key = member.serialization.get("name", name)
            if value.get(key) is not None:
                yield from _violations(value[key], member, _joined(path, name))
    elif shape.type_name == "list" and isinstance(value, list):
        yield from _out_of_range(len(value), value, shape, path, "length")
        for number, item in enumerate(value, 1):
            yield from _violations(item, shape.member, f"{path}.{number}.member")
    elif shape.type_name == "map" and isinstance(value, Mapping):
        for key, item in value.items():
            yield from _violations(item, shape.value, f"{path}.{key}")
    elif shape.type_name == "string" and isinstance(value, str):
        yield from _wrong_text(value, shape, path)
    elif shape.type_name in ("integer", "long", "float", "double") and isinstance(value, int | float):
        yield from _out_of_range(value, value, shape, path, "value")


def _wrong_text(value: str, shape: Shape, path: str) -> Iterator[str]:
    if shape.enum and value not in shape.enum:
        yield _violation(value, path, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
    pattern = shape.metadata.get("pattern")
    if pattern and not _compiled(pattern).fullmatch(value):
        yield _violation(value, path, f"Member must satisfy regular expression pattern: {pattern}")
    yield from _out_of_range(len(value), value, shape, path, "length")


def _out_of_range(size: float, value: Any, shape: Shape, path: str, of: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if most is not None and size > most:
        yield _violation(value, path, f"Member must have {of} less than or equal to {most}")
    if least is not None and size < least:
        yield _violation(value, path, f"Member must have {of} greater than or equal to {least}")


def _violation(value: Any, path: str, rule: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: {rule}"


def _joined(path: str, name: str) -> str:
    own = name[0].lower() + name[1:]
    return f"{path}.{own}" if path else own


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    for theirs, ours in _TRANSLATED:
        pattern = pattern.replace(theirs, ours)
    return re.compile(pattern)
