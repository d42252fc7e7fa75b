"""Every key that the vocabulary promises for Bedrock changes what is sent there, or is said not to be honoured yet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from drivers import catalog
from drivers.aws.bedrock import options
from drivers.aws.bedrock.driver import BedrockDriver
from drivers.aws.bedrock.wish import API, Mode, mode_of, wish_of
from drivers.aws.check import check
from drivers.aws.clients import Clients
from drivers.aws.place import Place
from drivers.aws.settings import AwsSettings
from drivers.base import Finding, Handling, ModelSpec
from drivers.errors import DriverError
from drivers.manifest import NOT_YET, honoured
from infra.localaws.bedrock.overlay import Bedrock
from infra.localaws.calls import Call
from infra.localaws.http import Request
from infra.localaws.localaws import LocalAws
from tests.drivers.bedrocks import REGION, ROLE, Bedrocks, Network
from tests.drivers.words import is_well_formed

S3 = {"cloud.model-source": "s3://weights/smollm2"}
KEY = "arn:aws:kms:us-west-2:123456789012:key/00000000-0000-4000-8000-000000000000"
STRANGER = "999999999999"
UNSIGNED = "mistral.mistral-7b-instruct-v0:2"
"""The model whose terms nobody has accepted for this account."""

TRIED: Mapping[str, Mapping[str, str]] = {
    # key: with it, two specs that differ in nothing else come to different requests, or point clients elsewhere
    API: {API: "mantle"},
    "cloud.accept-eula": {"cloud.accept-eula": "true", "cloud.model-id": UNSIGNED},
    "cloud.account": {"cloud.account": STRANGER},
    "cloud.api-key-secret": {"cloud.api-key-secret": "shared"},
    "cloud.auth": {"cloud.auth": "iam", "cloud.api-key-secret": "shared"},
    "cloud.credentials": {"cloud.credentials": "other"},
    "cloud.health-prompt": {"cloud.health-prompt": "Are you there?"},
    "cloud.inference-profile": {"cloud.inference-profile": "us", "cloud.model-id": "meta.llama3-1-8b-instruct-v1:0"},
    "cloud.kms-key": {"cloud.kms-key": "own", **S3},
    "cloud.model-id": {"cloud.model-id": "openai.gpt-oss-120b-1:0"},
    "cloud.model-source": S3,
    "cloud.name": {"cloud.name": "the-chat-model"},
    "cloud.network": {"cloud.network": "own"},
    "cloud.public-ip": {"cloud.public-ip": "false"},
    "cloud.region": {"cloud.region": "us-east-1"},
    "cloud.role": {"cloud.role": "other", **S3},
    "cloud.security-groups": {"cloud.security-groups": "web"},
    "cloud.subnets": {"cloud.subnets": "a"},
    "cloud.tags": {"cloud.tags": "team:search"},
    "cloud.throughput": {"cloud.throughput": "provisioned:1", "cloud.model-id": "meta.llama3-1-8b-instruct-v1:0"},
}
WHOLE = AwsSettings(
    key_root=Path("/keys"),
    region=REGION,
    roles={"default": ROLE, "other": f"{ROLE}-other"},
    kms_keys={"own": KEY},
    secrets={"shared": "/models/bedrock-key", "1": "/a/parameter"},
    credentials={"other": "a-profile"},
    networks={"own": "vpc-1"},
    subnets={"a": "subnet-1"},
    security_groups={"web": "sg-1"},
    provisioned_throughput=True,
)
"""An operator's settings that have an entry for everything that is tried."""


def spec(given: Mapping[str, str], model: str = "ai/gpt-oss") -> ModelSpec:
    return ModelSpec(model=model, options=dict(given))


def found(given: Mapping[str, str], key: str) -> Finding:
    return next(finding for finding in check(spec(given), "aws-bedrock", WHOLE) if finding.key == key)


# -- what is sent -----------------------------------------------------------------------------------------------------


