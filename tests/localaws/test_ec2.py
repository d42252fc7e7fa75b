"""The local EC2 is as strict, as slow and as forgetful as AWS says that its own is."""

from __future__ import annotations

import base64
import json
import socket
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.localaws.ec2.listeners import free_address
from infra.localaws.localaws import LocalAws
from tests.localaws.conftest import Clients
from tests.localaws.hosting import refusal

KIND = "g6.xlarge"
AMI = "ami-0a1b2c3d4e5f60001"


@pytest.fixture
def ec2(cloud: LocalAws, clients: Clients) -> Any:
    return clients("ec2")


def run(ec2: Any, token: str = "t1", kind: str = KIND, **given: Any) -> str:
    made = ec2.run_instances(ImageId=AMI, MinCount=1, MaxCount=1, InstanceType=kind, ClientToken=token, **given)
    id: str = made["Instances"][0]["InstanceId"]
    return id


def refused(ec2: Any, code: str, **given: Any) -> str:
    with pytest.raises(ClientError) as caught:
        run(ec2, **given)
    assert caught.value.response["Error"]["Code"] == code
    return str(caught.value.response["Error"]["Message"])


def state(ec2: Any, id: str) -> str:
    (reservation,) = ec2.describe_instances(InstanceIds=[id])["Reservations"]
    found: str = reservation["Instances"][0]["State"]["Name"]
    return found


def user_data(program: str) -> str:
    unit = "[Service]\nExecStart=/bin/serve\n"
    files = [
        {"path": "/bin/serve", "permissions": "0700", "content": program},
        {"path": "/etc/systemd/system/serve.service", "content": unit},
    ]
    said = {"write_files": files, "runcmd": [["systemctl", "enable", "--now", "serve.service"]]}
    return "#cloud-config\n" + json.dumps(said)


def test_same_token_and_request_is_the_same_machine(ec2: Any) -> None:
    assert run(ec2) == run(ec2)
    assert run(ec2, token="t2") != run(ec2)


def test_same_token_with_another_request_is_refused(ec2: Any) -> None:
    run(ec2)
    assert "inconsistent" in refused(ec2, "IdempotentParameterMismatch", kind="g5.xlarge")


def test_a_token_stays_with_a_machine_that_is_gone(cloud: LocalAws, ec2: Any) -> None:
    ec2.terminate_instances(InstanceIds=[run(ec2)])
    refused(ec2, "IdempotentInstanceTerminated")
    cloud.advance(7200)
    refused(ec2, "IdempotentInstanceTerminated")


def test_a_token_is_not_bound_by_a_refusal(cloud: LocalAws, ec2: Any) -> None:
    cloud.capacity(KIND, 0)
    refused(ec2, "InsufficientInstanceCapacity")
    cloud.capacity(KIND, None)
    run(ec2)


def test_machines_are_found_by_their_token(ec2: Any) -> None:
    id = run(ec2)
    found = ec2.describe_instances(Filters=[{"Name": "client-token", "Values": ["t1"]}])
    assert [one["InstanceId"] for each in found["Reservations"] for one in each["Instances"]] == [id]


def test_states_take_their_time_and_a_terminated_machine_is_shown_for_an_hour(cloud: LocalAws, ec2: Any) -> None:
    id = run(ec2)
    assert state(ec2, id) == "pending"
    cloud.advance(60)
    assert state(ec2, id) == "running"
    ec2.terminate_instances(InstanceIds=[id])
    ec2.terminate_instances(InstanceIds=[id])
    assert state(ec2, id) == "shutting-down"
    cloud.advance(60)
    assert state(ec2, id) == "terminated"
    cloud.advance(3600)
    refusal(ec2.describe_instances, code="InvalidInstanceID.NotFound", InstanceIds=[id])


def test_a_listing_may_lag_and_the_token_does_not(cloud: LocalAws, ec2: Any) -> None:
    cloud.perform("ec2-lag", seconds=90)
    id = run(ec2)
    assert ec2.describe_instances()["Reservations"] == []
    refusal(ec2.terminate_instances, code="InvalidInstanceID.NotFound", InstanceIds=[id])
    assert run(ec2) == id
    cloud.advance(100)
    assert state(ec2, id) == "running"


def test_capacity_is_per_type_and_zone_and_spot_has_its_own(cloud: LocalAws, ec2: Any) -> None:
    zones = {one["AvailabilityZone"]: one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]}
    cloud.capacity("us-east-1a/g6.xlarge", 1)
    cloud.capacity("spot/g6.xlarge", 0)
    run(ec2, SubnetId=zones["us-east-1a"])
    words = refused(ec2, "InsufficientInstanceCapacity", token="t2", SubnetId=zones["us-east-1a"])
    assert "g6.xlarge capacity in the Availability Zone you requested (us-east-1a)" in words
    run(ec2, token="t3", SubnetId=zones["us-east-1b"])
    spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
    refused(ec2, "InsufficientInstanceCapacity", token="t4", SubnetId=zones["us-east-1b"], **spot)


