"""What an operation of ours says, as its service's protocol writes it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from infra.localaws.calls import Call
from infra.localaws.errors import Protocol
from infra.localaws.http import Answer


def good_answer(call: Call, said: Mapping[str, Any]) -> Answer:
    """The members as JSON; datetimes as seconds in the JSON protocol, as ISO 8601 in REST."""
    is_rest = call.protocol is Protocol.REST_JSON
    kind = "application/json" if is_rest else "application/x-amz-json-1.1"
    body = json.dumps(said, default=_iso if is_rest else _seconds).encode()
    return Answer(200, {"Content-Type": kind, "x-amzn-RequestId": str(uuid.uuid4())}, body)


def _seconds(value: object) -> float:
    if isinstance(value, datetime):
        return round(value.timestamp(), 3)
    raise TypeError(f"an answer cannot hold {type(value).__name__}")


def _iso(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    raise TypeError(f"an answer cannot hold {type(value).__name__}")
