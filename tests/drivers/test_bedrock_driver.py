"""Bedrock's own faults and manners, one promise per test, against the local cloud."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.aws.bedrock.wish import Mode
from drivers.aws.clients import Clients
from drivers.aws.place import Place
from drivers.base import Auth, Deployment, ModelSpec, Phase
from drivers.errors import Ambiguous, Denied, Exhausted, Rejected, Taken, Unavailable
from infra.localaws.localaws import LocalAws
from tests.drivers.bedrocks import REGION, Bedrocks, settings

Make = Callable[..., Bedrocks]
OSS = "openai.gpt-oss-20b-1:0"


@pytest.fixture
def make(aws: LocalAws, aws_clients: Clients, tmp_path: Path) -> Make:
    return lambda mode=Mode.ON_DEMAND, **given: Bedrocks(aws, aws_clients, settings(tmp_path, **given), mode)


def numbered(bedrocks: Bedrocks, count: int) -> list[Deployment]:
    return [bedrocks.deployment(number + 10) for number in range(count)]


# -- managed models ---------------------------------------------------------------------------------------------------


def test_on_demand_nothing_is_made_and_the_id_is_what_clients_send(make: Make) -> None:
    bedrocks = make()
    seen = bedrocks.ready(bedrocks.deployment())
    assert seen.endpoint is not None
    assert (seen.endpoint.model_id, seen.endpoint.auth) == (OSS, Auth.PLATFORM)
    assert seen.endpoint.url == f"{bedrocks.cloud.url}/openai/v1/"
    assert bedrocks.books() == []
    control = [name for name in bedrocks.cloud.counts() if name.startswith("bedrock.")]
    assert [name for name in control if not name.startswith(("bedrock.Get", "bedrock.List"))] == []


def test_a_model_that_only_a_profile_serves_is_served_by_its_own_geographys(make: Make) -> None:
    bedrocks = make()
    seen = bedrocks.ready(bedrocks.deployment(spec=ModelSpec(model="ai/llama3.2")))
    assert seen.endpoint is not None
    assert seen.endpoint.model_id == "us.meta.llama3-2-3b-instruct-v1:0"


def test_ready_costs_one_completion_and_not_one_each_time(make: Make) -> None:
    bedrocks = make()
    deployment = bedrocks.deployment()
    bedrocks.ready(deployment)
    for _ in range(5):
        assert bedrocks.driver.observe(deployment).phase is Phase.READY
    assert bedrocks.cloud.counts()["runtime.chat/completions"] == 1


def test_models_without_access_are_denied_before_anything_is_made(make: Make) -> None:
    for mode in (Mode.ON_DEMAND, Mode.PROFILE):
        bedrocks = make(mode)
        bedrocks.cloud.perform("bedrock-access", model=OSS, agreement="NOT_AVAILABLE")
        with pytest.raises(Denied, match="nobody has accepted the terms"):
            bedrocks.driver.create(bedrocks.deployment())
        assert bedrocks.driver.observe(bedrocks.deployment()).phase is Phase.ABSENT
        assert bedrocks.books() == []


@pytest.mark.parametrize("mode", [Mode.ON_DEMAND, Mode.PROFILE])
def test_the_terms_of_a_model_are_accepted_by_a_request_that_the_file_allows(make: Make, mode: Mode) -> None:
    """AWS subscribes the account when a model is first asked, and answers meanwhile: ready is when it is subscribed."""
    bedrocks = make(mode)
    bedrocks.cloud.perform("bedrock-access", model=OSS, agreement="NOT_AVAILABLE", entitlement="NOT_AVAILABLE")
    with pytest.raises(Denied, match=r"the file says cloud\.accept-eula=true"):
        bedrocks.driver.create(bedrocks.deployment())
    assert "runtime.chat/completions" not in bedrocks.cloud.counts(), "nobody accepts anything by asking"
    accepting = bedrocks.deployment(1, accept_eula="true")
    bedrocks.driver.create(accepting)
    for _ in range(3):
        seen = bedrocks.driver.observe(accepting)
        assert (seen.phase, "is subscribing this account" in seen.detail) == (Phase.CREATING, True)
    assert bedrocks.cloud.counts()["runtime.chat/completions"] == 1
    bedrocks.advance()
    seen = bedrocks.driver.observe(accepting)
    assert (seen.phase, "agreement" in (seen.handle or {})) == (Phase.READY, False)
    assert "bedrock.CreateFoundationModelAgreement" not in bedrocks.cloud.calls()


def test_an_agreement_that_is_not_made_is_said_and_begun_again(make: Make) -> None:
    bedrocks = make()
    accepting = bedrocks.deployment(1, accept_eula="true")
    bedrocks.cloud.perform("bedrock-access", model=OSS, agreement="NOT_AVAILABLE", marketplace="REFUSED")
    bedrocks.driver.create(accepting)
    seen = bedrocks.driver.observe(accepting)
    assert (seen.phase, "HTTP 403" in seen.detail) == (Phase.CREATING, True)
    bedrocks.cloud.perform("bedrock-access", model=OSS, marketplace="ALLOWED")
    assert "is subscribing" in bedrocks.driver.observe(accepting).detail
    bedrocks.cloud.perform("bedrock-access", model=OSS, agreement="ERROR")
    assert "nobody has accepted the terms" in bedrocks.driver.observe(accepting).detail
    bedrocks.cloud.perform("bedrock-access", model=OSS, agreement="NOT_AVAILABLE")
    bedrocks.until(bedrocks.driver.observe, accepting, Phase.READY)


def test_an_agreement_that_somebody_else_has_begun_is_waited_for(make: Make) -> None:
    bedrocks = make()
    bedrocks.cloud.perform("bedrock-access", model=OSS, agreement="PENDING")
    bedrocks.driver.create(bedrocks.deployment())
    assert bedrocks.driver.observe(bedrocks.deployment()).phase is Phase.CREATING
    bedrocks.cloud.perform("bedrock-access", model=OSS, agreement="AVAILABLE")
    bedrocks.until(bedrocks.driver.observe, bedrocks.deployment(), Phase.READY)


def test_access_that_is_taken_away_before_the_first_answer_is_said_in_awss_words(make: Make) -> None:
    bedrocks = make()
    deployment = bedrocks.deployment()
    bedrocks.driver.create(deployment)
    bedrocks.cloud.perform("bedrock-access", model=OSS, authorization="NOT_AUTHORIZED")
    seen = bedrocks.driver.observe(deployment)
    assert seen.phase is Phase.CREATING
    assert "don't have access to the model" in seen.detail
    bedrocks.cloud.perform("bedrock-access", model=OSS, authorization="AUTHORIZED")
    assert bedrocks.driver.observe(deployment).phase is Phase.READY


def test_a_model_that_the_url_does_not_serve_has_failed_and_not_only_not_answered_yet(make: Make) -> None:
    """No list of AWS's says which models speak its OpenAI-compatible API, so the first answer does."""
    bedrocks = make()
    deployment = bedrocks.deployment(model_id="deepseek.r1-v1:0")
    bedrocks.driver.create(deployment)
    seen = bedrocks.driver.observe(deployment)
    assert seen.phase is Phase.FAILED
    assert seen.detail.startswith("AWS does not serve it there: a completion was answered with HTTP 400: ")
    assert "is not supported on this API" in seen.detail


