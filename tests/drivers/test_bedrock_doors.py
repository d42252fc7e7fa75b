"""Private access to Bedrock: through an interface endpoint that the operator has, of which none is ever made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drivers.aws.bedrock.answering import base_url
from drivers.aws.bedrock.doors import Wanted, again, chosen, is_private, wanted
from drivers.aws.bedrock.wish import PLATFORM, Mode
from drivers.aws.check import check
from drivers.aws.clients import Clients
from drivers.aws.place import Place
from drivers.base import Deployment, Handling, ModelSpec, Phase
from drivers.errors import Denied, Rejected
from infra.localaws.localaws import LocalAws
from tests.drivers.bedrocks import REGION, SERVICE, Bedrocks, Network, settings

ASKED = Wanted(SERVICE, REGION)


def row(id: str, vpc: str = "vpc-1", **more: Any) -> Mapping[str, Any]:
    names = (f"{id}-x-us-west-2a.svc.vpce.amazonaws.com", f"bedrock-runtime.{REGION}.amazonaws.com", f"{id}-x.svc")
    found = {"VpcEndpointId": id, "VpcId": vpc, "State": "available", "SubnetIds": ["a", "b"], "Groups": []}
    return found | {"DnsEntries": [{"DnsName": name} for name in names]} | more


# -- which one --------------------------------------------------------------------------------------------------------


def test_the_endpoints_own_name_for_all_zones_is_what_clients_get() -> None:
    """The service's public name leads into the network from inside it, and out of it from anywhere else."""
    assert chosen([row("vpce-1")], ASKED).host == "vpce-1-x.svc"
    assert chosen([row("vpce-1", State="Available")], ASKED).host == "vpce-1-x.svc", "as AWS's reference spells it"


def test_an_endpoint_lies_in_all_that_the_file_names_and_is_always_the_same_one() -> None:
    grouped = [{"GroupId": "sg-1"}, {"GroupId": "sg-2"}]
    rows = [row("vpce-3", Groups=grouped), row("vpce-2"), row("vpce-1", "vpc-2", SubnetIds=["c"])]
    assert chosen(rows, ASKED._replace(network="vpc-1")).host == "vpce-2-x.svc"
    assert chosen(rows, ASKED._replace(network="vpc-2")).host == "vpce-1-x.svc"
    assert chosen(rows, ASKED._replace(subnets=("c",))).host == "vpce-1-x.svc"
    assert chosen(rows, ASKED._replace(subnets=("a", "b"), groups=("sg-2",))).host == "vpce-3-x.svc"
    with pytest.raises(Denied, match="in the subnets b, c"):
        chosen(rows, ASKED._replace(subnets=("b", "c")))
    with pytest.raises(Denied, match=r"in vpc-1, vpc-2: say which network with cloud\.network"):
        chosen(rows, ASKED)


def test_without_one_the_command_that_makes_it_is_said() -> None:
    with pytest.raises(Denied) as refusal:
        chosen([row("vpce-9", State="pending")], ASKED._replace(network="vpc-1", subnets=("a", "b"), groups=("sg-1",)))
    assert str(refusal.value) == (
        f"there is no interface endpoint for {SERVICE} in the network vpc-1 in the subnets a, b with the security "
        "groups sg-1; there: vpce-9 (pending, vpc-1). Its owner makes one: aws ec2 create-vpc-endpoint "
        f"--region {REGION} --vpc-endpoint-type Interface --service-name {SERVICE} --vpc-id vpc-1 --subnet-ids a b "
        "--security-group-ids sg-1"
    )


def test_the_one_that_was_given_is_found_again_by_its_name_or_said_to_be_gone() -> None:
    rows = [row("vpce-1"), row("vpce-2", State="deleting")]
    assert again(rows, "vpce-1-x.svc").missing == ""
    assert again(rows, "vpce-2-x.svc").missing == "AWS calls the interface endpoint vpce-2-x.svc deleting"
    assert "not there any more" in again(rows, "vpce-3-x.svc").missing


def test_an_endpoint_takes_the_place_of_the_host_and_of_nothing_else() -> None:
    public = "https://bedrock-runtime.us-west-2.amazonaws.com"
    assert base_url(public, REGION, False, "vpce-1.svc") == "https://vpce-1.svc/openai/v1/"
    assert base_url(public, REGION, True, "vpce-1.svc") == "https://vpce-1.svc/v1/"
    assert base_url("http://127.0.0.1:99", REGION, False, "vpce-1.svc") == "http://vpce-1.svc:99/openai/v1/"


