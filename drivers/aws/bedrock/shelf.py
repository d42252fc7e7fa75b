"""What Bedrock lists in one place, each list read when it is first wanted and then kept: as old as the object is.

One look at hundreds of deployments shares them. What a list does not have is asked for by name before anybody believes
that it is absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from drivers.aws.clients import Client
from drivers.aws.errors import code_of, edge
from drivers.aws.tags import as_mapping

PAGE = 1000
"""The most that one page of these lists can have."""
GONE = "ResourceNotFoundException"
Row = Mapping[str, Any]


class Shelf:
    """The lists of one region. Raises `drivers.errors` where they cannot be read."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._tags: dict[str, Mapping[str, str] | None] = {}

    @property
    def region(self) -> str:
        return self.client.region

    @cached_property
    def models(self) -> Mapping[str, Row]:
        """Foundation models by id. The list has no pages."""
        with edge("listing Bedrock's models"):
            found = self.client.reads.list_foundation_models()["modelSummaries"]
        return {model["modelId"]: model for model in found}

    @cached_property
    def system_profiles(self) -> tuple[Row, ...]:
        """AWS's own inference profiles."""
        return self._profiles("SYSTEM_DEFINED")

    @cached_property
    def own_profiles(self) -> tuple[Row, ...]:
        """The account's application inference profiles."""
        return self._profiles("APPLICATION")

    def profiles(self, wanted: str) -> Mapping[str, Row]:
        """All that may be named in `cloud.inference-profile`, by id and by ARN; the account's own only where an ARN is
        wanted that is not AWS's."""
        rows = self.system_profiles
        if ":application-inference-profile/" in wanted:
            rows = (*rows, *self.own_profiles)
        return {row[key]: row for row in rows for key in ("inferenceProfileId", "inferenceProfileArn")}

    @cached_property
    def throughputs(self) -> Mapping[str, Row]:
        """Provisioned throughput by name."""
        rows = self._pages("list_provisioned_model_throughputs", "provisionedModelSummaries")
        return {row["provisionedModelName"]: row for row in rows}

    @cached_property
    def imported(self) -> Mapping[str, Row]:
        """Imported models by name."""
        return {row["modelName"]: row for row in self._pages("list_imported_models", "modelSummaries")}

    @cached_property
    def running_jobs(self) -> tuple[Row, ...]:
        """Imports that are under way."""
        return tuple(self._pages("list_model_import_jobs", "modelImportJobSummaries", statusEquals="InProgress"))

    def one(self, operation: str, **named: str) -> Row | None:
        """What a Get of Bedrock's says of one thing; None where AWS says that there is none."""
        with edge(f"asking Bedrock ({operation})"):
            try:
                found: Row = getattr(self.client.reads, operation)(**named)
                return found
            except self.client.reads.exceptions.ClientError as error:
                if code_of(error) == GONE:
                    return None
                raise

    def tags(self, arn: str) -> Mapping[str, str] | None:
        """The tags of a thing; None where AWS says that there is no such thing, whatever a list still shows."""
        if arn not in self._tags:
            found = self.one("list_tags_for_resource", resourceARN=arn)
            self._tags[arn] = as_mapping(found["tags"]) if found is not None else None
        return self._tags[arn]

    def _profiles(self, kind: str) -> tuple[Row, ...]:
        return tuple(self._pages("list_inference_profiles", "inferenceProfileSummaries", typeEquals=kind))

    def _pages(self, operation: str, key: str, **given: str) -> Iterator[Row]:
        with edge(f"asking Bedrock ({operation})"):
            pages = self.client.reads.get_paginator(operation).paginate(PaginationConfig={"PageSize": PAGE}, **given)
            for page in pages:
                yield from page[key]
