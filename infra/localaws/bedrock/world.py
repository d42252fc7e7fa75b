"""What exists in one region of this Bedrock: things with tags, by ARN, and the request tokens that made them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from infra.localaws.calls import ACCOUNT, Call
from infra.localaws.errors import AwsError

PATHS = {
    "profile": "application-inference-profile",
    "throughput": "provisioned-model",
    "job": "model-import-job",
    "imported model": "imported-model",
}
"""Kind to the part of an ARN that says it."""
MOST_PER_PAGE = 1000


class NotFound(AwsError):
    def __init__(self, message: str) -> None:
        super().__init__("ResourceNotFoundException", message, 404)


class Conflict(AwsError):
    def __init__(self, message: str) -> None:
        super().__init__("ConflictException", message, 409)


@dataclass(slots=True)
class Thing:
    """One thing: what its create call said, and where it stands. `due` is when its next state is reached."""

    kind: str
    arn: str
    name: str
    said: Mapping[str, Any]
    made_at: datetime
    status: str
    due: datetime | None = None
    failure: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.arn.rpartition("/")[2]


class Region:
    """All things of one region."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.things: dict[str, Thing] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self._tokens: dict[tuple[str, str], str] = {}
        self._made = 0

    def of(self, kind: str) -> Iterator[Thing]:
        return (thing for thing in tuple(self.things.values()) if thing.kind == kind)

    def find(self, kind: str, named: str) -> Thing | None:
        """By name, id or ARN."""
        return next((thing for thing in self.of(kind) if named in (thing.name, thing.id, thing.arn)), None)

    def get(self, kind: str, named: str) -> Thing:
        """The same. Raises NotFound."""
        found = self.find(kind, named)
        if found is None:
            raise NotFound(f"The {kind} {named} was not found.")
        return found

    def once(self, call: Call, make: Callable[[], Thing]) -> str:
        """The ARN that a create call comes to. A token that was used before names what was made then, whatever else the
        call says and whether or not that is still there: "Amazon Bedrock ignores the request, but does not return an
        error" (API reference, clientRequestToken)."""
        key = (call.operation, call.parameters.get("clientRequestToken", ""))
        if not key[1] or key not in self._tokens:
            thing = make()
            self.things[thing.arn] = thing
            self._tokens[key] = thing.arn
        return self._tokens[key]

    def new_arn(self, kind: str, name: str) -> str:
        """The id is AWS's own, twelve characters that nobody could have known."""
        self._made += 1
        id = hashlib.sha256(f"{self.name}/{kind}/{name}/{self._made}".encode()).hexdigest()[:12]
        return f"arn:aws:bedrock:{self.name}:{ACCOUNT}:{PATHS[kind]}/{id}"

    def tag(self, arn: str, tags: list[Mapping[str, str]] | None) -> None:
        self.tags.setdefault(arn, {}).update({tag["key"]: tag["value"] for tag in tags or ()})

    def drop(self, thing: Thing) -> None:
        del self.things[thing.arn]
        self.tags.pop(thing.arn, None)


def page(call: Call, rows: list[dict[str, Any]], key: str) -> dict[str, Any]:
    """One page of a list, as `maxResults` and `nextToken` ask for it; 100 a page where nobody says."""
    begin = int(call.parameters.get("nextToken", "0"))
    size = min(int(call.parameters.get("maxResults", 100)), MOST_PER_PAGE)
    answer: dict[str, Any] = {key: rows[begin : begin + size]}
    return answer | ({"nextToken": str(begin + size)} if begin + size < len(rows) else {})