# -- what a file asks for ---------------------------------------------------------------------------------------------


def spec(**options: str) -> ModelSpec:
    return ModelSpec(
        model="ai/gpt-oss", options={f"cloud.{name.replace('_', '-')}": text for name, text in options.items()}
    )


def own(root: Path, **given: Any) -> Any:
    tables = {
        "networks": {"default": "vpc-1", "other": "vpc-2"},
        "subnets": {"default-a": "a", "b": "b"},
        "security_groups": {"default": "sg-1", "web": "sg-2"},
    }
    return settings(root, **tables | given)


@pytest.mark.parametrize(
    ("options", "private"),
    [
        ({}, False),
        ({"public_ip": "true"}, False),
        ({"public_ip": "false"}, True),
        ({"network": "other"}, True),
        ({"subnets": "b"}, True),
        ({"security_groups": "web"}, True),
    ],
)
def test_access_is_private_where_the_file_says_so(options: dict[str, str], private: bool) -> None:
    assert is_private(spec(**options)) is private


def test_what_the_operator_keeps_for_machines_narrows_nothing(tmp_path: Path) -> None:
    def asked(**options: str) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
        found = wanted(spec(**options), own(tmp_path), "bedrock-runtime", REGION)
        return found.network, found.subnets, found.groups

    assert asked(public_ip="false") == ("vpc-1", (), ())
    assert asked(network="other") == ("vpc-2", (), ())
    assert asked(subnets="b") == (None, ("b",), ())
    assert asked(network="other", security_groups="web") == ("vpc-2", (), ("sg-2",))


def test_a_plan_says_how_requests_get_there(tmp_path: Path) -> None:
    def said(**options: str) -> dict[str, tuple[Handling, str]]:
        found = check(spec(**options), PLATFORM, own(tmp_path))
        return {one.key: (one.handling, one.detail) for one in found if one.key != "model"}

    handling, detail = said(network="other")["cloud.network"]
    assert (handling, "none is made" in detail) == (Handling.TRANSLATED, True)
    assert "public address" in said(public_ip="true")["cloud.public-ip"][1]
    handling, detail = said(public_ip="true", subnets="b")["cloud.public-ip"]
    assert (handling, detail) == (Handling.REJECTED, "contradicts cloud.subnets: leave one or the other out")
    assert said(network="nobodys")["cloud.network"][0] is Handling.REJECTED


# -- on the local cloud -----------------------------------------------------------------------------------------------


@pytest.fixture
def network(aws: LocalAws, aws_clients: Clients) -> Network:
    return Network(aws_clients(Place(REGION, None), "ec2").calls)


@pytest.fixture
def make(
    aws: LocalAws, aws_clients: Clients, tmp_path: Path, network: Network, localhost_names: None
) -> Callable[..., Bedrocks]:
    tables = {
        "networks": {"own": network.vpc},
        "subnets": {"a": network.subnets[0], "b": network.subnets[1]},
        "security_groups": {"web": network.group},
    }
    return lambda mode=Mode.ON_DEMAND: Bedrocks(aws, aws_clients, settings(tmp_path, **tables), mode)


def host(bedrocks: Bedrocks, deployment: Deployment) -> str:
    seen = bedrocks.driver.observe(deployment)
    assert seen.endpoint is not None
    return str(seen.endpoint.url).removeprefix("http://").partition(":")[0]


@pytest.mark.parametrize("mode", list(Mode))
def test_a_model_answers_through_the_endpoint_that_is_there_and_nothing_is_made_for_it(
    make: Callable[..., Bedrocks], network: Network, mode: Mode
) -> None:
    bedrocks, endpoint = make(mode), network.endpoint()
    deployment = bedrocks.deployment(1, network="own", subnets="a,b", security_groups="web")
    bedrocks.cloud.baseline()
    bedrocks.ready(deployment)
    assert host(bedrocks, deployment) == f"{endpoint}-{endpoint[-8:]}.bedrock-runtime.{REGION}.vpce.localhost"
    assert {name for name in bedrocks.cloud.calls() if name.startswith("ec2.Create")} <= {
        "ec2.CreateVpc", "ec2.CreateSubnet", "ec2.CreateSecurityGroup", "ec2.CreateVpcEndpoint",
    }  # fmt: skip
    assert bedrocks.cloud.counts()["ec2.CreateVpcEndpoint"] == 1, "the operator's own"
    bedrocks.until(bedrocks.driver.delete, deployment, Phase.ABSENT)
    assert bedrocks.books() == []
    assert len(network.ec2.describe_vpc_endpoints()["VpcEndpoints"]) == 1


