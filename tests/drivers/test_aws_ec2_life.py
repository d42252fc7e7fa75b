"""EC2's own faults, one test each: what must hold when capacity, quota, keys, machines or people do what they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drivers.aws.ec2 import names
from drivers.aws.ec2.launching import refused
from drivers.base import Phase
from drivers.errors import Ambiguous, Denied, Exhausted, Rejected, Taken, Unavailable
from tests.drivers.aws_clouds import backdoor
from tests.drivers.ec2s import Ec2s

Make = Callable[..., Ec2s]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Ec2s] = []

    def make(**settings: Any) -> Ec2s:
        made.append(Ec2s(tmp_path, **settings))
        return made[-1]

    yield make
    for platform in made:
        platform.cloud.reset()


def test_without_capacity_the_next_zone_is_tried_then_the_next_type(make: Make) -> None:
    platform = make()
    platform.cloud.capacity("us-east-1a/g6.xlarge", 0)
    platform.driver.create(platform.deployment(1))
    (machine,) = platform.machines()
    assert (machine["InstanceType"], machine["Placement"]["AvailabilityZone"]) == ("g6.xlarge", "us-east-1b")
    platform.cloud.capacity("g6.xlarge", 0)
    platform.driver.create(platform.deployment(2))
    assert Counter(one["InstanceType"] for one in platform.machines()) == {"g6.xlarge": 1, "g5.xlarge": 1}


def test_what_was_refused_is_not_asked_for_again_before_all_else_was(make: Make) -> None:
    """A request that is in flight may still become a machine: going back to an earlier way could make two."""
    platform = make()
    for zone in ("a", "b", "c"):
        platform.cloud.capacity(f"us-east-1{zone}/g6.xlarge", 0)
    platform.cloud.perform("ec2-lag", seconds=100)
    platform.cloud.fault("response-lost", operation="RunInstances", skip=3)
    deployment = platform.deployment()
    with pytest.raises(Ambiguous):
        platform.driver.create(deployment)
    for zone in ("a", "b", "c"):
        platform.cloud.capacity(f"us-east-1{zone}/g6.xlarge", None)
    assert platform.after_a_crash().observe(deployment).phase is Phase.ABSENT, "it cannot be seen yet"
    platform.after_a_crash().create(deployment)
    platform.until(platform.driver.observe, deployment, Phase.READY)
    (machine,) = platform.machines(deployment)
    assert machine["Placement"]["AvailabilityZone"] == "us-east-1d"


def test_a_machine_that_is_not_shown_yet_is_not_left_behind_where_no_group_of_its_own_vouches_for_that(
    make: Make,
) -> None:
    """With the operator's security groups a deletion was over before the machine was seen, which then ran for ever."""
    platform = make()
    group = backdoor("ec2").create_security_group(GroupName="theirs", Description="x")["GroupId"]
    platform.cloud.baseline()
    platform.settings = replace(platform.settings, security_groups={"default": group})
    platform.cloud.perform("ec2-lag", seconds=200)
    platform.cloud.fault("response-lost", operation="RunInstances")
    deployment = platform.deployment()
    with pytest.raises(Ambiguous):
        platform.after_a_crash().create(deployment)
    seen = platform.after_a_crash().delete(deployment)
    assert (seen.phase, seen.detail) == (Phase.DELETING, "a machine that was asked for may not be shown yet")
    platform.until(platform.after_a_crash().delete, deployment, Phase.ABSENT)
    platform.cloud.advance(300)
    assert platform.machines() == []
    assert platform.books() == []


def test_when_nothing_is_to_be_had_it_says_what_aws_said_of_each(make: Make) -> None:
    platform = make()
    for kind in ("g6.xlarge", "g5.xlarge"):
        platform.cloud.capacity(kind, 0)
    deployment = platform.options(zones="us-east-1b")
    with pytest.raises(Exhausted) as refusal:
        platform.driver.create(deployment)
    assert "We currently do not have sufficient g6.xlarge capacity" in str(refusal.value)
    assert "g5.xlarge in us-east-1b" in str(refusal.value)
    assert "name more instance types, zones or another region" in str(refusal.value)
    assert platform.driver.observe(deployment).phase is Phase.ABSENT
    platform.cloud.capacity("g6.xlarge", None)
    platform.driver.create(deployment)
    assert [one["InstanceType"] for one in platform.machines()] == ["g6.xlarge"]