class Account:
    """An operator's account, and the means to see all that a driver sends into it for a spec."""

    def __init__(self, aws: LocalAws, clients: Clients, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.aws, self.clients, self.root, self.monkeypatch = aws, clients, root, monkeypatch

    def sent(self, wanted: ModelSpec) -> list[str]:
        """Everything that is sent until the model answers, in its order, and where clients are pointed then; what the
        driver refuses ends it. Owner tags say the spec, so they are left out."""
        self.aws.reset()
        bedrocks = self.prepared("cloud.credentials" in wanted.options)
        deployment = bedrocks.deployment(1, wanted)
        with self.recorded() as seen:
            try:
                ready = bedrocks.ready(deployment)
            except DriverError as refusal:
                return [*seen, f"{type(refusal).__name__}: {refusal}"]
        assert ready.endpoint is not None
        host = ready.endpoint.url.partition("//")[2].partition(":")[0]
        return [*seen, f"{host} {ready.endpoint.model_id} {ready.endpoint.auth.value}"]

    def prepared(self, with_another_user: bool) -> Bedrocks:
        own = self.clients
        network = Network(own(Place(REGION, None), "ec2").calls)
        network.endpoint()
        parameters = own(Place(REGION, None), "ssm").calls
        parameters.put_parameter(Name="/models/bedrock-key", Value="ABSK-one", Type="SecureString")
        self.aws.perform("bedrock-key", key="ABSK-one", region=REGION)
        self.aws.perform("bedrock-access", model=UNSIGNED, agreement="NOT_AVAILABLE")
        tables: dict[str, Any] = {
            "networks": {"own": network.vpc},
            "subnets": {"a": network.subnets[0]},
            "security_groups": {"web": network.group},
        }
        operators = replace(WHOLE, key_root=self.root, **tables)
        if with_another_user:
            self.add_a_user()
            own = Clients(operators)  # which reads the profile anew: its key is another one in every world
        return Bedrocks(self.aws, own, operators)

    def add_a_user(self) -> None:
        """A profile with the key of a second user of the account."""
        users = self.clients(Place(REGION, None), "iam").calls
        users.create_user(UserName="other")
        key = users.create_access_key(UserName="other")["AccessKey"]
        file = self.root / "credentials"
        pair = f"aws_access_key_id = {key['AccessKeyId']}\naws_secret_access_key = {key['SecretAccessKey']}\n"
        file.write_text(f"[a-profile]\n{pair}")
        self.monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))

    @contextmanager
    def recorded(self) -> Iterator[list[str]]:
        seen: list[str] = []
        (overlay,) = (part for part in self.aws.cloud.overlays if isinstance(part, Bedrock))
        own = overlay.data_plane

        def before(call: Call) -> None:
            who = "" if call.access_key.startswith("AKIALOCAL") else "as another user "
            seen.append(f"{who}{call.name} {call.region} {_plain(call.parameters)}")

        def data_plane(request: Request) -> Any:
            bearer = request.headers["authorization"].partition(" ")[2]
            auth = bearer if bearer.startswith("ABSK") else "a token"
            seen.append(f"{request.path} with {auth} {request.body.decode()}")
            return own(request)

        with self.monkeypatch.context() as patch:
            patch.setattr(overlay, "before", before)
            patch.setattr(overlay, "data_plane", data_plane)
            yield seen


def _plain(parameters: Mapping[str, Any]) -> str:
    """As text, without the owner's tags and what a signature brings."""

    def kept(value: Any) -> Any:
        if isinstance(value, list):
            return [kept(each) for each in value if not str(dict(each).get("key", "")).startswith("cmr:")]
        return value

    return json.dumps({name: kept(value) for name, value in parameters.items()}, sort_keys=True)


@pytest.fixture
def account(
    aws: LocalAws, aws_clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, localhost_names: None
) -> Account:
    return Account(aws, aws_clients, tmp_path, monkeypatch)


EXPECTED: Mapping[str, Callable[[list[str]], bool]] = {
    "cloud.accept-eula": lambda sent: UNSIGNED in sent[-1] and any("chat/completions" in line for line in sent),
    "cloud.account": lambda sent: sent[-1].startswith("Denied: ") and not any("Create" in line for line in sent),
    "cloud.api-key-secret": lambda sent: any("chat/completions with ABSK-one" in line for line in sent),
    "cloud.auth": lambda sent: any("chat/completions with a token" in line for line in sent),
    "cloud.credentials": lambda sent: all(line.startswith("as another user") for line in sent if "bedrock." in line),
    "cloud.health-prompt": lambda sent: any("Are you there?" in line for line in sent),
    "cloud.inference-profile": lambda sent: "us.meta.llama3-1-8b" in sent[-1],
    "cloud.kms-key": lambda sent: any(KEY in line for line in sent if "CreateModelImportJob" in line),
    "cloud.network": lambda sent: ".vpce.localhost" in sent[-1],
    "cloud.public-ip": lambda sent: ".vpce.localhost" in sent[-1],
    "cloud.region": lambda sent: all(" us-east-1 " in line for line in sent if "bedrock." in line),
    "cloud.role": lambda sent: any(f"{ROLE}-other" in line for line in sent if "CreateModelImportJob" in line),
    "cloud.security-groups": lambda sent: ".vpce.localhost" in sent[-1],
    "cloud.subnets": lambda sent: ".vpce.localhost" in sent[-1],
    "cloud.tags": lambda sent: any('"team"' in line for line in sent if "CreateInferenceProfile" in line),
    "cloud.name": lambda sent: any("the-chat-model" in line for line in sent if "CreateInferenceProfile" in line),
    "cloud.throughput": lambda sent: any('"modelUnits": 1' in line for line in sent),
    "cloud.model-id": lambda sent: "openai.gpt-oss-120b-1:0" in sent[-1],
    "cloud.model-source": lambda sent: any("s3://weights/smollm2" in line for line in sent),
    API: lambda sent: any(line.startswith("/v1/chat/completions") for line in sent),
}


