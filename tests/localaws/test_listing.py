"""Lists, Search and tags of SageMaker, with the pages and the lag that AWS has."""

from __future__ import annotations

from typing import Any

from infra.localaws.localaws import LocalAws
from tests.localaws.conftest import Clients
from tests.localaws.hosting import IMAGE, ROLE, make_config, make_endpoint, refusal, status

OWNER = {"Key": "cmr:owner", "Value": "compose-model-reconciler"}


def by_owner(**more: Any) -> dict[str, Any]:
    one = {"Name": "Tags.cmr:owner", "Operator": "Equals", "Value": OWNER["Value"]}
    return {"Resource": "Endpoint", "SearchExpression": {"Filters": [one]}, **more}


def make_many(client: Any, count: int) -> None:
    make_config(client)
    for number in range(count):
        client.create_endpoint(EndpointName=f"e{number:03}", EndpointConfigName="c1", Tags=[OWNER])


def test_lists_have_ten_to_a_page_unless_more_are_asked_for(cloud: LocalAws, sagemaker: Any) -> None:
    make_many(sagemaker, 25)
    first = sagemaker.list_endpoints()
    assert len(first["Endpoints"]) == 10
    assert len(sagemaker.list_endpoints(NextToken=first["NextToken"])["Endpoints"]) == 10
    whole = sagemaker.list_endpoints(MaxResults=100)
    assert len(whole["Endpoints"]) == 25
    assert "NextToken" not in whole


def test_lists_filter_by_name_and_status(cloud: LocalAws, sagemaker: Any) -> None:
    make_many(sagemaker, 3)
    cloud.advance(300)
    sagemaker.delete_endpoint(EndpointName="e001")
    found = sagemaker.list_endpoints(StatusEquals="InService", NameContains="e00", SortBy="Name", SortOrder="Ascending")
    assert [one["EndpointName"] for one in found["Endpoints"]] == ["e000", "e002"]
    assert [one["EndpointConfigName"] for one in sagemaker.list_endpoint_configs()["EndpointConfigs"]] == ["c1"]
    assert [one["ModelName"] for one in sagemaker.list_models()["Models"]] == ["m1"]


def test_search_finds_by_tag_a_hundred_to_a_page(cloud: LocalAws, sagemaker: Any) -> None:
    make_many(sagemaker, 101)
    sagemaker.create_endpoint(EndpointName="somebody-elses", EndpointConfigName="c1")
    cloud.advance(300)
    first = sagemaker.search(**by_owner())
    second = sagemaker.search(**by_owner(NextToken=first["NextToken"]))
    assert (len(first["Results"]), len(second["Results"])) == (100, 1)
    record = first["Results"][0]["Endpoint"]
    assert (record["EndpointName"], record["EndpointStatus"], record["EndpointConfigName"]) == (
        "e000",
        "InService",
        "c1",
    )
    assert record["Tags"] == [OWNER]


def test_search_lags_behind_when_told_to(cloud: LocalAws, sagemaker: Any) -> None:
    cloud.latencies(index_s=30)
    make_many(sagemaker, 1)
    assert sagemaker.search(**by_owner())["Results"] == []
    cloud.advance(30)
    assert sagemaker.search(**by_owner())["Results"][0]["Endpoint"]["EndpointStatus"] == "Creating"
    cloud.advance(270)
    assert status(sagemaker, "e000") == "InService"
    assert sagemaker.search(**by_owner())["Results"][0]["Endpoint"]["EndpointStatus"] == "Creating"
    cloud.advance(30)
    sagemaker.delete_endpoint(EndpointName="e000")
    cloud.advance(60)
    assert refusal(sagemaker.describe_endpoint, EndpointName="e000").startswith("Could not find")
    assert len(sagemaker.search(**by_owner())["Results"]) == 1
    cloud.advance(30)
    assert sagemaker.search(**by_owner())["Results"] == []


def test_search_understands_or_and_absence(cloud: LocalAws, sagemaker: Any) -> None:
    make_many(sagemaker, 2)
    make_endpoint(sagemaker, "other")
    untagged = {"Name": "Tags.cmr:owner", "Operator": "NotExists"}
    named = {"Name": "EndpointName", "Operator": "Equals", "Value": "e001"}
    found = sagemaker.search(Resource="Endpoint", SearchExpression={"Filters": [untagged, named], "Operator": "Or"})
    assert [one["Endpoint"]["EndpointName"] for one in found["Results"]] == ["e001", "other"]


def test_tags_come_with_the_creation_and_can_be_changed(cloud: LocalAws, sagemaker: Any) -> None:
    make_many(sagemaker, 1)
    arn = sagemaker.describe_endpoint(EndpointName="e000")["EndpointArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "more", "Value": "1"}])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [OWNER, {"Key": "more", "Value": "1"}]
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["cmr:owner"])
    assert sagemaker.search(**by_owner())["Results"] == []


def test_tag_keys_are_held_to_their_characters(sagemaker: Any) -> None:
    make_config(sagemaker)
    given = {"EndpointName": "e1", "EndpointConfigName": "c1", "Tags": [{"Key": "no#hash", "Value": ""}]}
    assert "at 'tags.1.member.key'" in refusal(sagemaker.create_endpoint, **given)


def test_tagging_service_knows_models_and_configs_too(cloud: LocalAws, sagemaker: Any, clients: Clients) -> None:
    """What Search does not find, and a driver has to, after a crash between two creations."""
    sagemaker.create_model(ModelName="m1", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE}, Tags=[OWNER])
    variant = {"VariantName": "v", "ModelName": "m1", "InstanceType": "ml.g6.xlarge", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="c1", ProductionVariants=[variant], Tags=[OWNER])
    make_endpoint(sagemaker, "somebody-elses")
    tagged = {"TagFilters": [{"Key": OWNER["Key"], "Values": [OWNER["Value"]]}]}
    look = lambda: clients("resourcegroupstaggingapi").get_resources(**tagged)["ResourceTagMappingList"]  # noqa: E731
    assert [one["ResourceARN"].rpartition(":")[2] for one in look()] == ["model/m1", "endpoint-config/c1"]
    cloud.latencies(index_s=30)
    assert look() == []
    cloud.advance(30)
    assert len(look()) == 2
