"""What a spec comes to on Bedrock before anybody asks AWS, and what AWS's lists make of it. Pure."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from drivers import catalog, manifest
from drivers.aws.bedrock import access, chats
from drivers.aws.bedrock.answering import base_url
from drivers.aws.bedrock.geography import geography, notice_of, target_of
from drivers.aws.bedrock.options import IMPLEMENTED
from drivers.aws.bedrock.wish import PLATFORM, Mode, Unfit, Wish, wish_of
from drivers.aws.check import check
from drivers.aws.settings import AwsSettings
from drivers.base import Handling, ModelSpec
from drivers.errors import Denied
from drivers.manifest import NOT_YET
from tests.drivers.bedrocks import ROLE

NOW = datetime(2026, 5, 4, tzinfo=UTC)
SETTINGS = AwsSettings(key_root=Path("/keys"), region="us-west-2", roles={"default": ROLE}, kms_keys={"own": "k"})
GENEROUS = AwsSettings(key_root=Path("/keys"), provisioned_throughput=True)
LLAMA = "meta.llama3-2-3b-instruct-v1:0"


def spec(model: str = "ai/gpt-oss", /, **options: str) -> ModelSpec:
    """`inference_profile="us"` for `cloud.inference-profile`."""
    return ModelSpec(model=model, options={f"cloud.{name.replace('_', '-')}": text for name, text in options.items()})


def found(asked: ModelSpec, settings: AwsSettings = SETTINGS) -> Mapping[str, tuple[Handling, str]]:
    return {one.key: (one.handling, one.detail) for one in check(asked, PLATFORM, settings)}


def refused(asked: ModelSpec, settings: AwsSettings = SETTINGS) -> tuple[str, str]:
    """The one thing that is refused, and why."""
    (one,) = [one for one in check(asked, PLATFORM, settings) if one.handling is Handling.REJECTED]
    return one.key, one.detail


def model(id: str, *types: str, **more: Any) -> dict[str, Any]:
    arn = f"arn:aws:bedrock:us-west-2::foundation-model/{id}"
    return {"modelId": id, "modelArn": arn, "inferenceTypesSupported": types, "outputModalities": ["TEXT"]} | more


def profile(id: str, *regions: str) -> dict[str, Any]:
    served = id.partition(".")[2]
    return {
        "inferenceProfileId": id,
        "inferenceProfileArn": f"arn:aws:bedrock:us-west-2:1:inference-profile/{id}",
        "models": [{"modelArn": f"arn:aws:bedrock:{region}::foundation-model/{served}"} for region in regions],
        "type": "SYSTEM_DEFINED",
    }


def target(
    wish: Wish, models: list[dict[str, Any]], profiles: list[dict[str, Any]] | None = None, region: str = "us-west-2"
) -> tuple[str, str]:
    listed = {one[key]: one for one in profiles or [] for key in ("inferenceProfileId", "inferenceProfileArn")}
    aimed = target_of(wish, region, {one["modelId"]: one for one in models}, listed, NOW)
    return aimed.sends, aimed.where


def wish(residency: str = "auto", model: str = LLAMA, mode: Mode = Mode.ON_DEMAND) -> Wish:
    return Wish(mode=mode, model=model, residency=residency)


# -- which model, and which way of serving it -------------------------------------------------------------------------


def test_a_name_of_dockers_leads_to_the_same_weights_and_never_silently_to_others() -> None:
    assert wish_of(spec("ai/llama3.2"), SETTINGS) == Wish(mode=Mode.ON_DEMAND, model=LLAMA)
    assert wish_of(spec("ai/gpt-oss:120B"), SETTINGS).model == "openai.gpt-oss-120b-1:0"
    for name in ("ai/smollm2", "ai/mistral", "ai/deepseek-r1-distill-llama", "nobody/knows-this"):
        assert refused(spec(name))[0] == "model", name
    assert "cloud.substitute=family" in refused(spec("ai/mistral"))[1]
    assert wish_of(spec("ai/mistral", substitute="family"), SETTINGS).model == "mistral.mistral-7b-instruct-v0:2"


def test_the_operators_own_default_for_substitution_counts_like_in_the_plan() -> None:
    generous = AwsSettings(key_root=Path("/keys"), substitute="family")
    assert wish_of(spec("ai/mistral"), generous).model == "mistral.mistral-7b-instruct-v0:2"


def test_a_named_id_is_taken_as_it_is_and_a_foundation_models_arn_as_its_id() -> None:
    assert wish_of(spec(model_id="amazon.nova-lite-v1:0"), SETTINGS).model == "amazon.nova-lite-v1:0"
    arn = "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0"
    assert wish_of(spec(model_id=arn), SETTINGS).model == "amazon.nova-lite-v1:0"
    key, why = refused(spec(model_id="arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefabcdef"))
    assert (key, "foundation model" in why) == ("cloud.model-id", True)


def test_an_embedding_model_is_refused() -> None:
    assert refused(spec("ai/all-minilm"))[0] == "model"
    assert refused(spec("ai/all-minilm", model_id="amazon.titan-embed-text-v2:0")) == (
        "model",
        "Bedrock's OpenAI-compatible URL answers chats, not embeddings",
    )


def test_the_plan_says_that_nothing_is_created_and_where_requests_are_answered() -> None:
    handling, detail = found(spec("ai/llama3.2"))["model"]
    assert handling is Handling.TRANSLATED, "so that a plan shows it"
    assert detail.startswith(
        f"nothing is created: requests go to {LLAMA}, paid for by the token; answered in the region"
    )
    assert "anywhere in the world" in found(spec("ai/llama3.2", inference_profile="global"))["model"][1]
    assert "an inference profile with the tags is created" in found(spec(tags="team:search"))["model"][1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ""),
        ({"model_id": "google.gemma-3-12b-it"}, ""),
        ({"model_id": "nobody.has-written-of-this"}, ""),
        ({"model_id": "deepseek.v3-v1:0"}, ""),
        ({"model_id": "deepseek.r1-v1:0"}, "models-api-compatibility.html) bedrock-runtime answers no chats of it"),
        ({"model_id": "anthropic.claude-haiku-4-5-20251001-v1:0"}, "aws-sagemaker and aws-ec2 run the weights"),
        ({"model_source": "s3://b/m"}, "imported models is not written anywhere"),
    ],
)
def test_a_plan_warns_of_a_model_whose_chats_are_known_not_to_be_answered(options: dict[str, str], words: str) -> None:
    handling, detail = found(spec(**options))["model"]
    assert handling is Handling.TRANSLATED, "what is written may be old: it refuses nothing"
    assert words in detail
    assert bool(words) == ("the first request" in detail)


def test_what_is_written_of_chats_names_its_source_and_day() -> None:
    data = catalog.models()["chats"][PLATFORM]
    for begins, entry in data["known"].items():
        assert entry.keys() == {"runtime", "mantle", "source"}, begins
        source = data["sources"][entry["source"]]
        assert source["where"]
        datetime.fromisoformat(source["read"])
    offered = {
        offer["id"]
        for entry in catalog.models()["models"].values()
        for offers in entry.get("managed", {}).get(PLATFORM, {}).values()
        for offer in offers
    }
    assert data["ids"].keys() <= offered


def test_a_model_that_the_other_api_answers_is_said_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"runtime": False, "mantle": True, "source": "table"}
    data = catalog.models()["chats"][PLATFORM] | {"known": {"some.model": entry}}
    monkeypatch.setattr(chats, "_data", lambda: data)
    asked = Wish(mode=Mode.ON_DEMAND, model="some.model-v1")
    assert "aws.bedrock-api=mantle does" in chats.warning(asked)
    assert chats.warning(replace(asked, mantle=True)) == ""


def test_provisioned_throughput_needs_the_operators_word_and_says_what_it_costs() -> None:
    key, why = refused(spec("ai/llama3.1", throughput="provisioned:2"))
    assert (key, "aws.provisioned_throughput" in why) == ("cloud.throughput", True)
    asked = spec("ai/llama3.1", throughput="provisioned:2")
    assert wish_of(asked, GENEROUS).units == 2
    said = found(asked, GENEROUS)["model"][1]
    assert said.startswith(
        "2 model units of meta.llama3-1-8b-instruct-v1:0 are bought by the hour, used or not, without commitment"
    )
    assert refused(spec(throughput="batch"), GENEROUS)[0] == "cloud.throughput"


def test_weights_are_imported_from_s3_and_by_a_role() -> None:
    assert wish_of(spec("ai/smollm2", model_source="s3://b/m"), SETTINGS) == Wish(mode=Mode.IMPORT, source="s3://b/m")
    assert refused(spec("ai/smollm2", model_source="hf://a/b"))[0] == "cloud.model-source"
    assert "aws.roles.default" in refused(spec("ai/smollm2", model_source="s3://b/m"), GENEROUS)[1]
    assert refused(spec("ai/smollm2", model_source="s3://b/m", throughput="provisioned:1"))[0] == "cloud.throughput"
    assert refused(spec("ai/smollm2", model_source="s3://b/m", model_id="x.y"))[0] == "cloud.model-id"
    assert refused(spec("ai/smollm2", model_source="s3://b/m", role="nobody"))[0] == "cloud.role"
    assert found(spec("ai/smollm2", model_source="s3://b/m", kms_key="own"))["cloud.kms-key"][0] is Handling.HONOURED


def test_what_has_no_meaning_in_a_mode_is_said() -> None:
    assert found(spec(kms_key="own"))["cloud.kms-key"] == (
        Handling.IGNORED,
        "only an import of one's own weights needs it",
    )
    bought = found(spec("ai/llama3.1", throughput="provisioned:1", inference_profile="us"), GENEROUS)
    assert bought["cloud.inference-profile"][0] is Handling.IGNORED


def test_the_word_that_terms_are_accepted_has_a_meaning_where_aws_asks_for_it() -> None:
    assert "our first request does" in found(spec(accept_eula="true"))["cloud.accept-eula"][1]
    assert found(spec(accept_eula="false"))["cloud.accept-eula"] == (Handling.HONOURED, "")
    imported = found(spec("ai/smollm2", model_source="s3://b/m", accept_eula="true"))["cloud.accept-eula"]
    assert imported == (Handling.IGNORED, "AWS asks nobody to accept terms for weights of one's own")


def test_the_other_api_has_ids_of_its_own_and_none_of_the_rest() -> None:
    def mantle(**options: str) -> ModelSpec:
        asked = spec(**options)
        return ModelSpec(model=asked.model, options={**asked.options, "aws.bedrock-api": "mantle"})

    assert wish_of(mantle(), SETTINGS).model == "openai.gpt-oss-20b", "as the catalogue knows it"
    without = ModelSpec(model="ai/llama3.2", options={"aws.bedrock-api": "mantle"})
    key, why = refused(without)
    assert (key, f"the catalogue knows none for {LLAMA}" in why) == ("aws.bedrock-api", True)
    assert wish_of(mantle(model_id="openai.gpt-oss-20b"), SETTINGS).mantle
    assert refused(mantle(model_id="openai.gpt-oss-20b", tags="a:b"))[0] == "aws.bedrock-api"
    assert refused(mantle(model_id="openai.gpt-oss-20b", inference_profile="us"))[0] == "cloud.inference-profile"


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"guardrail": "abc:1"}, "cloud.guardrail"),
        ({"auth": "none"}, "cloud.auth"),
        ({"auth": "api-key"}, "cloud.auth"),
        ({"api_key_secret": "nobodys"}, "cloud.api-key-secret"),
        ({"tags": "team:søk"}, "cloud.tags"),
        ({"tags": "team"}, "cloud.tags"),
        ({"throughput": "provisioned:many"}, "cloud.throughput"),
        ({"inference_profile": "eu"}, "cloud.inference-profile"),
        ({"instance_type": "gpu-small"}, "cloud.instance-type"),
        ({"tags": "a:b", "inference_profile": "arn:aws:bedrock:us-west-2:1:application-inference-profile/x"},
         "cloud.inference-profile"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_refused_where_it_stands(options: dict[str, str], key: str) -> None:
    where, why = refused(spec(**options))
    assert (where, bool(why)) == (key, True)


def test_every_key_that_the_vocabulary_promises_is_honoured_or_said_not_to_be() -> None:
    """No key is dropped: it is in the plan's quiet part only if this driver, or the reconciler itself, does it."""
    promised = [
        entry
        for entry in catalog.vocabulary().keys.values()
        if entry.handling.get(PLATFORM) in (Handling.HONOURED, Handling.TRANSLATED)
    ]
    assert len(promised) > 30
    for entry in promised:
        one = manifest.check(ModelSpec(model="m", options={entry.key: "x"}), PLATFORM, IMPLEMENTED)[1]
        if entry.key in IMPLEMENTED or (entry.engine and not entry.planned):
            assert one.handling in (Handling.HONOURED, Handling.TRANSLATED), entry.key
        else:
            assert one.handling is (Handling.REJECTED if entry.spending else Handling.IGNORED), entry.key
            assert NOT_YET in one.detail, entry.key


