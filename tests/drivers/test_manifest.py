"""Nothing that a user wrote is dropped silently: what becomes of every part of a spec, on every platform."""

from __future__ import annotations

import pytest

from drivers import catalog
from drivers.base import Handling, ModelSpec
from drivers.manifest import NOT_YET, check, engine_of, is_inert

PLATFORMS = (*catalog.platforms().platforms, "of-another-package")
EVERYTHING = dict.fromkeys([*catalog.vocabulary().keys, "aws.something", "cloud.unheard-of"], "x")


def found(key: str, platform: str, implemented: frozenset[str] | None = None) -> tuple[Handling, str]:
    finding = check(ModelSpec(model="ai/smollm2", options={key: "x"}), platform, implemented)[1]
    assert finding.key == key
    return finding.handling, finding.detail


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("implemented", [None, frozenset(), frozenset({"cloud.replicas"})])
def test_every_part_of_a_spec_has_exactly_one_finding_in_its_order(
    platform: str, implemented: frozenset[str] | None
) -> None:
    spec = ModelSpec(
        model="ai/smollm2", context_size=4096, runtime_flags=("--seed", "7", "--a-flag"), options=EVERYTHING
    )
    keys = [finding.key for finding in check(spec, platform, implemented)]
    flags = ["runtime_flags[0]", "runtime_flags[1]", "runtime_flags[2]"]
    assert keys == ["model", "context_size", *flags, *EVERYTHING]


@pytest.mark.parametrize("platform", catalog.vocabulary().columns)
def test_whatever_is_not_simply_honoured_says_why(platform: str) -> None:
    for finding in check(ModelSpec(model="m", options=EVERYTHING), platform, frozenset()):
        assert finding.handling is Handling.HONOURED or finding.detail, finding


def test_the_table_decides() -> None:
    assert found("cloud.region", "aws-sagemaker") == (Handling.HONOURED, "")
    assert found("cloud.region", "llamacpp") == (Handling.IGNORED, "has no meaning on llamacpp")
    assert found("cloud.replicas", "llamacpp") == (Handling.TRANSLATED, "as parallel slots of one server")
    assert found("cloud.instance-type", "aws-bedrock")[0] is Handling.REJECTED
    assert found("cloud.zones", "llamacpp")[0] is Handling.REJECTED


def test_what_the_vocabulary_promises_and_this_release_lacks_is_reported_as_that() -> None:
    assert found("cloud.replicas", "llamacpp", frozenset()) == (Handling.IGNORED, NOT_YET)
    assert found("cloud.replicas", "llamacpp", frozenset({"cloud.replicas"}))[0] is Handling.TRANSLATED
    planned = [entry.key for entry in catalog.vocabulary().keys.values() if entry.planned]
    assert "cloud.fallback" in planned
    for key in planned:
        everywhere = frozenset(catalog.vocabulary().keys) if key != "cloud.adopt" else None
        assert found(key, "llamacpp", everywhere)[0] is Handling.IGNORED, key
        assert NOT_YET in found(key, "aws-sagemaker", everywhere)[1], key


@pytest.mark.parametrize("key", ["cloud.max-price", "cloud.budget"])
def test_what_limits_spending_is_refused_where_it_is_not_yet_honoured_and_money_is_spent(key: str) -> None:
    for platform in ("aws-sagemaker", "aws-ec2", "gcp-vertex"):
        assert found(key, platform)[0] is Handling.REJECTED
    assert found(key, "llamacpp")[0] is Handling.IGNORED


def test_a_refusal_is_not_softened_by_what_is_missing() -> None:
    assert found("cloud.zones", "llamacpp", frozenset())[0] is Handling.REJECTED


def test_keys_of_the_reconciler_need_no_driver() -> None:
    assert found("cloud.protect", "llamacpp", frozenset()) == (Handling.HONOURED, "")
    assert found("cloud.protect", "of-another-package", frozenset()) == (Handling.HONOURED, "")
    assert found("cloud.region", "of-another-package", frozenset())[0] is Handling.IGNORED


def test_tuning_for_another_platform_may_stay_in_the_file() -> None:
    assert found("llamacpp.threads", "aws-sagemaker") == (Handling.INACTIVE, "meant for llamacpp")
    assert found("aws.something", "llamacpp")[0] is Handling.INACTIVE
    assert found("llamacpp.threads", "llamacpp")[0] is Handling.HONOURED
    assert found("llamacpp.threads", "llamacpp", frozenset()) == (Handling.IGNORED, NOT_YET)


@pytest.mark.parametrize("platform", ["llamacpp", "aws-sagemaker", "gcp-vertex"])
def test_the_documentations_flag_is_refused_by_its_rule_wherever_llama_cpp_runs(platform: str) -> None:
    spec = ModelSpec(model="ai/smollm2", runtime_flags=("--a-flag", "--another-flag=42", "--no-prefill-assistant"))
    first, second, third = check(spec, platform)[1:]
    assert (first.key, first.handling) == ("runtime_flags[0]", Handling.REJECTED)
    assert "rule" in first.detail
    assert second.handling is Handling.REJECTED
    assert third.handling is Handling.HONOURED


def test_flags_are_never_passed_to_another_engine() -> None:
    flags = ("--no-prefill-assistant",)
    vllm = ModelSpec(model="m", runtime_flags=flags, options={"cloud.engine": "vllm"})
    assert check(vllm, "aws-sagemaker")[1].handling is Handling.REJECTED
    assert "vllm" in check(vllm, "aws-sagemaker")[1].detail
    assert check(ModelSpec(model="m", runtime_flags=flags), "aws-bedrock")[1].handling is Handling.REJECTED


def test_a_managed_model_has_its_own_context_and_engine() -> None:
    spec = ModelSpec(model="m", context_size=1024, options={"cloud.engine": "vllm"})
    assert engine_of(spec, "aws-bedrock") == "managed"
    assert check(spec, "aws-bedrock")[1].handling is Handling.IGNORED
    assert check(spec, "llamacpp")[1].handling is Handling.HONOURED


def test_a_change_that_no_platform_would_notice_is_inert() -> None:
    assert is_inert("cloud.startup-timeout", "llamacpp")
    assert is_inert("cloud.region", "llamacpp")
    assert is_inert("aws.something", "llamacpp")
    assert is_inert("cloud.replicas", "llamacpp", frozenset())
    assert is_inert("context_size", "aws-bedrock")
    assert is_inert("cloud.serving", "llamacpp")
    assert not is_inert("cloud.serving", "gcp-vertex")
    assert not is_inert("cloud.substitute", "aws-bedrock")
    for key in ("model", "runtime_flags", "context_size", "cloud.replicas", "llamacpp.threads"):
        assert not is_inert(key, "llamacpp"), key