def test_a_quota_is_not_a_lack_of_capacity(make: Make) -> None:
    platform = make()
    platform.cloud.quota("L-DB2E81BA", 0)
    with pytest.raises(Exhausted, match=r"VcpuLimitExceeded: You have requested more vCPU capacity.*Service Quotas"):
        platform.driver.create(platform.deployment())
    with pytest.raises(Exhausted) as refusal:
        platform.driver.create(platform.deployment())
    assert str(refusal.value).count("more vCPU capacity") == 1, "once for all zones and types"


@pytest.mark.parametrize(
    ("asked", "spot_left", "lifecycle"), [("prefer", None, "spot"), ("prefer", 0, None), ("require", None, "spot")]
)
def test_spot_machines_fall_back_only_where_the_file_allows_it(
    make: Make, asked: str, spot_left: int | None, lifecycle: str | None
) -> None:
    platform = make()
    for kind in ("g6.xlarge", "g5.xlarge"):
        platform.cloud.capacity(f"spot/{kind}", spot_left)
    platform.driver.create(platform.options(spot=asked, zones="us-east-1a"))
    assert [one.get("InstanceLifecycle") for one in platform.machines()] == [lifecycle]


def test_required_spot_never_becomes_on_demand(make: Make) -> None:
    platform = make()
    for kind in ("g6.xlarge", "g5.xlarge"):
        platform.cloud.capacity(f"spot/{kind}", 0)
    with pytest.raises(Exhausted, match=r"\(spot\)"):
        platform.driver.create(platform.options(spot="require", zones="us-east-1a"))
    assert platform.machines() == []


def test_a_spot_machine_that_is_taken_back_has_failed_and_says_why(make: Make) -> None:
    platform = make()
    deployment, _ = platform.ready(deployment=platform.options(spot="require"))
    (machine,) = platform.machines()
    platform.cloud.perform("interrupt", id=machine["InstanceId"])
    assert platform.driver.observe(deployment).phase is Phase.DELETING
    platform.cloud.advance(100)
    seen = platform.driver.observe(deployment)
    assert (seen.phase, "AWS took the spot machine back" in seen.detail) == (Phase.FAILED, True)
    platform.until(platform.driver.delete, deployment, Phase.ABSENT)
    assert platform.books() == []


def test_a_machine_that_somebody_terminated_has_failed_and_is_not_started_again(make: Make) -> None:
    """Its token is bound to it: asking again would only bring it back as it is."""
    platform = make()
    deployment, _ = platform.ready()
    (machine,) = platform.machines()
    backdoor("ec2").terminate_instances(InstanceIds=[machine["InstanceId"]])
    platform.cloud.advance(100)
    assert platform.driver.observe(deployment).detail.startswith("somebody terminated the machine")
    platform.cloud.advance(7200)
    assert platform.driver.observe(deployment).phase is Phase.ABSENT, "AWS shows a terminated machine for an hour"
    with pytest.raises(Taken, match="its machine was terminated"):
        platform.driver.create(deployment)
    assert platform.machines() == []


def test_a_machine_whose_tags_were_removed_is_foreign_and_left_alone(make: Make) -> None:
    platform = make()
    deployment, _ = platform.ready()
    (machine,) = platform.machines()
    ec2 = backdoor("ec2")
    ec2.delete_tags(Resources=[machine["InstanceId"]], Tags=[{"Key": "cmr:deployment"}])
    seen = platform.driver.observe(deployment)
    assert (seen.phase, seen.foreign, machine["InstanceId"] in seen.detail) == (Phase.ABSENT, True, True)
    assert platform.driver.observe_many([deployment])[deployment.id] == seen
    for known in (deployment, replace(deployment, handle={})):
        with pytest.raises(Taken, match="does not carry our tags any more"):
            platform.driver.create(known)
    platform.driver.delete(deployment)
    (reservation,) = ec2.describe_instances(InstanceIds=[machine["InstanceId"]])["Reservations"]
    assert reservation["Instances"][0]["State"]["Name"] == "running"


def test_a_machine_that_somebody_stopped_is_degraded(make: Make) -> None:
    platform = make()
    deployment, ready = platform.ready()
    (machine,) = platform.machines()
    backdoor("ec2").stop_instances(InstanceIds=[machine["InstanceId"]])
    seen = platform.driver.observe(deployment)
    assert (seen.phase, seen.detail, seen.endpoint) == (Phase.DEGRADED, "somebody stopped the machine", ready.endpoint)