def test_a_profile_of_a_model_that_the_url_does_not_serve_is_not_waited_for(make: Make) -> None:
    """Of something new, an HTTP 400 may pass; of AWS's words that it does not serve the model, it does not."""
    bedrocks = make(Mode.PROFILE)
    deployment = bedrocks.deployment(model_id="deepseek.r1-v1:0")
    bedrocks.driver.create(deployment)
    seen = bedrocks.driver.observe(deployment)
    assert (seen.phase, "is not supported on this API" in seen.detail) == (Phase.FAILED, True)
    assert bedrocks.driver.delete(deployment).phase is Phase.ABSENT
    assert bedrocks.books() == []


def test_a_model_that_aws_does_not_list_in_the_region_is_refused(make: Make) -> None:
    bedrocks = make()
    with pytest.raises(Rejected, match=f"lists no model amazon.nova-lite-v2:0 in {REGION}.*amazon.nova-lite-v1:0"):
        bedrocks.driver.create(bedrocks.deployment(model_id="amazon.nova-lite-v2:0"))
    with pytest.raises(Rejected, match="end of its life"):
        bedrocks.driver.create(bedrocks.deployment(model_id="amazon.titan-text-lite-v1"))
    with pytest.raises(Rejected, match="only through other geographies"):
        bedrocks.driver.create(bedrocks.deployment(model_id="anthropic.claude-sonnet-4-5-20250929-v1:0"))


def test_a_legacy_model_serves_and_says_so(make: Make) -> None:
    bedrocks = make()
    seen = bedrocks.ready(bedrocks.deployment(model_id="mistral.mistral-7b-instruct-v0:2"))
    assert seen.detail == "AWS calls mistral.mistral-7b-instruct-v0:2 legacy and ends it on 2099-03-31"


