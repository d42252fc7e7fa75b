"""What AWS's drivers share: tags that can be read back, images of AWS's own, errors, and tokens."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import ClientError, EndpointConnectionError, SSLError

from drivers.aws.check import check, is_allowed_image, refuse
from drivers.aws.clients import Clients
from drivers.aws.errors import edge
from drivers.aws.place import Place
from drivers.aws.settings import AwsSettings
from drivers.aws.tags import deployment_from, tags_of
from drivers.base import Handling
from drivers.errors import Ambiguous, Denied, Exhausted, Rejected, Unavailable
from tests import builders


def test_nothing_is_made_of_a_spec_that_cannot_be_read_back_from_its_tags() -> None:
    """A long text that packs well fitted into the tags, and nobody could tell afterwards whose it was."""
    long = builders.model_spec(options={f"cloud.health-prompt-{number}": "a" * 4096 for number in range(16)})
    with pytest.raises(Rejected, match="too long for AWS's tags"):
        tags_of(builders.deployment(spec=long))
    fitting = builders.deployment(spec=builders.model_spec(options={"cloud.health-prompt": "a" * 4096}))
    assert deployment_from(tags_of(fitting)) == fitting


@pytest.mark.parametrize(
    ("image", "is_allowed"),
    [
        ("763104351884.dkr.ecr.us-west-2.amazonaws.com/vllm:server-sagemaker-cuda-v2", True),
        ("public.ecr.aws/deep-learning-containers/llama-cpp:server-cuda-v1", True),
        ("763104351884.dkr.ecr.models.s3.amazonaws.com/vllm:latest", False),
        ("763104351884.dkr.ecr.us-west-2.amazonaws.com.example.org/vllm:latest", False),
        ("763104351885.dkr.ecr.us-west-2.amazonaws.com/vllm:latest", False),
    ],
)
def test_only_aws_s_own_registries_need_no_permission(image: str, is_allowed: bool) -> None:
    assert is_allowed_image(image, AwsSettings(key_root=Path("/nonexistent"))) is is_allowed


@pytest.mark.parametrize("platform", ["aws-ec2", "aws-sagemaker"])
@pytest.mark.parametrize("asked", ["5", "50..51", "2..100"])
def test_no_way_of_writing_replicas_goes_past_the_operators_most(platform: str, asked: str) -> None:
    """What becomes of a range was said after its refusal, and took that away: 50..51 was fifty machines."""
    spec = builders.model_spec(options={"cloud.replicas": asked})
    with pytest.raises(Rejected, match=r"cloud\.replicas: .*aws\.max_replicas"):
        refuse(spec, platform, AwsSettings(key_root=Path("/nonexistent"), max_replicas=4))


@pytest.mark.parametrize("platform", ["aws-ec2", "aws-sagemaker", "aws-bedrock"])
def test_a_tag_that_aws_does_not_take_is_refused_before_the_plan(platform: str) -> None:
    long = builders.model_spec(options={"cloud.tags": f"team:{'v' * 300}"})
    found = check(long, platform, AwsSettings(key_root=Path("/nonexistent")))
    assert {each.key: each.handling for each in found}["cloud.tags"] is Handling.REJECTED


@pytest.mark.parametrize("platform", ["aws-ec2", "aws-sagemaker", "aws-bedrock"])
def test_a_check_never_raises_for_a_name_that_the_operator_did_not_give(platform: str) -> None:
    names = ("security-groups", "subnets", "role", "kms-key", "api-key-secret", "network", "credentials")
    options = {f"cloud.{name}": "nobodys" for name in names} | {"cloud.allowed-cidrs": "10.0.0.0/8"}
    found = check(builders.model_spec(options=options), platform, AwsSettings(key_root=Path("/nonexistent")))
    assert any(each.handling is Handling.REJECTED for each in found)


def test_a_region_in_which_nobody_would_look_for_what_is_ours_is_said() -> None:
    wanted = builders.model_spec(options={"cloud.region": "eu-west-1"})

    def said(**given: Any) -> str:
        settings = AwsSettings(key_root=Path("/nonexistent"), **given)
        return next(each.detail for each in check(wanted, "aws-ec2", settings) if each.key == "cloud.region")

    assert "nobody looks for it in eu-west-1" in said(region="us-west-2")
    assert said(region="us-west-2", regions=("eu-west-1",)) == said(region="eu-west-1") == said() == ""


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("TooManyLoadBalancers", Exhausted),
        ("ParameterLimitExceeded", Exhausted),
        ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", Denied),
        ("RequestLimitExceeded", Unavailable),
        ("SomethingUnheardOf", Ambiguous),
    ],
)
def test_a_quota_and_a_permission_are_told_from_what_may_have_been_done(code: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"creating: {code}: as AWS says"), edge("creating", changes=True):
        raise ClientError({"Error": {"Code": code, "Message": "as AWS says"}}, "Create")


def test_what_may_have_been_sent_is_ambiguous() -> None:
    with pytest.raises(Ambiguous), edge("creating", changes=True):
        raise SSLError(endpoint_url="https://api.example.org", error="wrong record")
    with pytest.raises(Unavailable), edge("creating", changes=True):
        raise EndpointConnectionError(endpoint_url="https://api.example.org")


NOW = datetime(2026, 5, 4, tzinfo=UTC)


class Session:
    """A session of the SDK that has credentials and nothing else."""

    def __init__(self, credentials: Any) -> None:
        self.get_credentials = lambda: credentials


def lent(left_s: float, *, renewed_s: float = 3600.0) -> RefreshableCredentials:
    """Credentials that end so soon; AWS lends new ones for `renewed_s`."""

    def renewed() -> dict[str, str]:
        ends = NOW + timedelta(seconds=renewed_s)
        return {"access_key": "AKIANEW", "secret_key": "s", "token": "t", "expiry_time": ends.isoformat()}

    ends = NOW + timedelta(seconds=left_s)
    return RefreshableCredentials("AKIAOLD", "s", "t", ends, renewed, "test", time_fetcher=lambda: NOW)


@pytest.mark.parametrize(
    ("credentials", "good_s", "key"),
    [
        (Credentials("AKIAUSER", "s"), 3600, "AKIAUSER"),
        (lent(7200), 3600, "AKIAOLD"),
        (lent(1000.5), 1000, "AKIAOLD"),
        (lent(60, renewed_s=1800), 1800, "AKIANEW"),
    ],
    ids=["a user's", "a role's", "that end soon", "that are renewed"],
)
@pytest.mark.parametrize("service", ["bedrock", "sagemaker"])
def test_a_token_ends_with_the_credentials_that_it_is_made_from(
    credentials: Credentials, good_s: int, key: str, service: str
) -> None:
    clients = Clients(AwsSettings(key_root=Path("/nonexistent")))
    clients._sessions[Place(None, None)] = Session(credentials)
    made = clients.token(Place("us-west-2", None), service, 3600, NOW)
    assert made.expires_at == NOW + timedelta(seconds=good_s)
    said = parse_qs(base64.b64decode(made.text.removeprefix(f"{service}-api-key-")).decode().partition("?")[2])
    assert said["X-Amz-Expires"] == [str(good_s)]
    assert said["X-Amz-Credential"][0].startswith(f"{key}/")
