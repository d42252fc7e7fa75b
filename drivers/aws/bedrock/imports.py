"""Custom model import: a job reads weights from S3 and makes an imported model, which serves when it is asked.

    import job (name)  ──►  imported model (the same name)

A job can be neither stopped nor deleted: what it makes is deleted once it has ended, and the job stays in AWS's
history, with its name, at no cost. The model's name decides; the job only says how its making goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drivers.aws.bedrock.geography import Target
from drivers.aws.bedrock.shelf import GONE, Row, Shelf
from drivers.aws.bedrock.things import ABSENT, Owned, Seen, State, spent, whose
from drivers.aws.bedrock.wish import Mode
from drivers.aws.errors import code_of, edge
from drivers.aws.settings import AwsSettings
from drivers.aws.tags import as_lower_list, tags_of
from drivers.base import Deployment
from drivers.errors import Denied, Taken

REMOVED = "removed"
"""The key of the handle that says that a deployment was deleted: a job that failed is history then, and no trouble."""
UNDER_WAY = "AWS is importing the weights"


class Imports:
    """An imported model, and the job that makes it, as a deployment's one thing."""

    mode = Mode.IMPORT

    def __init__(self, settings: AwsSettings) -> None:
        self._settings = settings

    def find(self, shelf: Shelf, deployment: Deployment, *, by_tags: bool = False) -> Seen:
        model = shelf.imported.get(deployment.name) or shelf.one("get_imported_model", modelIdentifier=deployment.name)
        if model is not None:
            return whose(shelf, deployment, Seen(State.ACTIVE, model["modelArn"]), "the imported model", by_tags)
        job = _job(shelf, deployment)
        if job is None:
            return ABSENT
        return whose(shelf, deployment, _seen(job, deployment), "the import", by_tags)

    def make(self, shelf: Shelf, deployment: Deployment, target: Target) -> None:
        job = _job(shelf, deployment)
        if job is not None:  # it has ended, and its model is gone: the name is used up
            raise spent(deployment, "the imported model")
        with edge(f"importing {deployment.spec.options['cloud.model-source']}", changes=True):
            try:
                shelf.client.calls.create_model_import_job(**self._request(deployment))
            except shelf.client.calls.exceptions.ConflictException as conflict:
                raise Taken(f"an import of the name {deployment.name} is somebody else's") from conflict

    def _request(self, deployment: Deployment) -> dict[str, Any]:
        role = self._settings.entry("roles", "cloud.role", deployment.spec)
        if role is None:
            raise Denied("an import needs a role that may read the bucket: the settings have none (aws.roles.default)")
        tags = as_lower_list(tags_of(deployment))
        request: dict[str, Any] = {
            "jobName": deployment.name,
            "importedModelName": deployment.name,
            "roleArn": role,
            "modelDataSource": {"s3DataSource": {"s3Uri": deployment.spec.options["cloud.model-source"]}},
            "jobTags": tags,
            "importedModelTags": tags,
            "clientRequestToken": deployment.id,
        }
        key = self._settings.entry("kms_keys", "cloud.kms-key", deployment.spec)
        return request | ({"importedModelKmsKeyId": key} if key is not None else {})

    def remove(self, shelf: Shelf, seen: Seen) -> None:
        if ":model-import-job/" in seen.arn:
            return  # cannot be stopped; its model is deleted when it is there
        with edge(f"deleting the imported model {seen.arn}", changes=True):
            try:
                shelf.client.calls.delete_imported_model(modelIdentifier=seen.arn)
            except shelf.client.calls.exceptions.ClientError as error:
                if code_of(error) != GONE:
                    raise

    def owned(self, shelf: Shelf, lineage: str) -> Iterator[Owned]:
        for row in shelf.imported.values():
            yield Owned(shelf.tags(row["modelArn"]) or {}, row["modelArn"])
        for row in shelf.running_jobs:
            yield Owned(shelf.tags(row["jobArn"]) or {}, row["jobArn"])


def _job(shelf: Shelf, deployment: Deployment) -> Row | None:
    return shelf.one("get_model_import_job", jobIdentifier=deployment.name)


def _seen(job: Row, deployment: Deployment) -> Seen:
    status = job["status"]
    if status == "InProgress":
        return Seen(State.STARTING, job["jobArn"], UNDER_WAY)
    if status == "Completed":
        return ABSENT  # and its model is not there any more
    if status != "Failed":
        return Seen(State.UNHEARD_OF, job["jobArn"], f"AWS calls its import {status}")
    if REMOVED in deployment.handle:
        return ABSENT
    return Seen(State.FAILED, job["jobArn"], f"the import failed: {job.get('failureMessage', 'AWS does not say why')}")