@pytest.mark.parametrize("mode", [Mode.ON_DEMAND, Mode.PROFILE])
def test_a_model_that_ends_while_it_serves_has_failed_and_one_that_vanishes_is_degraded(make: Make, mode: Mode) -> None:
    bedrocks = make(mode)
    deployment = bedrocks.deployment()
    ready = bedrocks.ready(deployment)
    bedrocks.cloud.perform("bedrock-model", model=OSS, listed=False)
    seen = bedrocks.driver.observe(deployment)
    assert (seen.phase, seen.endpoint) == (Phase.DEGRADED, ready.endpoint)
    bedrocks.cloud.perform("bedrock-model", model=OSS, status="LEGACY", ends="2026-01-31")
    seen = bedrocks.driver.observe(deployment)
    assert (seen.phase, "2026-01-31" in seen.detail) == (Phase.FAILED, True)


def test_the_id_of_a_deployment_does_not_change_with_awss_lists(make: Make) -> None:
    """Served on demand from now on: what was asked for as a profile stays one, and a new deployment is not."""
    bedrocks = make()
    spec = ModelSpec(model="ai/llama3.2")
    bedrocks.ready(bedrocks.deployment(1, spec))
    id = "meta.llama3-2-3b-instruct-v1:0"
    bedrocks.cloud.perform("bedrock-model", model=id, on_demand=[REGION])
    again, new = bedrocks.driver.create(bedrocks.deployment(1, spec)), bedrocks.ready(bedrocks.deployment(2, spec))
    assert again.endpoint is not None
    assert new.endpoint is not None
    assert (again.endpoint.model_id, new.endpoint.model_id) == (f"us.{id}", id)


def test_the_other_api_serves_ids_of_its_own(make: Make) -> None:
    bedrocks = make()
    mantle = {"aws.bedrock-api": "mantle", "cloud.model-id": "openai.gpt-oss-20b"}
    deployment = bedrocks.deployment(spec=ModelSpec(model="ai/gpt-oss", options=mantle))
    seen = bedrocks.ready(deployment)
    assert seen.endpoint is not None
    assert (seen.endpoint.url, seen.endpoint.model_id) == (f"{bedrocks.cloud.url}/v1/", "openai.gpt-oss-20b")
    unknown = replace(deployment, spec=ModelSpec(model="ai/gpt-oss", options=mantle | {"cloud.model-id": OSS}))
    with pytest.raises(Rejected, match=r"it lists openai.gpt-oss-120b, openai.gpt-oss-20b"):
        bedrocks.bare().create(unknown)


def test_the_health_prompt_is_what_the_model_is_asked(make: Make) -> None:
    bedrocks = make()
    asked: list[str] = []
    containers = bedrocks.world.around.containers
    real = containers.chat
    containers.chat = lambda key, request: (asked.append(request.body.decode()), real(key, request))[1]
    try:
        bedrocks.ready(bedrocks.deployment(health_prompt="Are you there?"))
    finally:
        del containers.chat
    assert "Are you there?" in asked[0]


# -- guards, places, tokens -------------------------------------------------------------------------------------------


def test_credentials_of_another_account_do_nothing(make: Make) -> None:
    bedrocks = make(Mode.PROFILE)
    with pytest.raises(Denied, match="belong to account 123456789012, not to 999999999999"):
        bedrocks.driver.create(bedrocks.deployment(account="999999999999"))
    assert bedrocks.books() == []


def test_what_is_paid_for_is_not_absent_because_the_credentials_lead_to_another_account(make: Make) -> None:
    """It would be forgotten, and be paid for where it is."""
    bedrocks = make(Mode.PROVISIONED)
    wanted = bedrocks.deployment()
    ready = replace(wanted, handle=dict(bedrocks.ready(wanted).handle or {}))
    assert ready.handle["account"] == "123456789012"
    elsewhere = replace(ready, handle=dict(ready.handle) | {"account": "999999999999"})
    driver = bedrocks.bare()
    for call in (driver.observe, driver.delete, driver.update):
        with pytest.raises(Denied, match="not to 999999999999"):
            call(elsewhere)
    seen = driver.observe_many([elsewhere])[elsewhere.id]
    assert (seen.phase, seen.denied) == (Phase.UNKNOWN, True)
    assert len(bedrocks.books()) == 1


def test_a_key_in_the_environment_does_not_take_the_place_of_the_credentials(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK prefers it for Bedrock, whosever it is: the account that is looked at would not be the guarded one."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-api-key-of-somebody")
    bedrocks = make(Mode.PROFILE)
    bedrocks.ready(bedrocks.deployment())
    assert len(bedrocks.books()) == 1


def test_credentials_are_those_that_the_operator_named(aws: LocalAws, tmp_path: Path) -> None:
    named = settings(tmp_path, credentials={"search": "a-profile-that-is-not-there"})
    bedrocks = Bedrocks(aws, Clients(named), named)
    with pytest.raises(Denied, match="a-profile-that-is-not-there"):
        bedrocks.driver.create(bedrocks.deployment(credentials="search"))
    with pytest.raises(Rejected, match=r"no such entry under aws\.credentials"):
        bedrocks.driver.create(bedrocks.deployment(credentials="nobodys"))


