"""SageMaker's endpoints over time: created, updated, rolled back, deleted, as AWS does it."""

from __future__ import annotations

from typing import Any

import pytest

from infra.localaws.localaws import LocalAws
from tests.localaws.hosting import VARIANT, make_config, make_endpoint, make_model, refusal, status

ARN = "arn:aws:sagemaker:us-east-1:123456789012"
BUSY = f'Cannot update in-progress endpoint "{ARN}:endpoint/e1".'


def described(client: Any, name: str = "e1") -> dict[str, Any]:
    said: dict[str, Any] = client.describe_endpoint(EndpointName=name)
    return said


def in_service(cloud: LocalAws, client: Any, **variant: Any) -> None:
    make_config(client, "c1", **variant)
    make_endpoint(client)
    cloud.advance(300)
    assert status(client) == "InService"


def test_endpoint_is_creating_and_then_in_service(cloud: LocalAws, sagemaker: Any) -> None:
    make_endpoint(sagemaker)
    cloud.advance(299)
    before = described(sagemaker)
    assert before["EndpointStatus"] == "Creating"
    assert "ProductionVariants" not in before
    cloud.advance(1)
    after = described(sagemaker)
    assert after["EndpointStatus"] == "InService"
    assert after["ProductionVariants"][0]["CurrentInstanceCount"] == 1


def test_real_time_will_do_where_latencies_are_short(cloud: LocalAws, sagemaker: Any) -> None:
    cloud.latencies(create_s=0)
    make_endpoint(sagemaker)
    assert status(sagemaker) == "InService"


def test_second_endpoint_of_a_name_is_refused_whatever_its_case(cloud: LocalAws, sagemaker: Any) -> None:
    """Names are "unique within an Amazon Web Services Region" and "case-insensitive in CreateEndpoint" (reference); the
    words are those of terraform-provider-aws #40080."""
    make_endpoint(sagemaker)
    for name in ("e1", "E1"):
        said = refusal(sagemaker.create_endpoint, EndpointName=name, EndpointConfigName="c1")
        assert said == f'Cannot create already existing endpoint "{ARN}:endpoint/e1".'


def test_endpoint_of_a_missing_config_is_refused(sagemaker: Any) -> None:
    said = refusal(sagemaker.create_endpoint, EndpointName="e1", EndpointConfigName="gone")
    assert said == f'Could not find endpoint configuration "{ARN}:endpoint-config/gone".'


def test_lack_of_capacity_leaves_a_failed_endpoint_with_the_reason(cloud: LocalAws, sagemaker: Any) -> None:
    cloud.capacity("ml.g6.xlarge", 0)
    make_endpoint(sagemaker)
    cloud.advance(300)
    said = described(sagemaker)
    assert said["EndpointStatus"] == "Failed"
    assert said["FailureReason"].startswith("Unable to provision requested ML compute capacity")
    assert cloud.usd_per_hour() == 0


def test_failed_endpoint_can_only_be_deleted(cloud: LocalAws, sagemaker: Any) -> None:
    cloud.capacity("ml.g6.xlarge", 0)
    make_endpoint(sagemaker)
    cloud.advance(300)
    make_config(sagemaker, "c2")
    assert "failed" in refusal(sagemaker.update_endpoint, EndpointName="e1", EndpointConfigName="c2")
    sagemaker.delete_endpoint(EndpointName="e1")
    cloud.advance(60)
    assert refusal(sagemaker.describe_endpoint, EndpointName="e1").startswith("Could not find endpoint")


def test_instance_pools_fall_back_by_priority(cloud: LocalAws, sagemaker: Any) -> None:
    cloud.capacity("ml.g6e.xlarge", 1)
    pools = [{"InstanceType": "ml.g6.xlarge", "Priority": 2}, {"InstanceType": "ml.g6e.xlarge", "Priority": 1}]
    in_service(cloud, sagemaker, InstancePools=pools, InitialInstanceCount=2)
    variant = described(sagemaker)["ProductionVariants"][0]
    counts = {pool["InstanceType"]: pool["CurrentInstanceCount"] for pool in variant["InstancePools"]}
    assert counts == {"ml.g6e.xlarge": 1, "ml.g6.xlarge": 1}


def test_quota_refuses_at_once_with_the_figures(cloud: LocalAws, sagemaker: Any) -> None:
    cloud.quota("ml.g6.xlarge", 1)
    make_endpoint(sagemaker, "first")
    cloud.advance(300)
    said = refusal(
        sagemaker.create_endpoint, code="ResourceLimitExceeded", EndpointName="second", EndpointConfigName="c1"
    )
    assert "'ml.g6.xlarge for endpoint usage' is 1 Instances, with current utilization of 1 Instances" in said