def test_a_server_that_is_not_well_is_degraded_and_aws_may_know_why(make: Make) -> None:
    platform = make()
    deployment, _ = platform.ready()
    (machine,) = platform.machines()
    platform.cloud.perform("silence", id=machine["InstanceId"], silent=True)
    assert platform.driver.observe(deployment).detail == "the server does not pass its health check"
    platform.cloud.perform("impair", id=machine["InstanceId"])
    seen = platform.driver.observe(deployment)
    assert (seen.phase, seen.detail) == (Phase.DEGRADED, "AWS's instance status check fails")
    platform.cloud.perform("silence", id=machine["InstanceId"], silent=False)
    assert platform.driver.observe(deployment).phase is Phase.READY


def test_a_machine_that_cannot_read_its_key_never_becomes_ready_and_its_console_says_why(make: Make) -> None:
    platform = make()
    deployment = platform.deployment()
    platform.driver.create(deployment)
    backdoor("ssm").delete_parameter(Name=names.key_parameter(deployment))
    platform.cloud.advance(60)
    seen = platform.driver.observe(deployment)
    assert (seen.phase, seen.detail) == (Phase.CREATING, "the machine is installing the engine")
    assert any("ParameterNotFound" in line for line in platform.driver.logs(deployment))


def test_the_console_is_the_log_of_what_runs(make: Make) -> None:
    platform = make()
    deployment, _ = platform.ready()
    assert any("llama-cpp:server-cuda-v1" in line for line in platform.driver.logs(deployment, lines=5))
    assert list(platform.driver.logs(platform.deployment(2))) == []


def test_the_key_of_a_model_survives_its_replacement_and_goes_with_the_last(make: Make) -> None:
    platform = make()
    old, first = platform.ready(1)
    new, second = platform.ready(2)
    assert first.endpoint is not None
    assert second.endpoint is not None
    assert first.endpoint.key_file == second.endpoint.key_file
    key = Path(str(first.endpoint.key_file)).read_text()
    platform.until(platform.driver.delete, old, Phase.ABSENT)
    assert Path(str(first.endpoint.key_file)).read_text() == key
    platform.until(platform.driver.delete, new, Phase.ABSENT)
    assert not Path(str(first.endpoint.key_file)).exists()
    assert platform.books() == []


def test_a_key_file_that_was_lost_comes_back_from_aws(make: Make) -> None:
    platform = make()
    deployment, ready = platform.ready()
    assert ready.endpoint is not None
    file = Path(str(ready.endpoint.key_file))
    key = file.read_text()
    file.unlink()
    assert platform.after_a_crash().observe(deployment).phase is Phase.READY
    assert file.read_text() == key
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_model_whose_key_is_lost_for_good_has_failed(make: Make) -> None:
    """Nobody can ask it any more, and nobody can find out what it wants to hear."""
    platform = make()
    deployment, ready = platform.ready()
    assert ready.endpoint is not None
    Path(str(ready.endpoint.key_file)).unlink()
    backdoor("ssm").delete_parameter(Name=names.key_parameter(deployment))
    seen = platform.driver.observe(deployment)
    assert (seen.phase, seen.detail.startswith("its key is lost")) == (Phase.FAILED, True)
    platform.until(platform.driver.delete, deployment, Phase.ABSENT)
    assert platform.books() == []


def test_a_key_that_is_not_the_machines_is_fetched_anew(make: Make) -> None:
    platform = make()
    deployment = platform.deployment()
    platform.driver.create(deployment)
    (file,) = (platform.settings.key_root / "ec2").iterdir()
    file.write_text("somebody wrote this\n")
    platform.until(platform.driver.observe, deployment, Phase.READY)
    assert file.read_text() != "somebody wrote this\n"


def test_a_key_of_the_operators_is_used_and_left_alone(make: Make) -> None:
    platform = make(secrets={"mine": "/models/key"})
    backdoor("ssm").put_parameter(Name="/models/key", Value="operator-key", Type="SecureString")
    deployment, ready = platform.ready(deployment=platform.options(api_key_secret="mine"))
    assert ready.endpoint is not None
    assert Path(str(ready.endpoint.key_file)).read_text() == "operator-key\n"
    platform.until(platform.driver.delete, deployment, Phase.ABSENT)
    assert platform.books() == ["ssm parameter"]


