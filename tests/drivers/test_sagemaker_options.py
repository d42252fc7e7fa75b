"""Every key that the vocabulary promises for SageMaker is honoured by a request, or is reported as not yet honoured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from drivers import catalog
from drivers.aws.check import check
from drivers.aws.sagemaker import alarms, names, options, readiness, requests, scaling
from drivers.aws.sagemaker.driver import SageMakerDriver
from drivers.aws.sagemaker.ground import Ground
from drivers.base import Finding, Handling, ModelSpec
from drivers.errors import Denied
from drivers.manifest import NOT_YET, honoured
from tests import builders
from tests.drivers.sagemakers import ROLE, settings
from tests.drivers.words import is_well_formed

S3 = "s3://weights/smollm2"
OWN = replace(
    settings(Path("/keys")),
    roles={"default": ROLE, "other": f"{ROLE}-other"},
    networks={"default": "vpc-1", "other": "vpc-2"},
    subnets={"default-a": "subnet-1", "other": "subnet-2"},
    security_groups={"default": "sg-1", "other": "sg-2"},
    kms_keys={"other": "arn:aws:kms:us-west-2:123456789012:key/2"},
    credentials={"other": "a-profile"},
    secrets={"1": "/a/parameter"},
    allowed_images=("docker.io/ours",),
)
TRIED: Mapping[str, Mapping[str, str]] = {
    # key: with it, two specs that differ in nothing else come to different requests
    "cloud.accelerator": {"cloud.accelerator": "l40s"},
    "cloud.accelerator-memory": {"cloud.accelerator-memory": "40..60"},
    "cloud.accept-eula": {"cloud.accept-eula": "true", "cloud.model-source": S3},
    "cloud.autoscale-metric": {"cloud.autoscale-metric": "gpu-util", "cloud.replicas": "1..2"},
    "cloud.autoscale-target": {"cloud.autoscale-target": "7", "cloud.replicas": "1..2"},
    "cloud.cpu": {"cloud.cpu": "16..32"},
    "cloud.disk-size": {"cloud.disk-size": "80GB", "cloud.instance-type": "cpu"},
    "cloud.engine": {"cloud.engine": "llamacpp", "cloud.model-id": "hf.co/Qwen/Qwen3-8B"},
    "cloud.health-prompt": {"cloud.health-prompt": "Are you there?"},
    "cloud.idle-timeout": {"cloud.idle-timeout": "30m", "cloud.replicas": "0..2"},
    "cloud.image": {"cloud.image": "docker.io/ours/server:1"},
    "cloud.instance-type": {"cloud.instance-type": "ml.g6e.2xlarge"},
    "cloud.kms-key": {"cloud.kms-key": "other", "cloud.instance-type": "cpu"},
    "cloud.memory": {"cloud.memory": "60GB..70GB", "cloud.accelerator": "l4"},
    "cloud.model-id": {"cloud.model-id": "ai/smollm3"},
    "cloud.model-revision": {"cloud.model-revision": "abcdef1234", "cloud.model-id": "hf.co/Qwen/Qwen3-8B"},
    "cloud.model-source": {"cloud.model-source": S3},
    "cloud.name": {"cloud.name": "the-chat-model"},
    "cloud.quantization": {"cloud.quantization": "q8_0"},
    "cloud.replicas": {"cloud.replicas": "2"},
    "cloud.reservation": {"cloud.reservation": "plan-1", "cloud.instance-type": "ml.p5.48xlarge"},
    "cloud.role": {"cloud.role": "other"},
    "cloud.scale-down-delay": {"cloud.scale-down-delay": "20m", "cloud.replicas": "1..2"},
    "cloud.scale-up-delay": {"cloud.scale-up-delay": "5m", "cloud.replicas": "1..2"},
    "cloud.security-groups": {"cloud.security-groups": "other"},
    "cloud.subnets": {"cloud.subnets": "other"},
    "cloud.tags": {"cloud.tags": "team:search"},
    "aws.inference-ami-version": {"aws.inference-ami-version": "al2-ami-sagemaker-inference-gpu-3-1"},
    "aws.update-policy": {"aws.update-policy": "blue-green", "cloud.replicas": "2"},
}
ELSEWHERE = frozenset({"cloud.region", "cloud.account", "cloud.credentials", "cloud.zones"})
"""Honoured by what the drivers of AWS share; tests/drivers/test_sagemaker_life.py and the tests of `place` show it."""
ONLY_SAID = frozenset({"cloud.auth", "cloud.public-ip", "cloud.shm-size", "cloud.network"})
"""What SageMaker has one answer to: checked, and nothing to send."""


def spec(**given: str) -> ModelSpec:
    return builders.model_spec(options=given)


def found(given: Mapping[str, str], key: str, model: str = "ai/smollm2") -> Finding:
    findings = check(builders.model_spec(model=model, options=dict(given)), "aws-sagemaker", OWN)
    return next(finding for finding in findings if finding.key == key)


def here(of: ModelSpec) -> Ground:
    return Ground("us-west-2", "123456789012", OWN.entries("subnets", "cloud.subnets", of))


def everything(of: ModelSpec) -> str:
    """All that is sent or asked for a spec, as text."""
    deployment = builders.deployment(spec=of)
    sent: list[Any] = list(requests.parts(deployment, "revision", OWN, here(of)))
    sent.append(requests.update(deployment, "revision"))
    sent.append(readiness.prompt(of))
    sent.append(int(options.replicas(of).low))
    if options.is_scaled(of):
        sent += [scaling.target(deployment), scaling.tracking(deployment)]
    if options.is_elastic(of):
        sent.append(alarms.sleep(deployment, "policy"))
    for request in sent:
        if isinstance(request, dict) and "Tags" in request:
            request["Tags"] = [tag for tag in request["Tags"] if not tag["Key"].startswith("cmr:")]
    return json.dumps(sent, sort_keys=True)


@pytest.mark.parametrize("key", [key for key in TRIED if key not in ELSEWHERE])
def test_every_honoured_key_changes_what_is_sent(key: str) -> None:
    given = dict(TRIED[key])
    finding = found(given, key)
    assert finding.handling in (Handling.HONOURED, Handling.TRANSLATED), finding
    without = {name: text for name, text in given.items() if name != key}
    assert everything(spec(**given)) != everything(spec(**without))


def test_no_key_is_without_a_test() -> None:
    assert TRIED.keys() | ELSEWHERE | ONLY_SAID == options.IMPLEMENTED
    assert honoured("aws-sagemaker") == options.IMPLEMENTED


@pytest.mark.parametrize("key", [
    key for key, entry in catalog.vocabulary().keys.items()
    if entry.handling.get("aws-sagemaker") in (Handling.HONOURED, Handling.TRANSLATED) and not entry.engine
])  # fmt: skip
def test_what_is_promised_is_honoured_or_said_to_be_missing(key: str) -> None:
    if key in options.IMPLEMENTED:
        assert key in TRIED or key in ELSEWHERE | ONLY_SAID
    else:
        finding = found({key: "1"}, key)
        assert (finding.handling, finding.detail) == (Handling.IGNORED, options.FIXED.get(key, NOT_YET))


@pytest.mark.parametrize(
    ("given", "key", "words"),
    [
        ({"cloud.replicas": "5"}, "cloud.replicas", "allow 4 at most"),
        ({"cloud.replicas": "0"}, "cloud.replicas", "no replicas at all"),
        ({"cloud.replicas": "0..1", "cloud.idle-timeout": "off"}, "cloud.idle-timeout", "contradicts"),
        ({"cloud.idle-timeout": "30s"}, "cloud.idle-timeout", "between 60s and 7d"),
        ({"cloud.replicas": "1..2", "cloud.autoscale-metric": "queue"}, "cloud.autoscale-metric", "rps, gpu-util"),
        ({"cloud.replicas": "0..2", "cloud.autoscale-metric": "gpu-util"}, "cloud.autoscale-metric", "by concur"),
        ({"cloud.replicas": "1..2", "cloud.autoscale-target": "-1"}, "cloud.autoscale-target", "more than 0"),
        ({"cloud.disk-size": "513GB", "cloud.instance-type": "cpu"}, "cloud.disk-size", "512 GB at most"),
        ({"cloud.tags": "team:<search>"}, "cloud.tags", "letters, digits, spaces and"),
        ({"cloud.tags": f"{'k' * 129}:x"}, "cloud.tags", "128 characters for a key"),
        ({"cloud.tags": ",".join(f"k{each}:x" for each in range(46))}, "cloud.tags", "50 tags on one thing"),
        ({"cloud.auth": "none"}, "cloud.auth", "AWS's own tokens"),
        ({"cloud.public-ip": "true"}, "cloud.public-ip", "never have public addresses"),
        ({"cloud.kms-key": "other"}, "cloud.kms-key", "ml.g6.xlarge is its own"),
        ({"cloud.role": "unheard-of"}, "cloud.role", "no such entry under aws.roles"),
        ({"cloud.image": "docker.io/somebody/else:1"}, "cloud.image", "settings do not allow"),
        ({"cloud.instance-type": "g6.xlarge"}, "cloud.instance-type", "begin with ml."),
        ({"cloud.engine": "vllm", "cloud.model-id": "hf.co/Qwen/Qwen3-8B", "cloud.instance-type": "cpu"},
         "cloud.instance-type", "vLLM needs a GPU"),
        ({"cloud.reservation": "plan-1"}, "cloud.reservation", "for one instance type"),
        ({"cloud.cpu": "5"}, "cloud.cpu", "no size of ml.g6 and ml.g5 has that"),
        ({"cloud.memory": "1TB..2TB", "cloud.accelerator": "l4"}, "cloud.accelerator", "none of SageMaker's"),
        ({"cloud.memory": "64GB", "cloud.instance-type": "ml.g6.xlarge"}, "cloud.memory", "has 4 cores and 16 GiB"),
        ({"cloud.cpu": "4", "cloud.instance-type": "ml.zz9.xlarge"}, "cloud.cpu", "not known here"),
        ({"aws.update-policy": "canary"}, "aws.update-policy", "rolling, blue-green"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_reason(given: dict[str, str], key: str, words: str) -> None:
    finding = found(given, key)
    assert finding.handling is Handling.REJECTED
    assert words in finding.detail


def test_embeddings_are_refused_since_nobody_could_ask_for_them() -> None:
    finding = found({}, "model", model="ai/mxbai-embed-large")
    assert finding.handling is Handling.REJECTED
    assert "aws-ec2" in finding.detail


def test_a_reason_is_given_for_what_the_vocabulary_knows_and_sagemaker_cannot() -> None:
    assert options.FIXED.keys() <= catalog.vocabulary().keys.keys() - options.IMPLEMENTED
    assert "s3://" in options.FIXED["cloud.hf-token-secret"]


def test_what_is_so_anyway_changes_nothing_on_the_endpoint() -> None:
    """Another of these words made another endpoint, of the same."""
    for key, text in (("cloud.shm-size", "1GB"), ("cloud.auth", "iam"), ("cloud.public-ip", "false")):
        assert names.revision(builders.deployment(spec=spec(**{key: text}))) == names.revision(
            builders.deployment(spec=spec())
        )
        assert key in SageMakerDriver.capabilities.updatable


def test_what_has_no_effect_here_says_so() -> None:
    assert found({"cloud.autoscale-target": "3"}, "cloud.autoscale-target").handling is Handling.IGNORED
    assert found({"cloud.accept-eula": "true"}, "cloud.accept-eula").handling is Handling.IGNORED
    assert found({"cloud.disk-size": "80GB"}, "cloud.disk-size").handling is Handling.TRANSLATED
    assert (
        found({"cloud.instance-type": "gpu-small"}, "cloud.instance-type").detail
        == "as ml.g6.xlarge, then ml.g5.xlarge"
    )
    assert found({"cloud.public-ip": "false"}, "cloud.public-ip").handling is Handling.HONOURED
    assert found({"cloud.network": "other"}, "cloud.network").handling is Handling.HONOURED


@pytest.mark.parametrize(
    ("given", "low", "high", "idle"),
    [
        ({}, 1, 1, None),
        ({"cloud.replicas": "2..3"}, 2, 3, None),
        ({"cloud.replicas": "0..3"}, 0, 3, 900),
        ({"cloud.replicas": "2", "cloud.idle-timeout": "1h"}, 0, 2, 3600),
        ({"cloud.idle-timeout": "off"}, 1, 1, None),
    ],
)
def test_an_idle_timeout_means_that_there_may_be_none(
    given: dict[str, str], low: int, high: int, idle: int | None
) -> None:
    found = options.replicas(spec(**given))
    assert (found.low, found.high, options.idle_s(spec(**given))) == (low, high, idle)


def test_nothing_that_names_the_place_or_the_clients_url_is_changed_in_place() -> None:
    fixed = {"cloud.region", "cloud.account", "cloud.credentials", "cloud.network", "cloud.subnets",
             "cloud.security-groups", "cloud.engine", "cloud.model-id", "cloud.model-source", "model"}  # fmt: skip
    assert not SageMakerDriver.capabilities.updatable & fixed
    assert SageMakerDriver.capabilities.updatable - {"context_size", "runtime_flags"} <= options.IMPLEMENTED
    assert not (names.LIVE - {"cloud.health-prompt"}) - SageMakerDriver.capabilities.updatable


def test_the_sleep_alarm_looks_back_as_far_as_cloudwatch_can() -> None:
    for asked, period, periods in (("15m", 60, 15), ("1d", 60, 1440), ("2d", 3600, 48)):
        deployment = builders.deployment(spec=spec(**{"cloud.idle-timeout": asked}))
        alarm = alarms.sleep(deployment, "policy")
        assert (alarm["Period"], alarm["EvaluationPeriods"]) == (period, periods)


WORDS = (
    "true", "false", "auto", "none", "off", "any", "0", "2", "0..3", "1..4", "0.5", "24..48", "10GB", "10GB..20GB",
    "15m", "90s", "gpu-small", "cpu", "ml.g6.xlarge", "ml.zz9.big", "c7i.4xlarge", "L4:2", "h100:8", "us-west-2",
    "other", "a:b", "3@30s", "s3://b/k", "hf://Qwen/Qwen3-8B", "hf.co/Qwen/Qwen3-8B", "ai/smollm3", "iam", "rps",
    "queue", "vllm", "llamacpp", "managed", "abcdef1",
)  # fmt: skip
MODELS = ("ai/smollm2", "hf.co/Qwen/Qwen3-8B", "hf.co/x/y-GGUF:Q4_K_M", "ai/mxbai-embed-large")


@hypothesis_settings(max_examples=400, deadline=None)
@given(
    model=st.sampled_from(MODELS),
    options=st.dictionaries(st.sampled_from(sorted(catalog.vocabulary().keys)), st.sampled_from(WORDS), max_size=7),
)
def test_whatever_is_well_formed_is_refused_beforehand_or_comes_to_requests(
    model: str, options: dict[str, str]
) -> None:
    given = {key: text for key, text in options.items() if is_well_formed(key, text)}
    wanted = builders.model_spec(model=model, options=given)
    findings = check(wanted, "aws-sagemaker", OWN)
    assert [finding.key for finding in findings] == ["model", *given]
    if any(finding.handling is Handling.REJECTED for finding in findings):
        return
    deployment = builders.deployment(spec=wanted)
    try:
        made = requests.parts(deployment, names.revision(deployment), OWN, here(wanted))
    except Denied:
        return  # the operator has to do something first
    assert made.model["PrimaryContainer"]["Environment"]
