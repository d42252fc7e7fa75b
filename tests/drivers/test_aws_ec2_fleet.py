"""Several machines behind one address: what the group does by itself, and what is said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drivers.aws import check
from drivers.aws.ec2 import names
from drivers.base import Deployment, Handling, Phase
from drivers.errors import Taken
from tests import builders
from tests.drivers.aws_clouds import backdoor
from tests.drivers.ec2s import Fleets


@pytest.fixture
def fleets(tmp_path: Path) -> Iterator[Fleets]:
    platform = Fleets(tmp_path)
    yield platform
    platform.cloud.reset()


def options(fleets: Fleets, number: int = 1, **given: str) -> Deployment:
    return fleets.deployment(number, options={f"cloud.{key.replace('_', '-')}": text for key, text in given.items()})


def balancers() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = backdoor("elbv2").describe_load_balancers()["LoadBalancers"]
    return found


def test_machines_stand_in_different_zones_behind_an_internal_address(fleets: Fleets) -> None:
    _, ready = fleets.ready()
    assert len({machine["Placement"]["AvailabilityZone"] for machine in fleets.machines()}) == 2
    (balancer,) = balancers()
    assert (balancer["Scheme"], balancer["Type"]) == ("internal", "network")
    assert ready.endpoint is not None
    assert ready.endpoint.url == f"http://{balancer['DNSName']}:8080/v1/"
    assert all("PublicIpAddress" not in machine for machine in fleets.machines())


def test_machines_of_a_group_are_as_closed_as_a_single_one(fleets: Fleets) -> None:
    deployment, _ = fleets.ready()
    for machine in fleets.machines():
        options = machine["MetadataOptions"]
        assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)
    (group,) = backdoor("ec2").describe_security_groups(Filters=[{"Name": "group-name", "Values": [deployment.name]}])[
        "SecurityGroups"
    ]
    assert balancers()[0]["SecurityGroups"] == [group["GroupId"]]
    assert [pair["GroupId"] for rule in group["IpPermissions"] for pair in rule["UserIdGroupPairs"]] == [
        group["GroupId"]
    ], "the load balancer, which is in the group, reaches the machines"


def test_a_machine_that_goes_is_replaced_by_the_group_and_no_request_is_lost(fleets: Fleets) -> None:
    deployment, _ = fleets.ready()
    gone, left = fleets.machines()
    backdoor("ec2").terminate_instances(InstanceIds=[gone["InstanceId"]])
    seen = fleets.driver.observe(deployment)
    assert (seen.phase, seen.detail) == (Phase.READY, "1 of 2 machines run")
    fleets.cloud.advance(60)
    assert fleets.driver.observe(deployment).detail == ""
    assert len(fleets.machines()) == 2
    assert left["InstanceId"] in {machine["InstanceId"] for machine in fleets.machines()}


def test_without_capacity_the_group_takes_the_next_type_and_says_why_it_has_none(fleets: Fleets) -> None:
    fleets.cloud.capacity("g6.xlarge", 1)
    fleets.ready(1)
    assert Counter(one["InstanceType"] for one in fleets.machines()) == {"g6.xlarge": 1, "g5.xlarge": 1}
    fleets.cloud.capacity("g5.xlarge", 0)
    deployment = fleets.deployment(2)
    fleets.driver.create(deployment)
    seen = fleets.driver.observe(deployment)
    assert seen.phase is Phase.CREATING
    assert "We currently do not have sufficient g5.xlarge capacity" in seen.detail
    fleets.cloud.capacity("g5.xlarge", None)
    fleets.until(fleets.driver.observe, deployment, Phase.READY)


def test_spot_machines_of_a_group_are_spot_or_nothing(fleets: Fleets) -> None:
    fleets.driver.create(options(fleets, spot="require"))
    fleets.cloud.advance(1)
    assert [machine.get("InstanceLifecycle") for machine in fleets.machines()] == ["spot", "spot"]
    spec = builders.model_spec(options={"cloud.replicas": "2", "cloud.spot": "prefer"})
    refused = [one for one in check.check(spec, "aws-ec2", fleets.settings) if one.handling is Handling.REJECTED]
    assert [one.key for one in refused] == ["cloud.replicas"]


def test_a_fleet_that_was_seen_whole_costs_one_listing(fleets: Fleets) -> None:
    deployment, ready = fleets.ready()
    fleets.cloud.forget_calls()
    assert fleets.driver.observe_many([deployment])[deployment.id] == ready
    assert fleets.cloud.calls() == ("ec2.DescribeInstances",)


def test_a_fleet_whose_servers_are_all_silent_is_degraded(fleets: Fleets) -> None:
    deployment, _ = fleets.ready()
    for machine in fleets.machines():
        fleets.cloud.perform("silence", id=machine["InstanceId"], silent=True)
    seen = fleets.driver.observe(deployment)
    assert (seen.phase, seen.detail) == (Phase.DEGRADED, "the load balancer does not pass the health check on")


def test_a_group_that_somebody_deleted_is_asked_for_again(fleets: Fleets) -> None:
    deployment, _ = fleets.ready()
    backdoor("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=deployment.name, ForceDelete=True)
    fleets.cloud.advance(100)
    assert fleets.driver.observe(deployment).phase is Phase.ABSENT
    fleets.driver.create(deployment)
    fleets.until(fleets.driver.observe, deployment, Phase.READY)


def test_a_fleet_is_not_absent_because_somebody_deleted_its_launch_template(fleets: Fleets) -> None:
    """It was, and what is absent is forgotten: its machines and its load balancer would have gone on costing money."""
    deployment = fleets.deployment()
    fleets.driver.create(deployment)
    backdoor("ec2").delete_launch_template(LaunchTemplateName=deployment.name)
    assert fleets.driver.observe(deployment).phase is Phase.CREATING
    backdoor("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=deployment.name, ForceDelete=True)
    fleets.cloud.advance(100)
    seen = fleets.driver.observe(deployment)
    assert (seen.phase, len(balancers())) == (Phase.FAILED, 1)
    assert "launch template" in seen.detail
    fleets.until(fleets.driver.delete, deployment, Phase.ABSENT)
    assert fleets.books() == []


@pytest.mark.parametrize("what", ["load balancer", "target group", "group"])
def test_what_has_our_name_and_is_somebody_elses_is_left_alone(fleets: Fleets, what: str) -> None:
    deployment = fleets.deployment()
    subnet = backdoor("ec2").describe_subnets()["Subnets"][0]
    if what == "load balancer":
        backdoor("elbv2").create_load_balancer(
            Name=names.balancer_name(deployment), Subnets=[subnet["SubnetId"]], Type="network"
        )
    elif what == "target group":
        backdoor("elbv2").create_target_group(
            Name=names.balancer_name(deployment), Protocol="TCP", Port=1, VpcId=subnet["VpcId"], TargetType="instance"
        )
    else:
        template = {"ImageId": "ami-12345678", "InstanceType": "t3.nano"}
        backdoor("ec2").create_launch_template(LaunchTemplateName="theirs", LaunchTemplateData=template)
        backdoor("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=deployment.name,
            LaunchTemplate={"LaunchTemplateName": "theirs"},
            MinSize=0,
            MaxSize=0,
            AvailabilityZones=["us-east-1a"],
        )
    fleets.cloud.baseline()
    with pytest.raises(Taken):
        fleets.driver.create(deployment)
    fleets.until(fleets.driver.delete, deployment, Phase.ABSENT)
    assert fleets.books() == []
    assert len(balancers()) == (what == "load balancer")


def test_one_machine_and_several_are_different_deployments(fleets: Fleets) -> None:
    """The number is no key that changes in place: an address of a machine is not one of a load balancer."""
    assert "cloud.replicas" not in fleets.driver.capabilities.updatable
    several, first = fleets.ready(1)
    single = replace(fleets.deployment(2), spec=builders.model_spec(context_size=512))
    _, second = fleets.ready(deployment=single)
    assert first.endpoint != second.endpoint
    for one in (several, single):
        fleets.until(fleets.driver.delete, one, Phase.ABSENT)
    assert fleets.books() == []
