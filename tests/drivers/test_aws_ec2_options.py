"""Every key promised for EC2 by the vocabulary changes what AWS or a machine is asked for, or is said to be missing."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from drivers import catalog
from drivers.aws import check
from drivers.aws.ec2 import names, options
from drivers.aws.place import place_of
from drivers.base import Deployment, Finding, Handling
from drivers.errors import Denied
from drivers.manifest import NOT_YET, honoured
from infra.localaws import cloud as local_cloud
from infra.localaws.calls import Call
from infra.localaws.ec2.machines import Machines
from infra.localaws.http import Answer, Request
from tests import builders
from tests.drivers.aws_clouds import backdoor
from tests.drivers.ec2s import Ec2s

HUB = "hf.co/Qwen/Qwen3-8B"
KMS = "arn:aws:kms:us-east-1:123456789012:key/2"
TRIED: Mapping[str, Mapping[str, str]] = {
    # key: with it, two specs that differ in nothing else come to different requests
    "cloud.accelerator": {"cloud.accelerator": "l40s"},
    "cloud.accelerator-memory": {"cloud.accelerator-memory": "80..85"},
    "cloud.allowed-cidrs": {"cloud.allowed-cidrs": "10.9.0.0/16"},
    "cloud.api-key-secret": {"cloud.api-key-secret": "own"},
    "cloud.cache": {"cloud.cache": "none"},
    "cloud.cpu": {"cloud.cpu": "8", "cloud.instance-type": "g6.xlarge,g6.2xlarge"},
    "cloud.disk-size": {"cloud.disk-size": "300GiB"},
    "cloud.disk-type": {"cloud.disk-type": "gp2"},
    "cloud.engine": {"cloud.engine": "llamacpp", "cloud.model-id": HUB},
    "cloud.health-path": {"cloud.health-path": "/up"},
    "cloud.health-prompt": {"cloud.health-prompt": "Are you there?"},
    "cloud.hf-token-secret": {"cloud.hf-token-secret": "own"},
    "cloud.image": {"cloud.image": "docker.io/ours/server:1"},
    "cloud.instance-type": {"cloud.instance-type": "g6.2xlarge"},
    "cloud.kms-key": {"cloud.kms-key": "other"},
    "cloud.memory": {"cloud.memory": "30GiB..40GiB", "cloud.instance-type": "g6.xlarge,g6.2xlarge"},
    "cloud.model-id": {"cloud.model-id": "ai/smollm3"},
    "cloud.model-revision": {"cloud.model-revision": "abcdef1234", "cloud.model-id": HUB},
    "cloud.model-source": {"cloud.model-source": "s3://weights/smollm2.gguf"},
    "cloud.name": {"cloud.name": "the-chat-model"},
    "cloud.network": {"cloud.network": "other"},
    "cloud.public-ip": {"cloud.public-ip": "true"},
    "cloud.quantization": {"cloud.quantization": "q8_0"},
    "cloud.region": {"cloud.region": "us-west-2"},
    "cloud.replicas": {"cloud.replicas": "2"},
    "cloud.reservation": {"cloud.reservation": "cr-0123456789abcdef0"},
    "cloud.role": {"cloud.role": "other"},
    "cloud.security-groups": {"cloud.security-groups": "other"},
    "cloud.shm-size": {"cloud.shm-size": "8GiB"},
    "cloud.spot": {"cloud.spot": "require"},
    "cloud.subnets": {"cloud.subnets": "other"},
    "cloud.tags": {"cloud.tags": "team:search"},
    "cloud.ttl": {"cloud.ttl": "1000d"},
    "cloud.visibility": {"cloud.visibility": "public"},
    "cloud.zones": {"cloud.zones": "us-east-1c"},
}
ELSEWHERE = frozenset({"cloud.account", "cloud.credentials"})
"""They decide with what AWS is asked, and whether it is."""
ONLY_SAID = frozenset({"cloud.auth", "cloud.accept-eula"})
"""What EC2 has one answer to: checked, and nothing to send."""
PROMISED = frozenset(
    key
    for key, entry in catalog.vocabulary().keys.items()
    if entry.handling.get("aws-ec2") in (Handling.HONOURED, Handling.TRANSLATED)
    and (not entry.engine or key in options.IMPLEMENTED)
)
_MADE = re.compile(r"\b(sg|lt|i)-[0-9a-f]{8,}|(?<=/)[0-9a-f]{16}\b")
"""Ids that AWS makes up."""


class Heard:
    """What AWS and the machines were asked for on behalf of one deployment, but for what only says whose it is."""

    def __init__(self, deployment: Deployment, kept: Collection[str]) -> None:
        self.asked: set[tuple[str, ...]] = set()
        self._own = (deployment.name, deployment.id, names.balancer_name(deployment))
        self._kept = kept

    def call(self, call: Call) -> None:
        body = (call.request.body or b"").decode()
        said = json.loads(body) if body.startswith("{") else dict(parse_qsl(body))
        for name, value in _without_spec(said):
            self._note(call.region, call.name, re.sub(r"\.\d+", "", name), json.dumps(value, sort_keys=True))

    def request(self, path: str, body: str) -> None:
        self._note(path, body)

    def _note(self, *words: str) -> None:
        self.asked.add(tuple(self._plain(word) for word in words))

    def _plain(self, word: str) -> str:
        for own in self._own:
            word = word.replace(own, "OWN")
        return _MADE.sub(lambda made: made[0] if made[0] in self._kept else "MADE", word)


def _without_spec(said: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Without the tags that hold the spec, the tokens of requests, and the key that was minted."""
    spec = {name.removesuffix("Key") for name, value in said.items() if str(value).startswith("cmr:spec")}
    for name, value in said.items():
        of_spec = name.removesuffix("Value") in spec or name.removesuffix("Key") in spec
        if of_spec or "ClientToken" in name or (name == "Value" and "Type" in said):
            continue
        if name == "Tags":
            value = [tag for tag in value if not tag["Key"].startswith("cmr:spec")]
        yield name, base64.b64decode(value).decode() if name.endswith("UserData") else value


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Ec2s]:
    made = Ec2s(tmp_path)
    ec2, ssm, iam = backdoor("ec2"), backdoor("ssm"), backdoor("iam")
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    ec2.create_subnet(VpcId=vpc, CidrBlock="10.8.1.0/24", AvailabilityZone="us-east-1a")
    group = ec2.create_security_group(GroupName="theirs", Description="theirs")["GroupId"]
    iam.create_instance_profile(InstanceProfileName="another")
    ssm.put_parameter(Name="/own", Value="a-secret", Type="SecureString")
    made.settings = replace(
        made.settings,
        networks={"other": vpc},
        subnets={"other": sorted(one["SubnetId"] for one in ec2.describe_subnets()["Subnets"])[0]},
        security_groups={"other": group},
        roles={"other": "another"},
        kms_keys={"other": KMS},
        secrets={"own": "/own"},
        credentials={"other": "a-profile"},
        allowed_images=("docker.io/ours",),
        public=True,
    )
    made.driver = made.after_a_crash()
    yield made
    made.cloud.reset()


