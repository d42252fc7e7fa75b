"""Custom model import: a job that cannot be stopped or deleted, and the model that it makes, which can."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from infra.localaws.bedrock.account import Operate, World
from infra.localaws.bedrock.world import Conflict, Region, Thing, page
from infra.localaws.calls import Call
from infra.localaws.validation import check


def create_job(world: World, call: Call) -> Mapping[str, Any]:
    """Both names must be free; that is our reading of its ConflictException. A job's name stays taken for good."""
    check(call)
    region = world.of(call)

    def make() -> Thing:
        said = call.parameters
        name = said["jobName"]
        if region.find("job", name) is not None:
            raise Conflict(f"A model import job with the name {name} already exists.")
        if region.find("imported model", said["importedModelName"]) is not None:
            raise Conflict(f"An imported model with the name {said['importedModelName']} already exists.")
        arn = region.new_arn("job", name)
        region.tag(arn, said.get("jobTags"))
        due = world.now() + timedelta(seconds=world.around.latencies.create_s)
        return Thing("job", arn, name, said, world.now(), "InProgress", due)

    return {"jobArn": region.once(call, make)}


def settle(world: World, region: Region, now: datetime) -> None:
    for job in region.of("job"):
        if job.due is not None and job.due <= now:
            job.due = None
            _finish(world, region, job)


def _finish(world: World, region: Region, job: Thing) -> None:
    source = job.said["modelDataSource"]["s3DataSource"]["s3Uri"]
    if any(text in source for text in world.broken_sources):
        job.status, job.failure = "Failed", f"No model files in a supported format were found in {source}."
        return
    name = job.said["importedModelName"]
    arn = region.new_arn("imported model", name)
    region.things[arn] = Thing("imported model", arn, name, job.said, world.now(), "ACTIVE", more={"job": job.arn})
    region.tag(arn, job.said.get("importedModelTags"))
    job.status, job.more["model"] = "Completed", arn


def get_job(world: World, call: Call) -> Mapping[str, Any]:
    job = world.of(call).get("job", call.parameters["jobIdentifier"])
    more = {"roleArn": job.said["roleArn"], "modelDataSource": job.said["modelDataSource"]}
    return _job(job) | more | ({"failureMessage": job.failure} if job.failure else {})


def list_jobs(world: World, call: Call) -> Mapping[str, Any]:
    wanted = call.parameters.get("statusEquals")
    rows = [_job(job) for job in world.of(call).of("job") if wanted in (None, job.status)]
    return page(call, rows, "modelImportJobSummaries")


def get_model(world: World, call: Call) -> Mapping[str, Any]:
    model = world.of(call).get("imported model", call.parameters["modelIdentifier"])
    more = {"jobArn": model.more["job"], "modelDataSource": model.said["modelDataSource"]}
    return _model(model) | more | {"jobName": model.said["jobName"]}


def list_models(world: World, call: Call) -> Mapping[str, Any]:
    rows = [_model(model) for model in world.of(call).of("imported model")]
    return page(call, rows, "modelSummaries")


def delete_model(world: World, call: Call) -> Mapping[str, Any]:
    region = world.of(call)
    region.drop(region.get("imported model", call.parameters["modelIdentifier"]))
    return {}


def _job(job: Thing) -> dict[str, Any]:
    said: dict[str, Any] = {
        "jobArn": job.arn,
        "jobName": job.name,
        "status": job.status,
        "creationTime": job.made_at,
        "lastModifiedTime": job.made_at,
        "importedModelName": job.said["importedModelName"],
    }
    return said | ({"importedModelArn": job.more["model"]} if "model" in job.more else {})


def _model(model: Thing) -> dict[str, Any]:
    return {
        "modelArn": model.arn,
        "modelName": model.name,
        "creationTime": model.made_at,
        "instructSupported": True,
        "modelArchitecture": "llama",
    }


OPERATIONS: Mapping[str, Operate] = {
    "CreateModelImportJob": create_job,
    "GetModelImportJob": get_job,
    "ListModelImportJobs": list_jobs,
    "GetImportedModel": get_model,
    "ListImportedModels": list_models,
    "DeleteImportedModel": delete_model,
}