def test_the_other_api_has_endpoints_of_its_own(make: Callable[..., Bedrocks], network: Network) -> None:
    bedrocks = make()
    mantle = {"aws.bedrock-api": "mantle", "cloud.model-id": "openai.gpt-oss-20b", "cloud.public-ip": "false"}
    deployment = bedrocks.deployment(spec=ModelSpec(model="ai/gpt-oss", options=mantle))
    network.endpoint()
    with pytest.raises(Denied, match=r"no interface endpoint for com\.amazonaws\.us-west-2\.bedrock-mantle"):
        bedrocks.driver.create(deployment)
    endpoint = network.endpoint(SERVICE.replace("runtime", "mantle"))
    bedrocks.ready(deployment)
    assert host(bedrocks, deployment).startswith(endpoint)


@pytest.mark.parametrize("mode", list(Mode))
def test_nothing_is_made_that_nobody_could_reach_and_an_endpoint_that_comes_mends_it(
    make: Callable[..., Bedrocks], network: Network, mode: Mode
) -> None:
    bedrocks = make(mode)
    deployment = bedrocks.deployment(1, public_ip="false")
    bedrocks.cloud.baseline()
    with pytest.raises(Denied, match="aws ec2 create-vpc-endpoint") as refusal:
        bedrocks.driver.create(deployment)
    assert not isinstance(refusal.value, Rejected), "the file is right, and is tried again"
    assert bedrocks.books() == []
    network.endpoint()
    bedrocks.ready(deployment)


def test_an_endpoint_that_goes_away_is_noticed_and_clients_are_not_moved_silently(
    make: Callable[..., Bedrocks], network: Network
) -> None:
    bedrocks, first = make(), network.endpoint()
    deployment = bedrocks.deployment(1, network="own")
    ready = bedrocks.ready(deployment)
    network.delete(first)
    network.endpoint()
    seen = bedrocks.driver.observe(deployment)
    assert (seen.phase, seen.endpoint) == (Phase.DEGRADED, ready.endpoint)
    assert f"the interface endpoint {first}" in seen.detail
    assert bedrocks.ready(bedrocks.deployment(3, network="own")).phase is Phase.READY, "a new one takes what is there"


def test_what_cannot_be_reached_from_here_says_so(
    make: Callable[..., Bedrocks], network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    bedrocks = make()
    network.endpoint()
    deployment = bedrocks.deployment(1, network="own")
    bedrocks.driver.create(deployment)
    bedrocks.cloud.fault("request-lost", operation="chat/completions")
    seen = bedrocks.driver.observe(deployment)
    assert seen.phase is Phase.CREATING
    assert "can be reached from its own network only" in seen.detail
    assert bedrocks.driver.observe(deployment).phase is Phase.READY


def test_a_long_list_of_private_models_costs_one_look_at_the_endpoints(
    make: Callable[..., Bedrocks], network: Network
) -> None:
    bedrocks = make()
    network.endpoint()
    many = [bedrocks.deployment(number + 10, network="own") for number in range(30)]
    for each in many:
        bedrocks.driver.create(each)
    bedrocks.cloud.forget_calls()
    assert {one.phase for one in bedrocks.driver.observe_many(many).values()} == {Phase.READY}
    assert bedrocks.cloud.counts()["ec2.DescribeVpcEndpoints"] == 1
    assert len(bedrocks.cloud.calls()) <= 10


def test_an_id_that_has_answered_by_the_public_address_is_asked_again_through_the_endpoint(
    make: Callable[..., Bedrocks], network: Network
) -> None:
    bedrocks = make()
    deployment = bedrocks.deployment(1, network="own")
    bedrocks.ready(bedrocks.deployment(1))
    handle = bedrocks.driver.handles[deployment.id]
    endpoint = network.endpoint()
    bedrocks.cloud.forget_calls()
    seen = bedrocks.bare().observe(replace(deployment, handle=dict(handle)))
    assert seen.endpoint is not None
    assert endpoint in seen.endpoint.url
    assert bedrocks.cloud.counts()["runtime.chat/completions"] == 1