def test_a_newer_image_replaces_nothing_and_the_next_deployment_has_it(make: Make) -> None:
    platform = make()
    deployment, ready = platform.ready(1)
    assert ready.handle is not None
    pinned = ready.handle["image"]
    platform.cloud.perform("release-image", id="ami-0fffffffffffffff1")
    assert platform.driver.observe(deployment) == ready
    _, newer = platform.ready(2)
    assert newer.handle is not None
    assert (ready.handle["image"], newer.handle["image"]) == (pinned, "ami-0fffffffffffffff1")


def test_the_image_is_pinned_before_the_machine_is_asked_for(make: Make) -> None:
    platform = make()
    platform.cloud.fault("request-lost", operation="RunInstances")
    deployment = platform.deployment()
    with pytest.raises(Ambiguous):
        platform.driver.create(deployment)
    platform.cloud.perform("release-image", id="ami-0fffffffffffffff1")
    made = platform.after_a_crash().create(deployment)
    assert made.handle is not None
    assert made.handle["image"] != "ami-0fffffffffffffff1"


def test_a_group_that_is_still_in_use_is_deleted_later(make: Make) -> None:
    platform = make()
    deployment, _ = platform.ready()
    (group,) = backdoor("ec2").describe_security_groups(Filters=[{"Name": "group-name", "Values": [deployment.name]}])[
        "SecurityGroups"
    ]
    backdoor("ec2").run_instances(
        ImageId="ami-12345678", MinCount=1, MaxCount=1, SecurityGroupIds=[group["GroupId"]], InstanceType="t3.nano"
    )
    for _ in range(4):
        seen = platform.driver.delete(deployment)
        platform.cloud.advance(60)
    assert (seen.phase, seen.detail) == (Phase.DELETING, "something still uses its security group")
    assert platform.machines(deployment) == []


def test_only_the_network_itself_may_connect_unless_the_file_names_others(make: Make) -> None:
    platform = make()
    vpc = backdoor("ec2").describe_vpcs()["Vpcs"][0]["CidrBlock"]
    for number, asked, admitted in ((1, {}, {vpc}), (2, {"allowed_cidrs": "10.1.0.0/16,fd00::/8"}, {"10.1.0.0/16"})):
        deployment = platform.options(number, **asked)
        platform.driver.create(deployment)
        (group,) = backdoor("ec2").describe_security_groups(
            Filters=[{"Name": "group-name", "Values": [deployment.name]}]
        )["SecurityGroups"]
        rules = group["IpPermissions"]
        assert {(one["FromPort"], one["ToPort"]) for one in rules} == {(8080, 8080)}
        assert {entry["CidrIp"] for one in rules for entry in one["IpRanges"]} == admitted


def test_the_operators_groups_are_used_and_none_is_made(make: Make) -> None:
    platform = make()
    group = backdoor("ec2").create_security_group(GroupName="theirs", Description="x")["GroupId"]
    platform.cloud.baseline()
    platform.settings = replace(platform.settings, security_groups={"default": group})
    platform.driver = platform.after_a_crash()
    deployment, _ = platform.ready()
    (machine,) = platform.machines()
    assert [one["GroupId"] for one in machine["NetworkInterfaces"][0]["Groups"]] == [group]
    assert "ec2 security group" not in platform.books()
    platform.until(platform.driver.delete, deployment, Phase.ABSENT)
    assert platform.books() == []


def test_a_group_of_our_name_that_is_somebody_elses_is_left_alone(make: Make) -> None:
    platform = make()
    deployment = platform.deployment()
    backdoor("ec2").create_security_group(GroupName=deployment.name, Description="theirs")
    with pytest.raises(Taken, match="security group"):
        platform.driver.create(deployment)
    platform.until(platform.driver.delete, deployment, Phase.ABSENT)
    assert platform.books() == ["ec2 security group"]


def test_zones_and_hardware_choose_among_what_the_operator_has(make: Make) -> None:
    platform = make()
    platform.driver.create(platform.options(1, zones="us-east-1c"))
    assert [one["Placement"]["AvailabilityZone"] for one in platform.machines()] == ["us-east-1c"]
    with pytest.raises(Rejected, match="the subnets are in us-east-1a"):
        platform.driver.create(platform.options(2, zones="eu-west-1a"))
    platform.driver.create(platform.options(3, instance_type="g6.xlarge,g6.2xlarge", cpu="8..16"))
    assert {one["InstanceType"] for one in platform.machines()} == {"g6.xlarge", "g6.2xlarge"}
    with pytest.raises(Rejected, match=r"none of g6\.xlarge has that"):
        platform.driver.create(platform.options(4, instance_type="g6.xlarge", memory="512GiB"))