def test_a_region_is_remembered_and_a_changed_setting_moves_nothing(make: Make) -> None:
    bedrocks = make(Mode.PROFILE)
    deployment = bedrocks.deployment(region="us-east-1")
    handle = bedrocks.ready(deployment).handle
    assert handle is not None
    assert handle["region"] == "us-east-1"
    assert [entry.name.partition("/")[0] for entry in bedrocks.cloud.books()] == ["us-east-1"]
    elsewhere = make(Mode.PROFILE, region="eu-west-1")
    kept = replace(elsewhere.deployment(), handle=handle)
    assert elsewhere.bare().observe(kept).phase is Phase.READY


def test_a_token_is_made_offline_for_the_deployments_region_and_ends(make: Make) -> None:
    bedrocks = make()
    deployment = bedrocks.deployment(region="us-east-1")
    bedrocks.cloud.forget_calls()
    token = bedrocks.driver.token(deployment)
    assert bedrocks.cloud.calls() == ()
    presigned = base64.b64decode(token.text.removeprefix("bedrock-api-key-")).decode()
    assert "us-east-1%2Fbedrock%2Faws4_request" in presigned
    assert 3500 < (token.expires_at - datetime.now(UTC)).total_seconds() <= 3600


def test_the_doctor_says_whose_credentials_which_region_and_which_models(make: Make) -> None:
    bedrocks = make()
    bedrocks.cloud.perform("bedrock-access", model=OSS, entitlement="NOT_AVAILABLE")
    looks = {look.name: look for look in bedrocks.driver.preflight()}
    assert looks["identity"].text == f"account 123456789012, credentials 'default', region {REGION}"
    assert looks[f"models in {REGION}"].ok
    assert not looks[f"access to {OSS} in {REGION}"].ok
    assert not looks[f"access to {OSS} in {REGION}"].needed
    assert looks[f"access to openai.gpt-oss-120b-1:0 in {REGION}"].ok
    mantle = looks[f"bedrock-mantle in {REGION}"]
    assert (mantle.ok, mantle.text, mantle.needed) == (True, "2 models: openai.gpt-oss-120b, openai.gpt-oss-20b", False)


def test_the_doctor_says_why_the_other_api_lists_nothing_and_goes_on(make: Make) -> None:
    bedrocks = make()
    bedrocks.cloud.fault("denied", operation="models")
    looks = {look.name: look for look in bedrocks.driver.preflight()}
    mantle = looks[f"bedrock-mantle in {REGION}"]
    assert (mantle.ok, mantle.needed) == (False, False)
    assert "bedrock-mantle:ListModels" in mantle.text
    assert looks[f"access to {OSS} in {REGION}"].ok


def test_the_doctor_stops_at_credentials_that_are_refused(make: Make) -> None:
    bedrocks = make()
    bedrocks.cloud.fault("denied", operation="ListFoundationModels")
    looks = list(bedrocks.driver.preflight())
    assert [look.ok for look in looks] == [True, False]
    assert "bedrock:ListFoundationModels" in looks[-1].text


def keyed(make: Make, mode: Mode = Mode.ON_DEMAND) -> tuple[Bedrocks, Deployment]:
    """A deployment whose clients send the operator's long-term key, which AWS knows and keeps."""
    bedrocks = make(mode, secrets={"shared": "/models/bedrock-key"})
    parameters = bedrocks.clients(Place(REGION, None), "ssm").calls
    parameters.put_parameter(Name="/models/bedrock-key", Value="ABSK-one", Type="SecureString")
    bedrocks.cloud.perform("bedrock-key", key="ABSK-one", region=REGION)
    return bedrocks, bedrocks.deployment(1, api_key_secret="shared")


def test_a_long_term_key_of_the_operators_is_what_clients_send(make: Make) -> None:
    bedrocks, deployment = keyed(make)
    seen = bedrocks.ready(deployment)
    assert seen.endpoint is not None
    assert seen.endpoint.auth is Auth.API_KEY
    file = Path(seen.endpoint.key_file or "")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("ABSK-one\n", 0o600)
    assert "ABSK-one" not in repr((seen, bedrocks.driver.handles))
    file.unlink()
    assert bedrocks.driver.observe(deployment) == seen
    assert file.read_text() == "ABSK-one\n", "a lost copy comes back"
    bedrocks.driver.delete(deployment)
    assert not file.exists()


