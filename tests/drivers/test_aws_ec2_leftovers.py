"""Promise: whatever of a deployment somebody left behind is found by its tags, said to be there, and removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drivers.aws.ec2 import names
from drivers.aws.tags import as_list, tags_of
from drivers.base import Deployment, Phase
from drivers.errors import Denied
from tests.drivers.aws_clouds import backdoor
from tests.drivers.ec2s import Ec2s, Fleets
from tests.drivers.test_aws_ec2_ttl import of_now


@pytest.fixture
def fleets(tmp_path: Path) -> Iterator[Fleets]:
    platform = Fleets(tmp_path)
    yield platform
    platform.cloud.reset()


def subnet() -> dict[str, Any]:
    found: dict[str, Any] = backdoor("ec2").describe_subnets()["Subnets"][0]
    return found


def balancer(deployment: Deployment) -> None:
    backdoor("elbv2").create_load_balancer(
        Name=names.balancer_name(deployment),
        Type="network",
        Subnets=[subnet()["SubnetId"]],
        Tags=as_list(tags_of(deployment)),
    )


def target_group(deployment: Deployment) -> None:
    backdoor("elbv2").create_target_group(
        Name=names.balancer_name(deployment),
        Protocol="TCP",
        Port=8080,
        VpcId=subnet()["VpcId"],
        TargetType="instance",
        Tags=as_list(tags_of(deployment)),
    )


def scaling_group(deployment: Deployment) -> None:
    tags = [{**tag, "PropagateAtLaunch": False} for tag in as_list(tags_of(deployment))]
    backdoor("ec2").create_launch_template(
        LaunchTemplateName=f"theirs-{deployment.id}",
        LaunchTemplateData={"ImageId": "ami-12345678", "InstanceType": "t3.nano"},
    )
    backdoor("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=deployment.name,
        LaunchTemplate={"LaunchTemplateName": f"theirs-{deployment.id}"},
        MinSize=0,
        MaxSize=0,
        AvailabilityZones=["us-east-1a"],
        Tags=tags,
    )


def security_group(deployment: Deployment) -> None:
    tagged = [{"ResourceType": "security-group", "Tags": as_list(tags_of(deployment))}]
    backdoor("ec2").create_security_group(GroupName=deployment.name, Description="x", TagSpecifications=tagged)


def key(deployment: Deployment) -> None:
    backdoor("ssm").put_parameter(
        Name=names.key_parameter(deployment), Value="k", Type="SecureString", Tags=as_list(tags_of(deployment))
    )


PARTS = (balancer, target_group, scaling_group, security_group, key)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_left_alone_is_found_and_removed(part: Callable[[Deployment], None], fleets: Fleets) -> None:
    deployment = fleets.deployment()
    part(deployment)
    (found,) = fleets.driver.owned(deployment.lineage)
    assert (found.id, found.name, found.spec) == (deployment.id, deployment.name, deployment.spec)
    assert found.handle["region"] == "us-east-1"
    seen = fleets.driver.observe(found)
    assert (seen.phase, "launch template" in seen.detail) == (Phase.FAILED, True), "what is absent is forgotten"
    assert fleets.driver.observe_many([found])[found.id] == seen
    fleets.until(fleets.driver.delete, found, Phase.ABSENT)
    assert fleets.driver.observe(found).phase is Phase.ABSENT
    assert [entry for entry in fleets.books() if entry != "ec2 launch template"] == []
    assert list(fleets.driver.owned(deployment.lineage)) == []


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_another_installation_is_nobodys_here(part: Callable[[Deployment], None], fleets: Fleets) -> None:
    mine = fleets.deployment()
    part(replace(mine, lineage="11111111-2222-3333-4444-555555555555"))
    assert list(fleets.driver.owned(mine.lineage)) == []


@pytest.mark.parametrize(
    "operation",
    [
        "DescribeLaunchTemplates", "DescribeInstances", "DescribeAutoScalingGroups", "DescribeLoadBalancers",
        "DescribeTargetGroups", "DescribeTags", "DescribeSecurityGroups", "DescribeParameters", "ListTagsForResource",
    ],
)  # fmt: skip
def test_a_kind_that_cannot_be_listed_is_an_error_and_not_nothing(operation: str, fleets: Fleets) -> None:
    deployment = fleets.deployment()
    for part in (balancer, target_group):
        part(deployment)
    key(fleets.deployment(2))
    fleets.cloud.fault("refused", operation=operation, code="AccessDenied", message="no", times=3)
    with pytest.raises(Denied):
        list(fleets.driver.owned(deployment.lineage))
    fleets.cloud.clear_faults()
    assert len(list(fleets.driver.owned(deployment.lineage))) == 2


def test_more_than_one_page_of_everything_is_found_in_a_few_calls(fleets: Fleets) -> None:
    for number in range(1, 56):
        deployment = fleets.deployment(number)
        for part in (target_group, key, security_group):
            part(deployment)
    fleets.cloud.forget_calls()
    found = list(fleets.driver.owned(fleets.deployment().lineage))
    assert {one.id for one in found} == {fleets.deployment(number).id for number in range(1, 56)}
    counts = fleets.cloud.counts()
    print(f"aws-ec2: {sum(counts.values())} calls to find 55 leftovers of three kinds: {dict(counts)}")
    assert sum(counts.values()) <= 20
    assert "ssm.ListTagsForResource" not in counts, "their groups said already whose the keys are"


def test_what_was_just_made_is_not_taken_for_a_leftover(tmp_path: Path) -> None:
    """A launch template may be shown later than what was made after it."""
    platform = Ec2s(tmp_path)
    deployment = of_now(platform, None)
    security_group(deployment)
    assert platform.driver.observe(deployment).phase is Phase.ABSENT
    platform.cloud.advance(601)
    assert platform.driver.observe(deployment).phase is Phase.FAILED
    platform.cloud.reset()


def test_a_key_of_the_operators_is_no_leftover(tmp_path: Path) -> None:
    platform = Ec2s(tmp_path, secrets={"mine": "/models/key"})
    backdoor("ssm").put_parameter(Name="/models/key", Value="operator-key", Type="SecureString")
    assert platform.driver.observe(platform.options(api_key_secret="mine")).phase is Phase.ABSENT
    platform.cloud.reset()
