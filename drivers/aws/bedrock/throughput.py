"""Provisioned throughput: model units paid for by the hour until they are deleted. Never with a commitment, which could
not be deleted before its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from drivers.aws.bedrock.geography import Target
from drivers.aws.bedrock.shelf import GONE, Row, Shelf
from drivers.aws.bedrock.things import ABSENT, ARN, Owned, Seen, State, spent, whose
from drivers.aws.bedrock.wish import Mode
from drivers.aws.errors import code_of, edge, message_of, says
from drivers.aws.tags import as_lower_list, tags_of
from drivers.base import Deployment
from drivers.errors import Taken, Unavailable

_STATES: Mapping[str, State] = MappingProxyType(
    {"Creating": State.STARTING, "InService": State.ACTIVE, "Updating": State.ACTIVE, "Failed": State.FAILED}
)


class Throughputs:
    """Provisioned throughput as a deployment's one thing. `units` come from the spec."""

    mode = Mode.PROVISIONED

    def find(self, shelf: Shelf, deployment: Deployment, *, by_tags: bool = False) -> Seen:
        row = shelf.throughputs.get(deployment.name)
        if row is None or row["status"] == "Failed":  # only the whole description says why
            row = shelf.one("get_provisioned_model_throughput", provisionedModelId=deployment.name)
        if row is None and ":provisioned-model/" in deployment.handle.get(ARN, ""):  # AWS lets people rename it
            row = shelf.one("get_provisioned_model_throughput", provisionedModelId=deployment.handle[ARN])
        if row is None:
            return ABSENT
        return whose(shelf, deployment, _seen(row), "the provisioned throughput", by_tags)

    def make(self, shelf: Shelf, deployment: Deployment, target: Target) -> None:
        units = int(deployment.spec.options["cloud.throughput"].partition(":")[2])
        with edge(f"buying {units} model units for {deployment.name}", changes=True):
            try:
                made = shelf.client.calls.create_provisioned_model_throughput(
                    provisionedModelName=deployment.name,
                    modelId=target.sends,
                    modelUnits=units,
                    clientRequestToken=deployment.id,
                    tags=as_lower_list(tags_of(deployment)),
                )
            except shelf.client.calls.exceptions.ClientError as error:
                if says(error, "already in use", "already exists"):
                    raise Taken(f"provisioned throughput of the name {deployment.name} is somebody else's") from error
                raise
        arn = made["provisionedModelArn"]
        if shelf.one("get_provisioned_model_throughput", provisionedModelId=arn) is None:
            raise spent(deployment, "the provisioned throughput")

    def remove(self, shelf: Shelf, seen: Seen) -> None:
        with edge(f"deleting the provisioned throughput {seen.arn}", changes=True):
            try:
                shelf.client.calls.delete_provisioned_model_throughput(provisionedModelId=seen.arn)
            except shelf.client.calls.exceptions.ClientError as error:
                if code_of(error) == "ConflictException":
                    raise Unavailable(f"AWS does not delete it yet, and bills it on: {message_of(error)}") from error
                if code_of(error) != GONE:
                    raise

    def owned(self, shelf: Shelf, lineage: str) -> Iterator[Owned]:
        for row in shelf.throughputs.values():
            yield Owned(shelf.tags(row["provisionedModelArn"]) or {}, row["provisionedModelArn"])


def _seen(row: Row) -> Seen:
    status = row["status"]
    state = _STATES.get(status, State.UNHEARD_OF)
    details = {
        State.STARTING: "AWS is setting up the model units",
        State.FAILED: row.get("failureMessage", "AWS could not set up the model units"),
        State.UNHEARD_OF: f"AWS calls its provisioned throughput {status}",
    }
    model = row["foundationModelArn"].rpartition("/")[2]
    return Seen(state, row["provisionedModelArn"], details.get(state, ""), model)