def test_a_key_that_aws_does_not_take_or_does_not_have_is_said(make: Make) -> None:
    bedrocks, deployment = keyed(make)
    bedrocks.clients(Place(REGION, None), "ssm").calls.put_parameter(
        Name="/models/bedrock-key", Value="ABSK-two", Type="SecureString", Overwrite=True
    )
    bedrocks.driver.create(deployment)
    seen = bedrocks.driver.observe(deployment)
    assert (seen.phase, "HTTP 403" in seen.detail) == (Phase.CREATING, True)
    bedrocks.clients(Place(REGION, None), "ssm").calls.delete_parameter(Name="/models/bedrock-key")
    with pytest.raises(Denied, match="no parameter /models/bedrock-key"):
        bedrocks.driver.create(deployment)


def test_the_other_api_that_refuses_or_is_silent_is_no_mistake_of_the_file(make: Make) -> None:
    bedrocks = make()
    mantle = {"aws.bedrock-api": "mantle", "cloud.model-id": "openai.gpt-oss-20b"}
    deployment = bedrocks.deployment(spec=ModelSpec(model="ai/gpt-oss", options=mantle))
    bedrocks.cloud.fault("broken", operation="models")
    with pytest.raises(Unavailable, match="did not list its models"):
        bedrocks.driver.create(deployment)
    bedrocks.cloud.fault("denied", operation="models")
    with pytest.raises(Denied, match="bedrock-mantle:CallWithBearerToken"):
        bedrocks.driver.create(deployment)


# -- many at once -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [Mode.ON_DEMAND, Mode.PROFILE])
def test_five_hundred_are_looked_at_in_ten_calls_at_most(make: Make, mode: Mode) -> None:
    bedrocks = make(mode)
    many = [replace(each, handle=served_before(bedrocks, each)) for each in numbered(bedrocks, 500)]
    bedrocks.cloud.forget_calls()
    seen = bedrocks.bare().observe_many(many)
    assert {one.phase for one in seen.values()} == {Phase.READY}
    calls = len(bedrocks.cloud.calls())
    print(f"\n500 {mode.value}: {calls} calls")
    assert calls <= 10


def served_before(bedrocks: Bedrocks, deployment: Deployment) -> dict[str, str]:
    """The handle of one that has answered, which is there where it has to be."""
    where = {"region": REGION, "credentials": "default", "account": "123456789012"}
    handle = where | {"mode": bedrocks.mode.value, "created": "yes"}
    if bedrocks.mode is Mode.ON_DEMAND:
        return handle | {"model": OSS, "sends": OSS, "answered": OSS}
    made = bedrocks.client().create_inference_profile(
        inferenceProfileName=deployment.name,
        modelSource={"copyFrom": f"arn:aws:bedrock:{REGION}::foundation-model/{OSS}"},
    )
    return handle | {"arn": made["inferenceProfileArn"], "answered": made["inferenceProfileArn"]}


def test_many_new_ones_of_a_model_share_its_first_answer(make: Make) -> None:
    bedrocks = make()
    many = numbered(bedrocks, 20)
    for each in many:
        bedrocks.driver.create(each)
    assert {one.phase for one in bedrocks.driver.observe_many(many).values()} == {Phase.READY}
    assert bedrocks.cloud.counts()["runtime.chat/completions"] == 1


def test_a_region_that_cannot_be_asked_hides_no_other(make: Make) -> None:
    bedrocks = make(Mode.PROFILE)
    here, there = bedrocks.deployment(1), bedrocks.deployment(3, region="us-east-1")
    for each in (here, there):
        bedrocks.ready(each)
    bedrocks.cloud.fault("throttled", operation="ListInferenceProfiles")
    seen = bedrocks.driver.observe_many((here, there))
    assert (seen[here.id].phase, seen[there.id].phase) == (Phase.UNKNOWN, Phase.READY)
    assert "ThrottlingException" in seen[here.id].detail


# -- application inference profiles -----------------------------------------------------------------------------------


def tags_in(bedrocks: Bedrocks) -> list[dict[str, str]]:
    return [{key: value for key, value in tags.items() if not key.startswith("cmr:")} for _, tags in bedrocks.tagged()]


def test_tags_and_a_name_are_on_the_profile_from_its_first_moment(make: Make) -> None:
    bedrocks = make(Mode.PROFILE)
    bedrocks.ready(bedrocks.deployment(1, name="chat"))
    assert tags_in(bedrocks) == [{"Name": "chat", "team": "search"}]
    assert "bedrock.TagResource" not in bedrocks.cloud.calls()


