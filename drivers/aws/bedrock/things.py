"""What the things that a deployment may consist of have in common: how one is seen, marked and marked anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from drivers.aws.bedrock.geography import Target
from drivers.aws.bedrock.shelf import Shelf
from drivers.aws.bedrock.wish import Mode
from drivers.aws.errors import edge
from drivers.aws.tags import PIECE, as_lower_list, deployment_from, is_ours, tags_of
from drivers.base import Deployment
from drivers.errors import Taken

ARN = "arn"
"""The key of the handle for what a deployment has made: known by it, a thing needs no look at its tags."""


class State(Enum):
    """Where a thing stands."""

    ABSENT = "absent"
    STARTING = "starting"
    ACTIVE = "active"
    FAILED = "failed"
    FOREIGN = "foreign"
    """Something has our name and not our tags."""
    UNHEARD_OF = "unheard of"


class Seen(NamedTuple):
    """A thing as AWS shows it."""

    state: State
    arn: str = ""
    detail: str = ""
    model: str = ""
    """Id of the foundation model behind it; empty for weights of one's own."""


ABSENT = Seen(State.ABSENT)


@dataclass(frozen=True, slots=True)
class Owned:
    """A thing that carries tags of ours."""

    tags: Mapping[str, str]
    arn: str


class Kind(Protocol):
    """One kind of thing, with its calls. What changes something is sent once."""

    mode: Mode

    def find(self, shelf: Shelf, deployment: Deployment, *, by_tags: bool = False) -> Seen:
        """The deployment's one, by its name. `by_tags`: ours only if its tags still say so, whatever is remembered."""
        ...

    def make(self, shelf: Shelf, deployment: Deployment, target: Target) -> None:
        """Ask for it; asking twice makes one. Raises Taken where only another deployment can have one."""
        ...

    def remove(self, shelf: Shelf, seen: Seen) -> None:
        """Ask for its removal; what is gone is no error."""
        ...

    def owned(self, shelf: Shelf, lineage: str) -> Iterator[Owned]:
        """All that may carry this lineage in their tags, with these."""
        ...


def whose(shelf: Shelf, deployment: Deployment, seen: Seen, what: str, by_tags: bool) -> Seen:
    """A thing under our name, if it is ours; otherwise that it is not. Tags cost a call for each thing: whoever only
    looks goes by what is remembered, whoever changes something goes by the tags."""
    if seen.state is State.ABSENT or (not by_tags and deployment.handle.get(ARN) == seen.arn):
        return seen
    tags = shelf.tags(seen.arn)
    if tags is None:
        return ABSENT  # a list may show for a while what is gone
    return (
        seen
        if is_ours(tags, deployment)
        else Seen(State.FOREIGN, seen.arn, f"{what} {seen.arn} is there without our tags")
    )


def spent(deployment: Deployment, what: str) -> Taken:
    """What to raise where AWS answers a request with something that is no longer there."""
    return Taken(f"{what} {deployment.name} was made and deleted behind our back, and AWS does not make it twice")


def mark(shelf: Shelf, deployment: Deployment, arn: str) -> None:
    """Put the tags of a changed spec on a thing; what others put there stays.

    Whoever reads them in between reads one spec or the other: the user's own tags that are gone go first, one call then
    changes all of ours, and what is left over of a longer spec is emptied by it before it goes.
    """
    there, wanted = shelf.tags(arn) or {}, tags_of(deployment)
    before = deployment_from(there)
    gone = [key for key in (tags_of(before) if before else ()) if key not in wanted and not key.startswith(PIECE)]
    left_over = [key for key in there if key.startswith(PIECE) and key not in wanted]
    with edge(f"tagging {deployment.name}", changes=True):
        calls = shelf.client.calls
        if gone:
            calls.untag_resource(resourceARN=arn, tagKeys=gone)
        if any(there.get(key) != value for key, value in wanted.items()):
            calls.tag_resource(resourceARN=arn, tags=as_lower_list(wanted | dict.fromkeys(left_over, "")))
        if left_over:
            calls.untag_resource(resourceARN=arn, tagKeys=left_over)