def test_another_account_than_the_operators_is_touched_by_nothing(make: Make) -> None:
    platform = make(account="999999999999")
    with pytest.raises(Denied, match="belong to account 123456789012, not to 999999999999"):
        platform.driver.create(platform.deployment())
    assert platform.books() == []
    with pytest.raises(Denied, match="not to 999999999999"):
        tuple(platform.driver.owned(platform.deployment().lineage))


def test_a_machine_is_not_absent_because_the_credentials_lead_to_another_account(make: Make) -> None:
    """It would be forgotten, and be paid for where it is."""
    platform = make()
    ready, _ = platform.ready()
    assert ready.handle["account"] == "123456789012"
    elsewhere = replace(ready, handle=dict(ready.handle) | {"account": "999999999999"})
    for call in (platform.driver.observe, platform.driver.delete):
        with pytest.raises(Denied, match="not to 999999999999"):
            call(elsewhere)
    other = platform.deployment(2)
    found = platform.driver.observe_many([elsewhere, other])
    assert (found[elsewhere.id].phase, found[other.id].phase) == (Phase.UNKNOWN, Phase.ABSENT)
    assert found[elsewhere.id].denied, "a person has to act"


def test_a_subnet_that_is_not_there_is_the_operators_to_mend(make: Make) -> None:
    platform = make(subnets={"default": "subnet-0123456789abcdef0"})
    with pytest.raises(Denied, match=r"see aws\.subnets"):
        platform.driver.create(platform.deployment())
    assert platform.books() == []


def test_a_profile_that_is_not_there_is_the_operators_to_mend(make: Make) -> None:
    platform = make(instance_profile="nobody")
    with pytest.raises(Denied, match="Invalid IAM Instance Profile"):
        platform.driver.create(platform.deployment())


def test_refusals_are_told_apart() -> None:
    def of(code: str, message: str = "words of AWS") -> Exception:
        from botocore.exceptions import ClientError

        return refused(ClientError({"Error": {"Code": code, "Message": message}}, "RunInstances"), "starting it")

    expected = {
        "InsufficientInstanceCapacity": Exhausted,
        "Unsupported": Exhausted,
        "VcpuLimitExceeded": Exhausted,
        "SpotMaxPriceTooLow": Exhausted,
        "UnauthorizedOperation": Denied,
        "RequestLimitExceeded": Unavailable,
        "InvalidParameterValue": Rejected,
        "InvalidGroup.NotFound": Unavailable,
        "InvalidLaunchTemplateName.NotFoundException": Unavailable,
        "IdempotentParameterMismatch": Ambiguous,
        "InternalError": Ambiguous,
        "SomethingUnheardOf": Ambiguous,
    }
    assert {code: type(of(code)) for code in expected} == expected
    assert "words of AWS" in str(of("VcpuLimitExceeded"))


@pytest.mark.slow
def test_five_hundred_machines_are_refreshed_in_a_few_calls(make: Make) -> None:
    platform = make()
    from tests.drivers.ec2crowd import crowd

    deployments = crowd(platform, 500)
    platform.cloud.forget_calls()
    seen = platform.driver.observe_many(deployments)
    counts = platform.cloud.counts()
    print(f"aws-ec2: {sum(counts.values())} calls for a refresh of 500: {dict(counts)}")
    assert Counter(one.phase for one in seen.values()) == {Phase.READY: 500}
    assert sum(counts.values()) <= 10


def test_doctor_says_what_is_missing_before_money_is_spent(make: Make) -> None:
    looks = {look.name: look for look in make().driver.preflight()}
    assert looks["identity"].text == "account 123456789012 in us-east-1"
    assert looks["instance profile"].ok
    assert looks["subnets"].ok
    assert looks["machine image"].text.startswith("ami-")
    assert not looks["quota L-DB2E81BA"].needed
    bad = {look.name: look for look in make(instance_profile=None, machine_image="/aws/none").driver.preflight()}
    assert not bad["instance profile"].ok
    assert "aws.machine_image" in bad["machine image"].text


def test_what_lost_its_template_is_still_found_and_removed(make: Make) -> None:
    platform = make()
    deployment, _ = platform.ready()
    backdoor("ec2").delete_launch_template(LaunchTemplateName=deployment.name)
    (found,) = platform.driver.owned(deployment.lineage)
    assert found.id == deployment.id
    platform.until(platform.driver.delete, found, Phase.ABSENT)
    assert platform.books() == []