def test_changed_tags_change_the_profile_in_place_and_leave_those_of_others(make: Make) -> None:
    bedrocks = make(Mode.PROFILE)
    before = bedrocks.ready(bedrocks.deployment(1, tags="team:search,stage:test"))
    (arn,) = bedrocks.world.region(REGION).things
    bedrocks.client().tag_resource(resourceARN=arn, tags=[{"key": "bill", "value": "42"}])
    changed = bedrocks.deployment(
        1, tags="team:find", health_prompt="Say something, whatever, in one word: " + "x" * 400
    )
    after = bedrocks.driver.update(changed)
    assert (after.phase, after.endpoint) == (Phase.READY, before.endpoint)
    name = changed.name
    assert tags_in(bedrocks) == [{"Name": name, "team": "find", "bill": "42"}]
    assert [one.spec for one in bedrocks.driver.owned(changed.lineage)] == [changed.spec]
    shorter = bedrocks.deployment(1, tags="team:find")
    bedrocks.driver.update(shorter)
    assert [one.spec for one in bedrocks.driver.owned(changed.lineage)] == [shorter.spec]


def test_tags_that_come_later_make_a_profile_and_the_old_id_goes_on_serving_meanwhile(make: Make) -> None:
    bedrocks = make()
    deployment = bedrocks.deployment()
    before = bedrocks.ready(deployment)
    tagged = bedrocks.deployment(1, tags="team:search")
    assert bedrocks.driver.observe(tagged) == before, "an update whose call was lost has changed nothing yet"
    bedrocks.driver.update(tagged)
    after = bedrocks.until(bedrocks.driver.observe, tagged, Phase.READY)
    assert after.endpoint is not None
    assert ":application-inference-profile/" in after.endpoint.model_id
    without = bedrocks.deployment(1)
    assert bedrocks.driver.update(without).endpoint == after.endpoint, "what clients send is not taken from them"
    assert tags_in(bedrocks) == [{"Name": without.name}]
    assert bedrocks.driver.delete(without).phase is Phase.ABSENT
    assert bedrocks.books() == []


@pytest.mark.parametrize("mode", [Mode.PROFILE, Mode.PROVISIONED, Mode.IMPORT])
def test_what_a_list_still_shows_and_aws_says_is_gone_is_absent_and_nobody_elses(make: Make, mode: Mode) -> None:
    bedrocks = make(mode)
    bedrocks.ready(bedrocks.deployment())
    gone = {"code": "ResourceNotFoundException", "message": "The resource was not found."}
    bedrocks.cloud.fault("refused", operation="ListTagsForResource", times=2, **gone)
    for ask in (bedrocks.bare().observe, bedrocks.bare().delete):
        seen = ask(bedrocks.deployment())
        assert (seen.phase, seen.foreign) == (Phase.ABSENT, False)


def test_tags_that_cannot_be_put_anywhere_do_not_end_what_serves(make: Make) -> None:
    """`Taken` gives an attempt up, and this one is being used."""
    bedrocks = make()
    deployment = bedrocks.deployment()
    ready = bedrocks.ready(deployment)
    is_untouched = bedrocks.occupy(deployment)
    with pytest.raises(Unavailable, match="without our tags"):
        bedrocks.driver.update(bedrocks.deployment(1, tags="team:search"))
    assert bedrocks.driver.observe(deployment) == ready
    assert is_untouched()


def test_a_profile_that_an_unheard_of_update_made_goes_with_the_deployment(make: Make) -> None:
    bedrocks = make()
    deployment = bedrocks.deployment()
    bedrocks.ready(deployment)
    bedrocks.bare().update(bedrocks.driver.known(bedrocks.deployment(1, tags="team:search")))
    assert bedrocks.books() == ["profile"]
    assert bedrocks.driver.delete(deployment).phase is Phase.ABSENT
    assert bedrocks.books() == []


def test_a_profile_made_and_deleted_behind_our_back_is_not_waited_for(make: Make) -> None:
    """AWS answers a spent request token with what it once made; only another deployment gets a new one."""
    bedrocks = make(Mode.PROFILE)
    deployment = bedrocks.deployment()
    bedrocks.driver.create(deployment)
    (arn,) = bedrocks.world.region(REGION).things
    bedrocks.client().delete_inference_profile(inferenceProfileIdentifier=arn)
    assert bedrocks.driver.observe(deployment).phase is Phase.ABSENT
    with pytest.raises(Taken, match="does not make it twice"):
        bedrocks.driver.create(deployment)
    bedrocks.ready(bedrocks.deployment(3))


def test_a_known_profile_needs_no_look_at_its_tags(make: Make) -> None:
    bedrocks = make(Mode.PROFILE)
    deployment = bedrocks.deployment()
    bedrocks.ready(deployment)
    bedrocks.cloud.forget_calls()
    assert bedrocks.driver.observe(deployment).phase is Phase.READY
    assert "bedrock.ListTagsForResource" not in bedrocks.cloud.calls()