def heard(
    platform: Ec2s, monkeypatch: pytest.MonkeyPatch, given: Mapping[str, str], number: int
) -> set[tuple[str, ...]]:
    """All that is asked for on the way of one deployment."""
    deployment = platform.deployment(number, spec=builders.model_spec(options=dict(given)))
    found = Heard(deployment, platform.settings.security_groups.values())
    identify, echo = local_cloud.identify, Machines._echo

    def identified(request: Request) -> Call | None:
        call = identify(request)
        if call is not None:
            found.call(call)
        return call

    def echoed(machines: Machines, id: str, request: Request) -> Answer:
        found.request(request.path, (request.body or b"").decode())
        return echo(machines, id, request)

    with monkeypatch.context() as patch:
        patch.setattr(local_cloud, "identify", identified)
        patch.setattr(Machines, "_echo", echoed)
        platform.driver.create(deployment)
        platform.cloud.advance(60)
        platform.driver.observe(deployment)
    return found.asked


def finding(platform: Ec2s, given: Mapping[str, str], key: str) -> Finding:
    spec = builders.model_spec(options=dict(given))
    return next(one for one in check.check(spec, "aws-ec2", platform.settings) if one.key == key)


@pytest.mark.parametrize("key", TRIED)
def test_every_honoured_key_changes_what_is_asked_for(
    key: str, platform: Ec2s, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = dict(TRIED[key])
    said = finding(platform, given, key)
    assert said.handling in (Handling.HONOURED, Handling.TRANSLATED), said
    without = {name: text for name, text in given.items() if name != key}
    assert heard(platform, monkeypatch, given, 1) != heard(platform, monkeypatch, without, 2)


@pytest.mark.parametrize("given", [{}, {"cloud.startup-timeout": "10m"}, {"cloud.auth": "api-key"}])
def test_what_reaches_nobody_changes_nothing(
    given: dict[str, str], platform: Ec2s, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail."""
    heard(platform, monkeypatch, {}, 3)  # who one is, is asked once
    assert heard(platform, monkeypatch, given, 1) == heard(platform, monkeypatch, {}, 2)


def test_credentials_and_account_decide_with_what_aws_is_asked(platform: Ec2s) -> None:
    named = platform.options(1, credentials="other")
    assert place_of(named, platform.settings).profile == "a-profile"
    assert place_of(platform.deployment(2), platform.settings).profile is None
    for account, refused in (("123456789012", False), ("999999999999", True)):
        with pytest.raises(Denied, match="not to 999999999999") if refused else contextlib.nullcontext():
            platform.driver.create(platform.options(3, account=account))


def test_no_key_is_without_a_test() -> None:
    assert TRIED.keys() | ELSEWHERE | ONLY_SAID == options.IMPLEMENTED
    assert honoured("aws-ec2") == options.IMPLEMENTED
    assert PROMISED >= options.IMPLEMENTED


@pytest.mark.parametrize("key", sorted(PROMISED - options.IMPLEMENTED))
def test_what_is_promised_and_not_honoured_says_so(key: str, platform: Ec2s) -> None:
    said = finding(platform, {key: "1h" if key == "cloud.idle-timeout" else "1"}, key)
    assert said.handling is Handling.IGNORED
    assert said.detail == (NOT_YET if key != "cloud.idle-timeout" else said.detail)
    assert said.detail


@pytest.mark.parametrize(
    ("given", "key", "handling", "words"),
    [
        ({"cloud.idle-timeout": "15m"}, "cloud.idle-timeout", Handling.IGNORED, "could be woken by nobody"),
        ({"cloud.idle-timeout": "off"}, "cloud.idle-timeout", Handling.HONOURED, "never stopped"),
        ({"cloud.accept-eula": "true"}, "cloud.accept-eula", Handling.IGNORED, "nobody asks for it"),
        (
            {"cloud.accept-eula": "true", "cloud.hf-token-secret": "own"},
            "cloud.accept-eula", Handling.IGNORED, "nobody asks for it",
        ),
        (
            {"cloud.accept-eula": "true", "cloud.hf-token-secret": "own", "cloud.model-id": HUB},
            "cloud.accept-eula", Handling.TRANSLATED, "Hugging Face holds the token's account to it",
        ),
        (
            {"cloud.accept-eula": "true", "cloud.hf-token-secret": "own", "cloud.model-source": "s3://w/m.gguf"},
            "cloud.accept-eula", Handling.IGNORED, "nobody asks for it",
        ),
        ({"cloud.replicas": "2..4"}, "cloud.replicas", Handling.REJECTED, "none is added or taken away: write 2 alone"),
        ({"cloud.replicas": "0..4"}, "cloud.replicas", Handling.REJECTED, "1 or more"),
        ({"cloud.replicas": "3..3"}, "cloud.replicas", Handling.HONOURED, ""),
    ],
)  # fmt: skip
def test_what_is_done_otherwise_or_not_at_all_says_why(
    given: dict[str, str], key: str, handling: Handling, words: str, platform: Ec2s
) -> None:
    said = finding(platform, given, key)
    assert (said.handling, words in said.detail) == (handling, True), said
