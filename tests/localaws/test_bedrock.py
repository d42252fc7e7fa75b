"""Bedrock on the local cloud: what it lists, makes, refuses and answers, as far as AWS says how it does that."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any

import pytest
from botocore.credentials import Credentials

from drivers.aws.tokens import mint
from infra.localaws.calls import ACCESS_KEY, SECRET_KEY
from infra.localaws.localaws import LocalAws
from tests.localaws.conftest import Clients
from tests.localaws.hosting import refusal

OSS, NOVA, LLAMA = "openai.gpt-oss-20b-1:0", "amazon.nova-lite-v1:0", "meta.llama3-2-3b-instruct-v1:0"
ARN = f"arn:aws:bedrock:us-east-1::foundation-model/{OSS}"
ROLE = "arn:aws:iam::123456789012:role/imports"
SOURCE = {"s3DataSource": {"s3Uri": "s3://weights/model"}}


@pytest.fixture
def bedrock(cloud: LocalAws, clients: Clients) -> Any:
    cloud.latencies(create_s=10)
    return clients("bedrock")


def make_profile(client: Any, name: str = "p1", source: str = ARN, **given: Any) -> str:
    arn: str = client.create_inference_profile(inferenceProfileName=name, modelSource={"copyFrom": source}, **given)[
        "inferenceProfileArn"
    ]
    return arn


def buy(client: Any, name: str = "t1", units: int = 1, **given: Any) -> str:
    arn: str = client.create_provisioned_model_throughput(
        provisionedModelName=name, modelId=NOVA, modelUnits=units, **given
    )["provisionedModelArn"]
    return arn


def start_import(client: Any, job: str = "j1", model: str = "m1", **given: Any) -> str:
    arn: str = client.create_model_import_job(
        jobName=job, importedModelName=model, roleArn=ROLE, modelDataSource=SOURCE, **given
    )["jobArn"]
    return arn


def chat(
    cloud: LocalAws, model: str, *, region: str = "us-east-1", token: str | None = None, base: str = "/openai/v1"
) -> tuple[int, str]:
    """Status, and what was said or what was wrong."""
    key = mint(Credentials(ACCESS_KEY, SECRET_KEY), "bedrock", region) if token is None else token
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}]})
    connection = HTTPConnection("127.0.0.1", cloud.port, timeout=10)
    try:
        connection.request("POST", f"{base}/chat/completions", body, {"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        said = json.loads(answer.read())
    finally:
        connection.close()
    ok = answer.status == 200
    return answer.status, said["choices"][0]["message"]["content"] if ok else said["error"]["message"]


def test_a_region_lists_its_own_models_and_how_each_is_served(bedrock: Any) -> None:
    listed = {one["modelId"]: one for one in bedrock.list_foundation_models()["modelSummaries"]}
    assert listed[OSS]["inferenceTypesSupported"] == ["ON_DEMAND"]
    assert listed[LLAMA]["inferenceTypesSupported"] == ["INFERENCE_PROFILE"]
    assert listed[NOVA]["inferenceTypesSupported"] == ["ON_DEMAND", "PROVISIONED", "INFERENCE_PROFILE"]
    assert "meta.llama3-1-8b-instruct-v1:0:128k" not in listed, "sold in another region"
    images = bedrock.list_foundation_models(byOutputModality="IMAGE")["modelSummaries"]
    assert [one["outputModalities"] for one in images] == [["IMAGE"]]
    assert bedrock.get_foundation_model(modelIdentifier=OSS)["modelDetails"] == listed[OSS]
    refusal(bedrock.get_foundation_model, code="ResourceNotFoundException", modelIdentifier="a.b")


def test_access_is_granted_until_a_test_takes_it_away(cloud: LocalAws, bedrock: Any) -> None:
    assert bedrock.get_foundation_model_availability(modelId=OSS)["authorizationStatus"] == "AUTHORIZED"
    assert chat(cloud, OSS) == (200, "echo: hello")
    cloud.perform("bedrock-access", model=OSS, agreement="PENDING")
    assert bedrock.get_foundation_model_availability(modelId=OSS)["agreementAvailability"]["status"] == "PENDING"
    assert chat(cloud, OSS) == (403, "You don't have access to the model with the specified model ID.")
    with pytest.raises(KeyError):
        cloud.perform("bedrock-access", model=OSS, licence="AVAILABLE")


def test_system_profiles_lead_into_their_regions(bedrock: Any) -> None:
    listed = {one["inferenceProfileId"]: one for one in bedrock.list_inference_profiles()["inferenceProfileSummaries"]}
    assert [arn["modelArn"].split(":")[3] for arn in listed[f"us.{LLAMA}"]["models"]] == [
        "us-east-1",
        "us-east-2",
        "us-west-2",
    ]
    assert f"eu.{LLAMA}" not in listed, "cannot be called from here"
    assert bedrock.get_inference_profile(inferenceProfileIdentifier=f"us.{LLAMA}")["type"] == "SYSTEM_DEFINED"


def test_an_application_profile_is_made_once_per_token_and_once_per_name(cloud: LocalAws, bedrock: Any) -> None:
    first = make_profile(bedrock, clientRequestToken="t1", tags=[{"key": "a", "value": "b"}])
    assert make_profile(bedrock, clientRequestToken="t1") == first
    assert [entry.kind for entry in cloud.books()] == ["profile"]
    assert "already exists" in refusal(lambda: make_profile(bedrock, clientRequestToken="t2"), code="ConflictException")
    assert bedrock.list_tags_for_resource(resourceARN=first)["tags"] == [{"key": "a", "value": "b"}]
    own = bedrock.list_inference_profiles(typeEquals="APPLICATION")["inferenceProfileSummaries"]
    assert [(one["inferenceProfileName"], one["models"]) for one in own] == [("p1", [{"modelArn": ARN}])]


def test_a_token_that_was_spent_makes_nothing_new(cloud: LocalAws, bedrock: Any) -> None:
    first = make_profile(bedrock, clientRequestToken="t1")
    bedrock.delete_inference_profile(inferenceProfileIdentifier=first)
    assert make_profile(bedrock, clientRequestToken="t1") == first
    assert cloud.books() == ()
    gone = {"code": "ResourceNotFoundException", "inferenceProfileIdentifier": first}
    refusal(bedrock.get_inference_profile, **gone)
    refusal(bedrock.delete_inference_profile, **gone)


def test_a_profile_copies_what_can_be_asked_for_and_nothing_else(bedrock: Any) -> None:
    system = bedrock.get_inference_profile(inferenceProfileIdentifier=f"us.{LLAMA}")
    arn = make_profile(bedrock, source=system["inferenceProfileArn"])
    copied = bedrock.get_inference_profile(inferenceProfileIdentifier=arn)
    assert copied["models"] == system["models"]
    direct = f"arn:aws:bedrock:us-east-1::foundation-model/{LLAMA}"
    assert "on demand" in refusal(lambda: make_profile(bedrock, "p2", direct))
    unknown = "arn:aws:bedrock:us-east-1::foundation-model/a.b"
    refusal(lambda: make_profile(bedrock, "p2", unknown), code="ResourceNotFoundException")


def test_long_lists_come_in_pages(bedrock: Any) -> None:
    for number in range(5):
        make_profile(bedrock, f"p{number}")
    pages = list(
        bedrock.get_paginator("list_inference_profiles").paginate(
            typeEquals="APPLICATION", PaginationConfig={"PageSize": 2}
        )
    )
    assert [len(page["inferenceProfileSummaries"]) for page in pages] == [2, 2, 1]


def test_throughput_is_set_up_serves_costs_and_goes(cloud: LocalAws, bedrock: Any) -> None:
    arn = buy(bedrock, units=2, clientRequestToken="t1")
    assert bedrock.get_provisioned_model_throughput(provisionedModelId="t1")["status"] == "Creating"
    assert chat(cloud, arn)[0] == 400
    refusal(bedrock.delete_provisioned_model_throughput, code="ConflictException", provisionedModelId=arn)
    assert cloud.usd_per_hour() == 42.36
    cloud.advance(10)
    assert bedrock.get_provisioned_model_throughput(provisionedModelId=arn)["status"] == "InService"
    assert chat(cloud, arn) == (200, "echo: hello")
    assert buy(bedrock, units=2, clientRequestToken="t1") == arn
    assert "already in use" in refusal(lambda: buy(bedrock, clientRequestToken="t2"))
    bedrock.update_provisioned_model_throughput(provisionedModelId=arn, desiredProvisionedModelName="t2")
    assert bedrock.get_provisioned_model_throughput(provisionedModelId="t2")["provisionedModelArn"] == arn
    bedrock.delete_provisioned_model_throughput(provisionedModelId=arn)
    assert cloud.books() == ()


def test_a_commitment_keeps_throughput_until_its_end(cloud: LocalAws, bedrock: Any) -> None:
    arn = buy(bedrock, commitmentDuration="OneMonth")
    cloud.advance(10)
    refused = refusal(bedrock.delete_provisioned_model_throughput, code="ConflictException", provisionedModelId=arn)
    assert "commitment term" in refused
    cloud.advance(31 * 86_400)
    bedrock.delete_provisioned_model_throughput(provisionedModelId=arn)


def test_throughput_has_a_quota_and_a_capacity(cloud: LocalAws, bedrock: Any) -> None:
    cloud.quota("bedrock/model-units", 1)
    refusal(lambda: buy(bedrock, units=2), code="ServiceQuotaExceededException")
    cloud.capacity("bedrock/model-units", 0)
    buy(bedrock)
    cloud.advance(10)
    failed = bedrock.get_provisioned_model_throughput(provisionedModelId="t1")
    assert (failed["status"], "not enough capacity" in failed["failureMessage"]) == ("Failed", True)


def test_an_import_makes_a_model_that_serves_and_keeps_its_jobs_name_for_good(cloud: LocalAws, bedrock: Any) -> None:
    job = start_import(bedrock, importedModelTags=[{"key": "a", "value": "b"}])
    assert bedrock.get_model_import_job(jobIdentifier="j1")["status"] == "InProgress"
    assert [entry.kind for entry in cloud.books()] == ["job"]
    cloud.advance(10)
    done = bedrock.get_model_import_job(jobIdentifier=job)
    assert done["status"] == "Completed"
    model = bedrock.get_imported_model(modelIdentifier="m1")["modelArn"]
    assert done["importedModelArn"] == model
    assert bedrock.list_tags_for_resource(resourceARN=model)["tags"] == [{"key": "a", "value": "b"}]
    assert chat(cloud, model) == (200, "echo: hello")
    bedrock.delete_imported_model(modelIdentifier=model)
    assert cloud.books() == ()
    assert "job with the name j1" in refusal(lambda: start_import(bedrock, model="m2"), code="ConflictException")
    assert bedrock.list_model_import_jobs(statusEquals="InProgress")["modelImportJobSummaries"] == []


def test_an_import_of_what_is_no_model_fails(cloud: LocalAws, bedrock: Any) -> None:
    cloud.perform("bedrock-break-import", source="weights")
    start_import(bedrock)
    cloud.advance(10)
    failed = bedrock.get_model_import_job(jobIdentifier="j1")
    assert (failed["status"], "s3://weights/model" in failed["failureMessage"]) == ("Failed", True)
    assert bedrock.list_imported_models()["modelSummaries"] == []
    assert cloud.books() == ()


def test_tags_are_put_on_and_taken_off(bedrock: Any) -> None:
    arn = make_profile(bedrock)
    bedrock.tag_resource(resourceARN=arn, tags=[{"key": str(number), "value": ""} for number in range(50)])
    refusal(bedrock.tag_resource, code="TooManyTagsException", resourceARN=arn, tags=[{"key": "more", "value": ""}])
    bedrock.untag_resource(resourceARN=arn, tagKeys=[str(number) for number in range(1, 50)])
    assert bedrock.list_tags_for_resource(resourceARN=arn)["tags"] == [{"key": "0", "value": ""}]


def test_the_url_answers_to_every_kind_of_model_id(cloud: LocalAws, bedrock: Any) -> None:
    assert chat(cloud, f"us.{LLAMA}") == (200, "echo: hello")
    assert chat(cloud, make_profile(bedrock)) == (200, "echo: hello")
    status, said = chat(cloud, LLAMA)
    assert (status, "on-demand throughput isn't supported" in said) == (400, True)
    assert chat(cloud, "nobody.knows-this") == (400, "The provided model identifier is invalid.")
    assert chat(cloud, "openai.gpt-oss-20b", base="/v1") == (200, "echo: hello")
    assert chat(cloud, OSS, base="/v1")[0] == 404


def test_the_url_asks_for_a_token_of_its_own_region(cloud: LocalAws, bedrock: Any) -> None:
    assert chat(cloud, OSS, token="")[0] == 403
    assert chat(cloud, OSS, token="bedrock-api-key-bm9wZQ==")[0] == 403
    stranger = mint(Credentials("AKIANOBODY", SECRET_KEY), "bedrock", "us-east-1")
    assert chat(cloud, OSS, token=stranger)[0] == 403
    profile = make_profile(bedrock)
    assert chat(cloud, profile, region="us-west-2")[0] == 400, "nobody there knows it"


def test_a_model_can_be_taken_from_the_lists(cloud: LocalAws, bedrock: Any) -> None:
    cloud.perform("bedrock-model", model=OSS, listed=False)
    assert OSS not in {one["modelId"] for one in bedrock.list_foundation_models()["modelSummaries"]}
    cloud.perform("bedrock-model", model=OSS, status="LEGACY", ends="2026-01-31")
    (found,) = [one for one in bedrock.list_foundation_models()["modelSummaries"] if one["modelId"] == OSS]
    assert found["modelLifecycle"]["endOfLifeTime"].year == 2026
    cloud.reset()
    assert bedrock.get_foundation_model(modelIdentifier=OSS)["modelDetails"]["modelLifecycle"] == {"status": "ACTIVE"}