@pytest.mark.parametrize("mode", [Mode.PROFILE, Mode.PROVISIONED, Mode.IMPORT])
def test_what_lost_our_tags_is_not_changed_nor_deleted_any_more_and_is_said(make: Make, mode: Mode) -> None:
    bedrocks = make(mode)
    deployment = bedrocks.deployment()
    bedrocks.ready(deployment)
    bedrocks.world.region(REGION).tags.clear()
    before = bedrocks.snapshot()
    with pytest.raises(Taken, match="without our tags"):
        bedrocks.driver.create(deployment)
    for ask in (
        bedrocks.driver.update,
        bedrocks.driver.delete,
        bedrocks.driver.observe,
        bedrocks.after_a_crash().observe,
    ):
        seen = ask(deployment)
        assert (seen.phase, seen.foreign, "without our tags" in seen.detail) == (Phase.ABSENT, True, True)
    assert bedrocks.snapshot() == before


def test_other_peoples_profiles_are_not_even_asked_for_their_tags(make: Make) -> None:
    bedrocks = make()
    for number in range(5):
        bedrocks.client().create_inference_profile(
            inferenceProfileName=f"theirs-{number}",
            modelSource={"copyFrom": f"arn:aws:bedrock:{REGION}::foundation-model/{OSS}"},
        )
    bedrocks.cloud.forget_calls()
    assert list(bedrocks.driver.owned("anybody")) == []
    assert bedrocks.cloud.counts().get("bedrock.ListTagsForResource", 0) == 0


# -- provisioned throughput -------------------------------------------------------------------------------------------


def test_model_units_are_bought_as_many_as_written_without_commitment(make: Make) -> None:
    bedrocks = make(Mode.PROVISIONED)
    seen = bedrocks.ready(bedrocks.deployment(2))
    assert seen.endpoint is not None
    row = bedrocks.client().get_provisioned_model_throughput(provisionedModelId=seen.endpoint.model_id)
    assert (row["modelUnits"], row.get("commitmentDuration")) == (2, None)
    assert bedrocks.cloud.usd_per_hour() > 0
    bedrocks.until(bedrocks.driver.delete, bedrocks.deployment(2), Phase.ABSENT)
    assert bedrocks.cloud.usd_per_hour() == 0


def test_nothing_is_bought_where_the_operator_does_not_allow_it(make: Make) -> None:
    bedrocks = make(Mode.PROVISIONED, provisioned_throughput=False)
    with pytest.raises(Rejected, match=r"aws\.provisioned_throughput"):
        bedrocks.driver.create(bedrocks.deployment())
    assert bedrocks.books() == []


def test_nothing_is_bought_of_a_model_that_clients_could_not_use(make: Make) -> None:
    """What is written about it only warns; AWS's own answer, asked by the token, decides before the hours do."""
    bedrocks = make(Mode.PROVISIONED)
    bedrocks.cloud.perform("bedrock-model", model="meta.llama3-1-8b-instruct-v1:0", chats=False)
    with pytest.raises(Rejected, match=r"no model units were bought, because .*is not supported on this API"):
        bedrocks.driver.create(bedrocks.deployment())
    assert bedrocks.books() == []
    assert "bedrock.CreateProvisionedModelThroughput" not in bedrocks.cloud.calls()
    bedrocks.cloud.perform("bedrock-model", model="meta.llama3-1-8b-instruct-v1:0", chats=True)
    bedrocks.cloud.fault("broken", operation="chat/completions")
    bedrocks.driver.create(bedrocks.deployment())
    assert bedrocks.books() == ["throughput"], "an answer that says nothing of the kind is no reason"


def test_what_was_bought_can_be_deleted_also_when_buying_is_no_longer_allowed(make: Make) -> None:
    bedrocks = make(Mode.PROVISIONED)
    bedrocks.ready(bedrocks.deployment())
    handle = bedrocks.driver.handles[bedrocks.deployment().id]
    strict = make(Mode.PROVISIONED, provisioned_throughput=False)
    kept = replace(strict.deployment(), handle=handle)
    assert strict.bare().observe(kept).phase is Phase.READY
    assert strict.bare().delete(kept).phase is Phase.ABSENT
    assert bedrocks.books() == []


def test_what_somebody_renamed_is_not_absent_while_it_is_paid_for(make: Make) -> None:
    bedrocks = make(Mode.PROVISIONED)
    deployment = bedrocks.deployment()
    bedrocks.ready(deployment)
    bedrocks.client().update_provisioned_model_throughput(
        provisionedModelId=deployment.name, desiredProvisionedModelName="somebodys-name"
    )
    assert bedrocks.driver.observe(deployment).phase is Phase.READY
    bedrocks.until(bedrocks.driver.delete, deployment, Phase.ABSENT)
    assert bedrocks.books() == []