def test_the_catalogue_tells_what_is_implemented() -> None:
    assert catalog.platforms().platforms[PLATFORM].honoured == IMPLEMENTED
    assert set(catalog.vocabulary().keys) >= IMPLEMENTED


def test_a_plan_needs_no_sdk() -> None:
    code = (
        "import sys; import drivers.aws.bedrock.driver, drivers.aws.check; "
        "assert not {'botocore', 'boto3'} & set(sys.modules), 'the SDK was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- where it is answered ---------------------------------------------------------------------------------------------


def test_auto_takes_the_model_itself_where_it_is_served_on_demand() -> None:
    profiles = [profile(f"us.{LLAMA}", "us-east-1", "us-west-2")]
    assert target(wish(), [model(LLAMA, "ON_DEMAND")], profiles) == (LLAMA, "in us-west-2")


def test_auto_takes_the_profile_of_its_own_geography_and_of_no_other() -> None:
    only = [model(LLAMA, "INFERENCE_PROFILE")]
    home, world = profile(f"us.{LLAMA}", "us-east-1", "us-west-2"), profile(f"global.{LLAMA}", "")
    assert target(wish(), only, [home, world]) == (f"us.{LLAMA}", "in us-east-1, us-west-2")
    with pytest.raises(Unfit, match=r"only through other geographies.*profiles for global") as refusal:
        target(wish(), only, [world])
    assert refusal.value.key == "cloud.inference-profile"
    with pytest.raises(Unfit, match="profiles for us"):
        target(wish(), only, [home], region="ca-central-1")


def test_auto_takes_the_narrowest_profile_by_its_regions_and_not_by_its_name() -> None:
    wide = profile(f"apac.{LLAMA}", "ap-northeast-1", "ap-south-1", "ap-southeast-2")
    narrow = profile(f"jp.{LLAMA}", "ap-northeast-1", "ap-northeast-3")
    leaving = profile(f"au.{LLAMA}", "ap-southeast-2", "us-west-2")
    only = [model(LLAMA, "INFERENCE_PROFILE")]
    assert target(wish(), only, [wide, narrow, leaving], region="ap-northeast-1")[0] == f"jp.{LLAMA}"


def test_a_word_in_the_file_decides_where_requests_may_go() -> None:
    both = [model(LLAMA, "ON_DEMAND", "INFERENCE_PROFILE")]
    profiles = [profile(f"us.{LLAMA}", "us-east-1"), profile(f"global.{LLAMA}", "")]
    assert target(wish("us"), both, profiles)[0] == f"us.{LLAMA}"
    assert target(wish("global"), both, profiles) == (f"global.{LLAMA}", "anywhere in the world")
    assert target(wish("none"), both, profiles)[0] == LLAMA
    with pytest.raises(Unfit, match=r"not serve .* on demand in us-west-2 itself; it has profiles for global, us"):
        target(wish("none"), [model(LLAMA, "INFERENCE_PROFILE")], profiles)
    with pytest.raises(Unfit, match=f"no inference profile eu.{LLAMA} in us-west-2"):
        target(wish("eu"), both, profiles)


def test_a_profile_of_another_model_is_no_silent_substitution() -> None:
    other = profile("us.meta.llama3-3-70b-instruct-v1:0", "us-east-1")
    with pytest.raises(Unfit, match=r"serves meta.llama3-3-70b-instruct-v1:0, not"):
        target(wish(other["inferenceProfileArn"]), [model(LLAMA, "INFERENCE_PROFILE")], [other])
    own = profile(f"us.{LLAMA}", "us-east-1")
    assert target(wish(own["inferenceProfileArn"]), [model(LLAMA, "INFERENCE_PROFILE")], [own])[0] == f"us.{LLAMA}"


def test_a_model_that_is_not_listed_has_ended_or_does_not_speak_is_refused() -> None:
    with pytest.raises(Unfit, match=r"lists no model meta.* in us-west-2 \(it lists meta.llama3-2-1b-instruct-v1:0\)"):
        target(wish(), [model("meta.llama3-2-1b-instruct-v1:0", "ON_DEMAND")])
    ended = {"status": "LEGACY", "endOfLifeTime": datetime(2026, 5, 3, tzinfo=UTC)}
    with pytest.raises(Unfit, match="end of its life on 2026-05-03"):
        target(wish(), [model(LLAMA, "ON_DEMAND", modelLifecycle=ended)])
    with pytest.raises(Unfit, match="answers with image"):
        target(wish(), [model(LLAMA, "ON_DEMAND", outputModalities=["IMAGE"])])


def test_a_legacy_model_is_served_and_said_to_be_one() -> None:
    legacy = model(
        LLAMA, "ON_DEMAND", modelLifecycle={"status": "LEGACY", "endOfLifeTime": datetime(2027, 1, 2, tzinfo=UTC)}
    )
    assert target(wish(), [legacy])[0] == LLAMA
    assert notice_of(legacy) == f"AWS calls {LLAMA} legacy and ends it on 2027-01-02"
    assert notice_of(model(LLAMA, modelLifecycle={"status": "ACTIVE"})) == ""


def test_what_is_bought_by_the_hour_is_the_one_variant_that_is_sold() -> None:
    bought = wish(mode=Mode.PROVISIONED)
    one = model(f"{LLAMA}:128k", "PROVISIONED")
    assert target(bought, [model(LLAMA, "ON_DEMAND"), one])[0] == f"{LLAMA}:128k"
    with pytest.raises(Unfit, match=r"name one of .*8k with cloud.model-id"):
        target(bought, [model(LLAMA), one, model(f"{LLAMA}:8k", "PROVISIONED")])
    with pytest.raises(Unfit, match="does not sell"):
        target(bought, [model(LLAMA, "ON_DEMAND")])


def test_geographies_are_told_from_regions() -> None:
    said = {region: geography(region) for region in ("us-west-2", "us-gov-west-1", "ap-northeast-1", "")}
    assert said == {"us-west-2": "us", "us-gov-west-1": "us-gov", "ap-northeast-1": "ap", "": ""}


# -- whether it may be used -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ({}, ""),
        ({"regionAvailability": "NOT_AVAILABLE"}, "choose another region"),
        ({"entitlementAvailability": "NOT_AVAILABLE"}, "not entitled"),
        ({"agreementAvailability": {"status": "NOT_AVAILABLE"}}, "accepted the terms"),
        ({"agreementAvailability": {"status": "PENDING"}}, "a quarter of an hour"),
        ({"agreementAvailability": {"status": "ERROR", "errorMessage": "no card"}}, "no card"),
        ({"authorizationStatus": "NOT_AUTHORIZED"}, "bedrock:InvokeModel"),
    ],
)
def test_each_thing_that_may_be_missing_has_its_own_next_step(missing: dict[str, Any], words: str) -> None:
    granted = {
        "agreementAvailability": {"status": "AVAILABLE"},
        "authorizationStatus": "AUTHORIZED",
        "entitlementAvailability": "AVAILABLE",
        "regionAvailability": "AVAILABLE",
    }
    said = access.said(granted | missing, "x.y", "us-west-2")
    assert (words in said) if words else said == ""


def test_the_url_is_the_sdks_own_and_the_other_apis_beside_it() -> None:
    own = "https://bedrock-runtime.eu-west-1.amazonaws.com"
    assert base_url(own, "eu-west-1", False) == f"{own}/openai/v1/"
    assert base_url(own, "eu-west-1", True) == "https://bedrock-mantle.eu-west-1.api.aws/v1/"
    assert base_url("http://127.0.0.1:9/", "eu-west-1", True) == "http://127.0.0.1:9/v1/"


def test_an_unknown_role_is_an_operators_matter() -> None:
    with pytest.raises(Denied, match=r"aws\.roles"):
        wish_of(spec("ai/smollm2", model_source="s3://b/m", role="nobody"), SETTINGS)