def test_quotas_count_virtual_cpus_by_family(cloud: LocalAws, ec2: Any) -> None:
    cloud.quota("L-DB2E81BA", 4)
    run(ec2)
    assert "limit of 4 allows" in refused(ec2, "VcpuLimitExceeded", token="t2")
    run(ec2, token="t3", kind="c7i.4xlarge")


def test_a_group_in_use_is_not_deleted_until_its_machine_is_gone(cloud: LocalAws, ec2: Any) -> None:
    group = ec2.create_security_group(GroupName="g", Description="d")["GroupId"]
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    id = run(ec2, NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": subnet, "Groups": [group]}])
    for _ in range(2):
        refusal(ec2.delete_security_group, code="DependencyViolation", GroupId=group)
        ec2.terminate_instances(InstanceIds=[id])
    cloud.advance(60)
    ec2.delete_security_group(GroupId=group)


def test_templates_are_listed_in_pages_and_show_their_tags_as_they_are_now(ec2: Any) -> None:
    for number in range(5):
        ec2.create_launch_template(LaunchTemplateName=f"name-{number}", LaunchTemplateData={"ImageId": AMI})
    pages = ec2.get_paginator("describe_launch_templates").paginate(PaginationConfig={"PageSize": 2})
    found = [one for page in pages for one in page["LaunchTemplates"]]
    assert [one["LaunchTemplateName"] for one in found] == [f"name-{number}" for number in range(5)]
    ec2.create_tags(Resources=[found[0]["LaunchTemplateId"]], Tags=[{"Key": "a", "Value": "b"}])
    (again,) = ec2.describe_launch_templates(LaunchTemplateNames=["name-0"])["LaunchTemplates"]
    assert again["Tags"] == [{"Key": "a", "Value": "b"}]


def test_a_version_of_a_template_keeps_what_its_source_says(ec2: Any) -> None:
    ec2.create_launch_template(LaunchTemplateName="name", LaunchTemplateData={"ImageId": AMI, "InstanceType": KIND})
    data = {"InstanceType": "g5.xlarge"}
    ec2.create_launch_template_version(LaunchTemplateName="name", SourceVersion="1", LaunchTemplateData=data)
    (newest,) = ec2.describe_launch_template_versions(LaunchTemplateName="name", Versions=["2"])[
        "LaunchTemplateVersions"
    ]
    found = newest["LaunchTemplateData"]
    assert (found["ImageId"], found["InstanceType"]) == (AMI, "g5.xlarge")


def test_the_deep_learning_image_has_its_public_parameter(cloud: LocalAws, ec2: Any, clients: Clients) -> None:
    name = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id"
    assert clients("ssm").get_parameter(Name=name)["Parameter"]["Value"] == AMI
    (image,) = ec2.describe_images(ImageIds=[AMI])["Images"]
    assert (image["Architecture"], image["RootDeviceName"]) == ("x86_64", "/dev/xvda")
    cloud.perform("release-image", id="ami-0fffffffffffffff1")
    assert clients("ssm").get_parameter(Name=name)["Parameter"]["Value"] == "ami-0fffffffffffffff1"


def test_a_spot_machine_that_is_taken_back_says_so(cloud: LocalAws, ec2: Any) -> None:
    id = run(ec2)
    cloud.perform("interrupt", id=id)
    cloud.advance(60)
    (reservation,) = ec2.describe_instances(InstanceIds=[id])["Reservations"]
    assert reservation["Instances"][0]["StateReason"]["Code"] == "Server.SpotInstanceTermination"


def test_a_machine_does_what_its_user_data_say_at_an_address_of_this_computer(cloud: LocalAws, ec2: Any) -> None:
    program = "docker run --rm --name x image --alias the-model --port 8080"
    id = run(ec2, UserData=user_data(program))
    cloud.advance(60)
    (reservation,) = ec2.describe_instances(InstanceIds=[id])["Reservations"]
    address = reservation["Instances"][0]["PrivateIpAddress"]
    assert address.startswith("127.")
    with urllib.request.urlopen(f"http://{address}:8080/v1/models") as answer:
        assert json.load(answer) == {"data": [{"id": "the-model"}]}
    ec2.terminate_instances(InstanceIds=[id])
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://{address}:8080/health")


def test_a_program_that_fails_leaves_its_words_on_the_console(cloud: LocalAws, ec2: Any) -> None:
    id = run(ec2, UserData=user_data("echo no weights here >&2; exit 3"))
    cloud.advance(60)
    said = ec2.get_console_output(InstanceId=id)["Output"]
    assert "no weights here" in (said if "weights" in said else base64.b64decode(said).decode())


def test_a_port_that_somebody_has_everywhere_is_said_to_be_taken() -> None:
    with socket.create_server(("", 0)) as everywhere, pytest.raises(OSError, match="taken on every address"):
        free_address(everywhere.getsockname()[1])


def test_a_new_world_has_no_machines(cloud: LocalAws, ec2: Any) -> None:
    run(ec2)
    cloud.reset()
    assert cloud.books() == ()
    assert run(ec2), "and knows no token"