def test_a_commitment_refuses_the_deletion_and_says_so(make: Make) -> None:
    bedrocks = make(Mode.PROVISIONED)
    deployment = bedrocks.deployment()
    bedrocks.ready(deployment)
    bedrocks.cloud.perform("bedrock-commit", throughput=deployment.name, days=30)
    with pytest.raises(Unavailable, match=r"bills it on: .*commitment term"):
        bedrocks.driver.delete(deployment)
    assert bedrocks.driver.observe(deployment).phase is Phase.READY
    assert bedrocks.books() == ["throughput"]


def test_quota_and_capacity_are_told_apart(make: Make) -> None:
    bedrocks = make(Mode.PROVISIONED)
    bedrocks.cloud.quota("bedrock/model-units", 0)
    with pytest.raises(Exhausted, match=r"ServiceQuotaExceededException.*Service Quotas"):
        bedrocks.driver.create(bedrocks.deployment())
    assert bedrocks.books() == []
    bedrocks.cloud.quota("bedrock/model-units", None)
    bedrocks.cloud.capacity("bedrock/model-units", 0)
    bedrocks.driver.create(bedrocks.deployment())
    failed = bedrocks.until(bedrocks.driver.observe, bedrocks.deployment(), Phase.FAILED)
    assert "not enough capacity" in failed.detail
    bedrocks.until(bedrocks.driver.delete, bedrocks.deployment(), Phase.ABSENT)
    assert bedrocks.books() == []


def test_an_answer_that_never_came_is_ambiguous_and_one_that_was_throttled_is_not(make: Make) -> None:
    bedrocks = make(Mode.PROVISIONED)
    bedrocks.cloud.fault("throttled", operation="CreateProvisionedModelThroughput")
    with pytest.raises(Unavailable, match="ThrottlingException"):
        bedrocks.driver.create(bedrocks.deployment())
    bedrocks.cloud.fault("response-lost", operation="CreateProvisionedModelThroughput")
    with pytest.raises(Ambiguous):
        bedrocks.driver.create(bedrocks.deployment())
    assert bedrocks.books() == ["throughput"]


# -- imports ----------------------------------------------------------------------------------------------------------


def test_an_import_under_way_cannot_be_stopped_and_its_model_goes_when_it_is_there(make: Make) -> None:
    bedrocks = make(Mode.IMPORT)
    deployment = bedrocks.deployment()
    assert bedrocks.driver.create(deployment).phase is Phase.CREATING
    going = bedrocks.driver.delete(deployment)
    assert (going.phase, "cannot be stopped" in going.detail) == (Phase.DELETING, True)
    assert bedrocks.driver.observe(deployment).phase is Phase.DELETING
    bedrocks.advance()
    assert bedrocks.driver.observe(deployment).phase is Phase.DELETING
    assert bedrocks.driver.delete(deployment).phase is Phase.ABSENT
    assert bedrocks.books() == []


def test_an_import_under_way_is_owned(make: Make) -> None:
    """Whoever forgot it would otherwise have a model appear that nobody asked for."""
    bedrocks = make(Mode.IMPORT)
    deployment = bedrocks.deployment()
    bedrocks.driver.create(deployment)
    (found,) = bedrocks.bare().owned(deployment.lineage)
    assert replace(found, handle={}) == replace(deployment, handle={})


def test_a_failed_import_says_why_and_leaves_nothing_to_delete(make: Make) -> None:
    bedrocks = make(Mode.IMPORT)
    bedrocks.cloud.perform("bedrock-break-import", source="smollm2")
    deployment = bedrocks.deployment()
    bedrocks.driver.create(deployment)
    failed = bedrocks.until(bedrocks.driver.observe, deployment, Phase.FAILED)
    assert "No model files" in failed.detail
    assert bedrocks.driver.delete(deployment).phase is Phase.ABSENT
    assert bedrocks.driver.observe(deployment).phase is Phase.ABSENT
    assert list(bedrocks.driver.owned(deployment.lineage)) == []
    with pytest.raises(Taken):
        bedrocks.driver.create(deployment)


def test_an_import_runs_as_the_operators_role_with_the_operators_key(make: Make) -> None:
    key = "arn:aws:kms:us-west-2:123456789012:key/00000000-0000-4000-8000-000000000000"
    other = "arn:aws:iam::123456789012:role/other"
    bedrocks = make(Mode.IMPORT, roles={"reader": other}, kms_keys={"own": key})
    bedrocks.driver.create(bedrocks.deployment(role="reader", kms_key="own"))
    (job,) = bedrocks.world.region(REGION).things.values()
    assert (job.said["roleArn"], job.said["importedModelKmsKeyId"]) == (other, key)


def test_nothing_that_is_remembered_or_said_is_a_secret(make: Make) -> None:
    for mode in Mode:
        bedrocks = make(mode)
        seen = bedrocks.ready(bedrocks.deployment())
        text = repr((seen, bedrocks.driver.handles))
        assert "bedrock-api-key-" not in text
        assert "local/secret" not in text
