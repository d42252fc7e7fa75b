"""Application inference profiles: a name, tags and a bill of their own for requests to one model.

AWS knows a profile by an id of its own choice, so it is looked for by name in the account's list. The request token
makes a repeated create one profile, also where the list does not show it yet.
"""

from __future__ import annotations

from collections.abc import Iterator

from drivers.aws.bedrock.geography import Target
from drivers.aws.bedrock.shelf import GONE, Row, Shelf
from drivers.aws.bedrock.things import ABSENT, ARN, Owned, Seen, State, spent, whose
from drivers.aws.bedrock.wish import Mode
from drivers.aws.errors import code_of, edge
from drivers.aws.tags import as_lower_list, tags_of
from drivers.base import Deployment
from drivers.errors import Taken

MARK = "compose-model-reconciler"
"""With the lineage, the description: the list shows it, nobody can change it, and so only the tags of these need be
read."""


class Profiles:
    """Application inference profiles as a deployment's one thing."""

    mode = Mode.PROFILE

    def find(self, shelf: Shelf, deployment: Deployment, *, by_tags: bool = False) -> Seen:
        named = [row for row in shelf.own_profiles if row["inferenceProfileName"] == deployment.name]
        remembered = deployment.handle.get(ARN, "")
        if ":application-inference-profile/" in remembered and not named:
            found = shelf.one("get_inference_profile", inferenceProfileIdentifier=remembered)
            named = [found] if found is not None else []
        seen = [whose(shelf, deployment, _seen(row), "the inference profile", by_tags) for row in named]
        ours = [one for one in seen if one.state not in (State.ABSENT, State.FOREIGN)]
        return next(iter([*ours, *(one for one in seen if one.state is State.FOREIGN)]), ABSENT)

    def make(self, shelf: Shelf, deployment: Deployment, target: Target) -> None:
        with edge(f"creating the inference profile {deployment.name}", changes=True):
            try:
                made = shelf.client.calls.create_inference_profile(
                    inferenceProfileName=deployment.name,
                    description=f"{MARK} {deployment.lineage}",
                    clientRequestToken=deployment.id,
                    modelSource={"copyFrom": target.source},
                    tags=as_lower_list(tags_of(deployment)),
                )
            except shelf.client.calls.exceptions.ConflictException as conflict:
                raise Taken(f"an inference profile of the name {deployment.name} is somebody else's") from conflict
        arn = made["inferenceProfileArn"]
        if shelf.one("get_inference_profile", inferenceProfileIdentifier=arn) is None:
            raise spent(deployment, "the inference profile")

    def remove(self, shelf: Shelf, seen: Seen) -> None:
        with edge(f"deleting the inference profile {seen.arn}", changes=True):
            try:
                shelf.client.calls.delete_inference_profile(inferenceProfileIdentifier=seen.arn)
            except shelf.client.calls.exceptions.ClientError as error:
                if code_of(error) != GONE:
                    raise

    def owned(self, shelf: Shelf, lineage: str) -> Iterator[Owned]:
        for row in shelf.own_profiles:
            if row.get("description") == f"{MARK} {lineage}":
                yield Owned(shelf.tags(row["inferenceProfileArn"]) or {}, row["inferenceProfileArn"])


def _seen(row: Row) -> Seen:
    arn, model = row["inferenceProfileArn"], row["models"][0]["modelArn"].rpartition("/")[2]
    if row["status"] != "ACTIVE":
        return Seen(State.UNHEARD_OF, arn, f"AWS calls its inference profile {row['status']}", model)
    return Seen(State.ACTIVE, arn, model=model)