@pytest.mark.parametrize("key", TRIED)
def test_every_honoured_key_is_sent_as_what_it_means_and_would_not_be_without_it(account: Account, key: str) -> None:
    wanted = dict(TRIED[key])
    finding = found(wanted, key)
    assert finding.handling in (Handling.HONOURED, Handling.TRANSLATED), finding
    sent = account.sent(spec(wanted))
    assert EXPECTED[key](sent), "\n".join(sent)
    without = account.sent(spec({name: text for name, text in wanted.items() if name != key}))
    assert sent != without
    assert not EXPECTED[key](without), "\n".join(without)


def test_what_changes_nothing_sends_the_same(account: Account) -> None:
    """Without which every key would seem to change something."""
    others = {"llamacpp.threads": "4", "aws.update-policy": "rolling", "cloud.health-path": "/up"}
    assert account.sent(spec(others)) == account.sent(spec({}))
    assert account.sent(spec(S3)) == account.sent(spec(S3))


# -- none is dropped --------------------------------------------------------------------------------------------------


def test_no_key_is_without_a_test() -> None:
    assert TRIED.keys() == EXPECTED.keys() == options.IMPLEMENTED
    assert honoured("aws-bedrock") == options.IMPLEMENTED


@pytest.mark.parametrize("key", [
    key for key, entry in catalog.vocabulary().keys.items()
    if entry.handling.get("aws-bedrock") in (Handling.HONOURED, Handling.TRANSLATED)
    and not (entry.engine and not entry.planned)
])  # fmt: skip
def test_what_is_promised_is_honoured_or_said_to_be_missing(key: str) -> None:
    if key in options.IMPLEMENTED:
        assert key in TRIED
        return
    finding = found({key: "1"}, key)
    limits_spending = catalog.vocabulary().keys[key].spending
    assert finding.handling is Handling.IGNORED or limits_spending or key == "cloud.guardrail", "a limit is not dropped"
    assert finding.detail.startswith(NOT_YET)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("cloud.guardrail", "headers of every request"),
        ("cloud.health-path", "a real completion was answered"),
        ("cloud.hf-token-secret", "s3:// and from nowhere else"),
        ("cloud.project", "cloud.account is the guard"),
    ],
)
def test_what_the_driver_itself_leaves_out_says_why(key: str, words: str) -> None:
    assert words in found({key: "1"}, key).detail
    assert words in found({key: "1"} | S3, key).detail


def test_nothing_that_names_the_place_or_the_clients_url_is_changed_in_place() -> None:
    fixed = {"cloud.region", "cloud.credentials", "cloud.network", "cloud.subnets", "cloud.security-groups",
             "cloud.public-ip", "cloud.model-id", "cloud.model-source", "cloud.throughput", API, "model"}  # fmt: skip
    assert not BedrockDriver.capabilities.updatable & fixed
    assert BedrockDriver.capabilities.updatable <= options.IMPLEMENTED


WORDS = (
    "true", "false", "auto", "none", "us", "eu", "global", "on-demand", "provisioned:2", "batch", "0", "2", "1..4",
    "15m", "iam", "api-key", "mantle", "runtime", "us-west-2", "eu-west-1", "other", "own", "a", "web", "shared",
    "a:b", "team:søk", "s3://b/k", "hf://Qwen/Qwen3-8B", "openai.gpt-oss-20b-1:0", "deepseek.r1-v1:0", "family",
    "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/x", "g:1", "abcdef1", "managed",
)  # fmt: skip
MODELS = ("ai/gpt-oss", "ai/llama3.2", "ai/smollm2", "ai/mistral", "ai/mxbai-embed-large", "hf.co/Qwen/Qwen3-8B")


@hypothesis_settings(max_examples=400, deadline=None)
@given(
    model=st.sampled_from(MODELS),
    options=st.dictionaries(st.sampled_from(sorted(catalog.vocabulary().keys)), st.sampled_from(WORDS), max_size=7),
)
def test_whatever_is_well_formed_is_refused_beforehand_or_comes_to_one_way_to_be_served(
    model: str, options: dict[str, str]
) -> None:
    given = {key: text for key, text in options.items() if is_well_formed(key, text)}
    wanted = spec(given, model)
    findings = check(wanted, "aws-bedrock", WHOLE)
    assert [finding.key for finding in findings] == ["model", *given]
    if any(finding.handling is Handling.REJECTED for finding in findings):
        return
    wish = wish_of(wanted, WHOLE)
    assert wish.mode is mode_of(wanted)
    assert bool(wish.model) != (wish.mode is Mode.IMPORT)