def test_update_serves_the_old_config_until_the_new_one_is_in_service(cloud: LocalAws, sagemaker: Any) -> None:
    in_service(cloud, sagemaker)
    make_config(sagemaker, "c2", InitialInstanceCount=2)
    rolling = {
        "RollingUpdatePolicy": {"MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1}, "WaitIntervalInSeconds": 0}
    }
    sagemaker.update_endpoint(EndpointName="e1", EndpointConfigName="c2", DeploymentConfig=rolling)
    during = described(sagemaker)
    assert (during["EndpointStatus"], during["EndpointConfigName"]) == ("Updating", "c1")
    assert during["PendingDeploymentSummary"]["EndpointConfigName"] == "c2"
    cloud.advance(300)
    after = described(sagemaker)
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", "c2")
    assert after["ProductionVariants"][0]["DesiredInstanceCount"] == 2
    assert after["LastDeploymentConfig"] == rolling
    assert "PendingDeploymentSummary" not in after


def test_update_without_capacity_rolls_back_and_says_why(cloud: LocalAws, sagemaker: Any) -> None:
    in_service(cloud, sagemaker)
    make_config(sagemaker, "c2", InstanceType="ml.p5.48xlarge")
    cloud.capacity("ml.p5.48xlarge", 0)
    sagemaker.update_endpoint(EndpointName="e1", EndpointConfigName="c2")
    cloud.advance(300)
    after = described(sagemaker)
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", "c1")
    assert after["FailureReason"].startswith("Unable to provision")


def test_next_good_update_takes_the_reason_away(cloud: LocalAws, sagemaker: Any) -> None:
    in_service(cloud, sagemaker)
    make_config(sagemaker, "c2", InstanceType="ml.p5.48xlarge")
    for instances in (0, None):
        cloud.capacity("ml.p5.48xlarge", instances)
        sagemaker.update_endpoint(EndpointName="e1", EndpointConfigName="c2")
        cloud.advance(300)
    after = described(sagemaker)
    assert (after["EndpointConfigName"], after.get("FailureReason")) == ("c2", None)


def test_blue_green_needs_both_fleets_and_rolling_does_not(cloud: LocalAws, sagemaker: Any) -> None:
    in_service(cloud, sagemaker)
    make_config(sagemaker, "c2")
    cloud.quota("ml.g6.xlarge", 1)
    refusal(sagemaker.update_endpoint, code="ResourceLimitExceeded", EndpointName="e1", EndpointConfigName="c2")
    rolling = {
        "RollingUpdatePolicy": {"MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1}, "WaitIntervalInSeconds": 0}
    }
    sagemaker.update_endpoint(EndpointName="e1", EndpointConfigName="c2", DeploymentConfig=rolling)


def test_old_config_deleted_during_an_update_makes_it_fail(cloud: LocalAws, sagemaker: Any) -> None:
    """terraform-provider-aws #40048."""
    in_service(cloud, sagemaker)
    make_config(sagemaker, "c2")
    sagemaker.update_endpoint(EndpointName="e1", EndpointConfigName="c2")
    sagemaker.delete_endpoint_config(EndpointConfigName="c1")
    cloud.advance(300)
    after = described(sagemaker)
    assert after["EndpointConfigName"] == "c1"
    assert after["FailureReason"] == f'Could not find endpoint configuration "{ARN}:endpoint-config/c1".'


def test_container_that_fails_its_health_check_fails_the_endpoint(cloud: LocalAws, sagemaker: Any) -> None:
    make_model(sagemaker, "m1", BAD="yes")
    cloud.break_containers("BAD")
    make_endpoint(sagemaker)
    cloud.advance(300)
    after = described(sagemaker)
    assert after["EndpointStatus"] == "Failed"
    assert after["FailureReason"] == (
        f"The primary container for production variant {VARIANT} did not pass the ping health check. "
        "Please check CloudWatch logs for this endpoint."
    )


def test_what_failed_leaves_nothing_running_and_can_be_made_anew(cloud: LocalAws, sagemaker: Any) -> None:
    make_model(sagemaker, "m1", BAD="yes")
    cloud.break_containers("BAD")
    make_endpoint(sagemaker)
    cloud.advance(300)
    assert (status(sagemaker), cloud.containers()) == ("Failed", ())
    sagemaker.delete_endpoint(EndpointName="e1")
    cloud.advance(60)
    cloud.break_containers(None)
    make_endpoint(sagemaker)
    cloud.advance(300)
    assert status(sagemaker) == "InService"


def test_containers_come_and_go_with_what_serves(cloud: LocalAws, sagemaker: Any) -> None:
    in_service(cloud, sagemaker)
    old = cloud.containers()
    make_config(sagemaker, "c2")
    sagemaker.update_endpoint(EndpointName="e1", EndpointConfigName="c2")
    cloud.advance(300)
    new = cloud.containers()
    assert (len(old), len(new)) == (1, 1)
    assert old != new
    sagemaker.update_endpoint(EndpointName="e1", EndpointConfigName="c2")
    cloud.advance(300)
    assert cloud.containers() == new
    sagemaker.delete_endpoint(EndpointName="e1")
    cloud.advance(60)
    assert cloud.containers() == ()


def test_rolled_back_update_leaves_the_old_container_only(cloud: LocalAws, sagemaker: Any) -> None:
    in_service(cloud, sagemaker)
    old = cloud.containers()
    make_model(sagemaker, "n2", BAD="yes")
    make_config(sagemaker, "c2", "n2")
    cloud.break_containers("BAD")
    sagemaker.update_endpoint(EndpointName="e1", EndpointConfigName="c2")
    cloud.advance(300)
    assert (described(sagemaker)["EndpointConfigName"], cloud.containers()) == ("c1", old)


def test_update_keeps_scaled_counts_if_asked_to(cloud: LocalAws, sagemaker: Any) -> None:
    in_service(cloud, sagemaker)
    wanted = [{"VariantName": VARIANT, "DesiredInstanceCount": 3}]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName="e1", DesiredWeightsAndCapacities=wanted)
    assert status(sagemaker) == "Updating"
    cloud.advance(300)
    make_config(sagemaker, "c2")
    sagemaker.update_endpoint(EndpointName="e1", EndpointConfigName="c2", RetainAllVariantProperties=True)
    cloud.advance(300)
    assert described(sagemaker)["ProductionVariants"][0]["CurrentInstanceCount"] == 3
    sagemaker.update_endpoint(EndpointName="e1", EndpointConfigName="c2")
    cloud.advance(300)
    assert described(sagemaker)["ProductionVariants"][0]["CurrentInstanceCount"] == 1


@pytest.mark.parametrize("moment", ["Creating", "Updating", "Deleting"])
def test_what_is_under_way_can_neither_be_updated_nor_deleted(cloud: LocalAws, sagemaker: Any, moment: str) -> None:
    """amazon-sagemaker-examples #3432 for the deletion of an endpoint that is being created."""
    make_endpoint(sagemaker)
    if moment != "Creating":
        cloud.advance(300)
    if moment == "Updating":
        sagemaker.update_endpoint(EndpointName="e1", EndpointConfigName="c1")
    if moment == "Deleting":
        sagemaker.delete_endpoint(EndpointName="e1")
    assert status(sagemaker) == moment
    assert refusal(sagemaker.update_endpoint, EndpointName="e1", EndpointConfigName="c1") == BUSY
    assert refusal(sagemaker.delete_endpoint, EndpointName="e1") == BUSY


def test_deletion_takes_its_time_and_leaves_config_and_model(cloud: LocalAws, sagemaker: Any) -> None:
    in_service(cloud, sagemaker)
    sagemaker.delete_endpoint(EndpointName="e1")
    cloud.advance(59)
    assert status(sagemaker) == "Deleting"
    assert cloud.usd_per_hour() > 0
    cloud.advance(1)
    missing = f'Could not find endpoint "{ARN}:endpoint/e1".'
    assert refusal(sagemaker.describe_endpoint, EndpointName="e1") == missing
    assert refusal(sagemaker.delete_endpoint, EndpointName="e1") == missing
    assert [entry.kind for entry in cloud.books()] == ["endpoint config", "model"]
    assert cloud.usd_per_hour() == 0


def test_regions_know_nothing_of_each_other(cloud: LocalAws, sagemaker: Any) -> None:
    import boto3

    make_endpoint(sagemaker)
    elsewhere = boto3.client("sagemaker", **cloud.credentials | {"region_name": "eu-west-1"})
    assert elsewhere.list_endpoints()["Endpoints"] == []
    make_endpoint(elsewhere)
    assert elsewhere.describe_endpoint(EndpointName="e1")["EndpointArn"].startswith("arn:aws:sagemaker:eu-west-1:")
