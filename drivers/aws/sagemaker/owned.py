"""Everything in a region that carries a lineage in its tags, as deployments: also parts without an endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from drivers.aws.errors import edge
from drivers.aws.sagemaker.facts import Seen
from drivers.aws.sagemaker.names import REVISION
from drivers.aws.tags import DEPLOYMENT, LINEAGE, as_mapping, deployment_from
from drivers.base import Deployment
from drivers.errors import Unavailable

TYPES = ("sagemaker:endpoint", "sagemaker:endpoint-config", "sagemaker:model", "sagemaker:inference-component")


def tagged(client: Any, lineage: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """ARN and tags of all things of the lineage, a hundred to a call."""
    request: dict[str, Any] = {
        "TagFilters": [{"Key": LINEAGE, "Values": [lineage]}],
        "ResourceTypeFilters": list(TYPES),
        "ResourcesPerPage": 100,
    }
    with edge("asking AWS what carries our tags"):
        while True:
            said = client.get_resources(**request)
            for each in said["ResourceTagMappingList"]:
                yield each["ResourceARN"], as_mapping(each["Tags"])
            if not said.get("PaginationToken"):
                return
            request["PaginationToken"] = said["PaginationToken"]


def deployments(things: Mapping[str, Mapping[str, str]], endpoints: Mapping[str, Seen]) -> Iterator[Deployment]:
    """One for each deployment id. Its spec is that of what its endpoint serves: the endpoint's own tags follow at the
    end of an update. Raises Unavailable where nothing of a deployment can be read back."""
    by_id: dict[str, dict[str, Mapping[str, str]]] = {}
    for arn, tags in things.items():
        by_id.setdefault(tags.get(DEPLOYMENT, ""), {})[arn] = tags
    for seen in endpoints.values():
        by_id.setdefault(seen.tags.get(DEPLOYMENT, ""), {}).setdefault(seen.arn, seen.tags)
    configs = {seen.tags.get(DEPLOYMENT): seen.config for seen in endpoints.values()}
    for id, own in by_id.items():
        found = _read(own, configs.get(id, ""))
        if found is None:
            raise Unavailable(f"the tags of {next(iter(own))} were changed by somebody: what it is cannot be read back")
        yield found


def _read(own: Mapping[str, Mapping[str, str]], config: str) -> Deployment | None:
    """The first that can be read: the endpoint where its tags speak of what it serves, the serving configuration, the
    endpoint all the same, then whatever there is."""

    def rank(arn: str) -> int:
        kind, _, name = arn.rpartition(":")[2].partition("/")
        if kind == "endpoint":
            return 0 if own[arn].get(REVISION) == config else 2
        return 1 if kind == "endpoint-config" and name == config else 3

    for arn in sorted(own, key=lambda arn: (rank(arn), arn)):
        found = deployment_from(own[arn])
        if found is not None:
            return found
    return None
