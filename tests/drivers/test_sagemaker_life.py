"""SageMaker's own faults and turns: what is rolled back, refused, changed by somebody else, and what many cost."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.aws.clients import Clients
from drivers.aws.sagemaker.driver import SageMakerDriver
from drivers.aws.sagemaker.names import revision
from drivers.base import Auth, Deployment, Observation, Phase
from drivers.errors import Ambiguous, Denied, Exhausted, Rejected, Taken, Unavailable
from tests import builders
from tests.drivers.sagemakers import REGION, UNHURRIED_S, SageMakers, remembering, settings

MANY = 500
TRUSTED = "sagemaker.amazonaws.com"


@pytest.fixture
def sagemakers(tmp_path: Path) -> SageMakers:
    return SageMakers(tmp_path)


def with_options(of: Deployment, context: int | None = None, **given: str) -> Deployment:
    options = {key.replace("__", ".").replace("_", "-"): text for key, text in given.items()}
    return replace(of, spec=builders.model_spec(context_size=context, options=options))


def seen(sagemakers: SageMakers, deployment: Deployment) -> Observation:
    return sagemakers.driver.observe(deployment)


# -- create -----------------------------------------------------------------------------------------------------------


def test_ready_is_a_completion_at_the_url_that_clients_get_asked_once(sagemakers: SageMakers) -> None:
    ready = sagemakers.settled(sagemakers.deployment())
    now = seen(sagemakers, ready)
    assert now.endpoint is not None
    assert now.endpoint.url == f"{sagemakers.cloud.url}/endpoints/{ready.name}/openai/v1/"
    assert now.endpoint.auth is Auth.PLATFORM
    assert sagemakers.cloud.counts()["runtime.chat/completions"] == 1
    assert "api-key" not in repr((now, ready.handle))


def test_no_quota_is_said_before_anything_runs_and_asked_again_later(sagemakers: SageMakers) -> None:
    wanted = with_options(sagemakers.deployment(), cloud__instance_type="ml.g6.xlarge")
    sagemakers.cloud.quota("ml.g6.xlarge", 0)
    with pytest.raises(Exhausted, match=r"service limit 'ml\.g6\.xlarge for endpoint usage' is 0.*Service Quotas"):
        sagemakers.driver.create(wanted)
    assert seen(sagemakers, wanted).phase is Phase.ABSENT
    sagemakers.cloud.quota("ml.g6.xlarge", None)
    assert sagemakers.driver.create(wanted).phase is Phase.CREATING
    assert sagemakers.things(wanted) == 1


def test_no_capacity_fails_with_aws_s_words_and_the_next_step(sagemakers: SageMakers) -> None:
    wanted = with_options(sagemakers.deployment(), cloud__instance_type="ml.g6.xlarge")
    sagemakers.cloud.capacity("ml.g6.xlarge", 0)
    sagemakers.driver.create(wanted)
    failed = sagemakers.until(sagemakers.driver.observe, wanted, Phase.FAILED)
    assert "InsufficientInstanceCapacity" in failed.detail
    assert "name more instance types" in failed.detail
    sagemakers.until(sagemakers.driver.delete, wanted, Phase.ABSENT)
    assert sagemakers.names() == ()


def test_the_next_type_is_taken_where_the_first_one_is_short(sagemakers: SageMakers) -> None:
    wanted = with_options(sagemakers.deployment(), cloud__instance_type="gpu-small")
    sagemakers.cloud.capacity("ml.g6.xlarge", 0)
    sagemakers.settled(wanted)
    pools = sagemakers.endpoint(wanted)["ProductionVariants"][0]["InstancePools"]
    assert {pool["InstanceType"]: pool["CurrentInstanceCount"] for pool in pools} == {
        "ml.g6.xlarge": 0,
        "ml.g5.xlarge": 1,
    }


def test_a_container_that_does_not_come_up_is_failed_and_leads_to_its_log(sagemakers: SageMakers) -> None:
    wanted = sagemakers.deployment()
    sagemakers.cloud.perform("break-containers", text="smollm2")
    sagemakers.driver.create(wanted)
    failed = sagemakers.until(sagemakers.driver.observe, wanted, Phase.FAILED)
    assert "ping health check" in failed.detail
    assert "reconcile logs" in failed.detail


def test_a_model_of_our_name_that_is_somebody_else_s_is_left_alone(sagemakers: SageMakers) -> None:
    wanted, client = sagemakers.deployment(), sagemakers.client("sagemaker")
    container = {"Image": "763104351884.dkr.ecr.us-west-2.amazonaws.com/llama-cpp:server-sagemaker-cuda-v1"}
    client.create_model(ModelName=revision(wanted), PrimaryContainer=container)
    with pytest.raises(Taken, match="not ours"):
        sagemakers.driver.create(wanted)
    assert sagemakers.driver.delete(wanted).phase is Phase.ABSENT
    assert sagemakers.names() == (f"model {revision(wanted)}",)


def test_an_endpoint_that_lost_our_tags_is_foreign_and_left_alone_with_its_model(sagemakers: SageMakers) -> None:
    ours = sagemakers.settled(sagemakers.deployment())
    client, arn = sagemakers.client("sagemaker"), sagemakers.endpoint(ours)["EndpointArn"]
    client.delete_tags(ResourceArn=arn, TagKeys=["cmr:owner"])
    for call in (sagemakers.driver.observe, sagemakers.driver.delete):
        answer = call(ours)
        assert (answer.phase, answer.foreign) == (Phase.ABSENT, True)
        assert ours.name in answer.detail
    with pytest.raises(Taken):
        sagemakers.driver.create(ours)
    assert len(sagemakers.names()) == 3


def test_zones_choose_among_the_operator_s_subnets(sagemakers: SageMakers) -> None:
    ec2 = sagemakers.client("ec2")
    by_zone = {each["AvailabilityZone"]: each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]}
    sagemakers.settings = replace(
        sagemakers.settings,
        subnets={f"default-{zone}": id for zone, id in by_zone.items()},
        security_groups={"default": "sg-1"},
    )
    sagemakers.driver = sagemakers.after_a_crash()
    wanted = with_options(sagemakers.deployment(), cloud__zones=f"{REGION}b")
    sagemakers.driver.create(wanted)
    model = sagemakers.client("sagemaker").describe_model(ModelName=revision(wanted))
    assert model["VpcConfig"]["Subnets"] == [by_zone[f"{REGION}b"]]
    with pytest.raises(Rejected, match=r"cloud\.zones: none of the subnets is in us-west-2x; they are in us-west-2a"):
        sagemakers.driver.create(with_options(sagemakers.deployment(2), cloud__zones=f"{REGION}x"))


def test_an_account_in_which_it_was_not_made_says_nothing_of_it(sagemakers: SageMakers) -> None:
    """With credentials of another account everything seems to be gone, and would be made once more."""
    ours = sagemakers.settled(sagemakers.deployment())
    assert ours.handle["account"] == "123456789012"
    elsewhere = replace(sagemakers.deployment(2), handle=dict(ours.handle) | {"account": "999999999999"})
    for call in (sagemakers.driver.observe, sagemakers.driver.create, sagemakers.driver.delete):
        with pytest.raises(Denied, match="not to 999999999999"):
            call(elsewhere)
    unknown = replace(sagemakers.deployment(3), handle={"credentials": "unheard-of"})
    seen = sagemakers.driver.observe_many((elsewhere, unknown, ours))
    assert seen[ours.id].phase is Phase.READY
    assert [(seen[one.id].phase, seen[one.id].denied) for one in (elsewhere, unknown)] == [(Phase.UNKNOWN, True)] * 2


def test_credentials_of_another_account_do_nothing(sagemakers: SageMakers) -> None:
    wanted = with_options(sagemakers.deployment(), cloud__account="999999999999")
    driver = sagemakers.driver
    for call in (driver.create, driver.update, driver.delete, driver.observe):
        with pytest.raises(Denied, match="belong to account 123456789012, not to 999999999999"):
            call(wanted)
    assert sagemakers.names() == ()


def test_what_is_ours_is_not_listed_in_an_account_that_is_not(tmp_path: Path) -> None:
    sagemakers = SageMakers(tmp_path, account="999999999999")
    guarded = SageMakerDriver(
        settings=sagemakers.settings, clients=Clients(sagemakers.settings), clock=lambda: datetime.now(UTC)
    )
    with pytest.raises(Denied, match="not to 999999999999"):
        tuple(guarded.owned(builders.LINEAGE))


@pytest.mark.parametrize(
    ("kind", "error"), [("throttled", Unavailable), ("denied", Denied)]
)  # fmt: skip
def test_what_aws_did_not_do_is_not_taken_for_what_it_may_have_done(
    sagemakers: SageMakers, kind: str, error: type[Exception]
) -> None:
    sagemakers.cloud.fault(kind, operation="CreateEndpoint")
    with pytest.raises(error):
        sagemakers.driver.create(sagemakers.deployment())


# -- update -----------------------------------------------------------------------------------------------------------


def test_an_update_keeps_the_old_configuration_until_it_is_over(sagemakers: SageMakers) -> None:
    old = sagemakers.settled(sagemakers.deployment())
    new = with_options(old, context=4096)
    assert seen(sagemakers, new).spec_digest != new.spec.digest
    under_way = sagemakers.driver.update(new)
    assert (under_way.phase, under_way.endpoint is not None) == (Phase.CREATING, True)
    assert f"endpoint config {revision(old)}" in sagemakers.names()
    assert seen(sagemakers, remembering(new, under_way)).phase is Phase.CREATING
    sagemakers.advance()
    over = seen(sagemakers, remembering(new, under_way))
    assert (over.phase, over.spec_digest) == (Phase.READY, "unsettled")
    done = sagemakers.driver.update(remembering(new, over))
    assert (done.phase, done.spec_digest) == (Phase.READY, new.spec.digest)
    assert f"endpoint config {revision(old)}" not in sagemakers.names()
    (found,) = sagemakers.driver.owned(new.lineage)
    assert found.spec == new.spec


def test_an_update_that_aws_rolls_back_is_degraded_and_never_asked_for_again(sagemakers: SageMakers) -> None:
    old = sagemakers.settled(sagemakers.deployment())
    new = with_options(old, cloud__instance_type="ml.g6e.xlarge")
    sagemakers.cloud.capacity("ml.g6e.xlarge", 0)
    new = remembering(new, sagemakers.driver.update(new))
    sagemakers.advance()
    for call in (sagemakers.driver.observe, sagemakers.driver.update, sagemakers.driver.observe):
        back = call(new)
        assert back.phase is Phase.DEGRADED
        assert "rolled back" in back.detail
        assert "InsufficientInstanceCapacity" in back.detail
        assert back.endpoint is not None
    assert sagemakers.cloud.counts()["sagemaker.UpdateEndpoint"] == 1
    # Back to what it was: nothing of the attempt stays, and the same wish may be tried another day.
    again = sagemakers.settled(replace(new, spec=old.spec))
    again = remembering(again, sagemakers.driver.update(again))
    assert [name for name in sagemakers.names() if "config" in name] == [f"endpoint config {revision(old)}"]
    sagemakers.cloud.capacity("ml.g6e.xlarge", None)
    sagemakers.settled(replace(again, spec=new.spec))


def test_an_update_whose_answer_was_lost_is_tried_once_more_and_then_given_up(sagemakers: SageMakers) -> None:
    old = sagemakers.settled(sagemakers.deployment())
    new = with_options(old, cloud__instance_type="ml.g6e.xlarge")
    sagemakers.cloud.capacity("ml.g6e.xlarge", 0)
    sagemakers.cloud.fault("response-lost", operation="UpdateEndpoint")
    with pytest.raises(Ambiguous):
        sagemakers.driver.update(new)
    sagemakers.advance()
    _, last = sagemakers.passes(new)
    assert last.phase is Phase.DEGRADED
    assert sagemakers.cloud.counts()["sagemaker.UpdateEndpoint"] == 2


def updated_badly(sagemakers: SageMakers, old: Deployment) -> Deployment:
    """As far as the reconciler has it when the new fleet has just got the traffic. It answers everything with 500."""
    sagemakers.serve_badly('"SM_LLAMA_CPP_CTX_SIZE": "4096"')
    new = with_options(old, context=4096)
    new = remembering(new, sagemakers.driver.update(new))
    sagemakers.advance()
    return remembering(new, seen(sagemakers, new))


def test_an_update_that_answers_badly_is_rolled_back_and_refused_for_good(sagemakers: SageMakers) -> None:
    """Another endpoint of the same spec would become ready, and its clients would be sent there."""
    old = sagemakers.settled(sagemakers.deployment())
    new = updated_badly(sagemakers, old)
    assert seen(sagemakers, new).phase is Phase.CREATING
    assert sagemakers.ask(new).status == 500
    assert sagemakers.ask(new).status == 200  # the traffic is with the old fleet again
    assert sagemakers.endpoint(new)["EndpointStatus"] == "RollingBack"
    assert seen(sagemakers, new).detail == "the update failed and is rolled back"
    sagemakers.advance()
    for _ in range(3):
        back = seen(sagemakers, new)
        new = remembering(new, back)
        assert (back.phase, back.spec_digest, back.endpoint is not None) == (Phase.READY, "unsettled", True)
        with pytest.raises(Rejected, match=r"rolled back.*Alarm .*-errors went off.*reconcile logs"):
            sagemakers.driver.update(new)
        sagemakers.advance()
    assert sagemakers.cloud.counts()["sagemaker.UpdateEndpoint"] == 1
    again = sagemakers.settled(replace(new, spec=old.spec))
    assert sagemakers.names() == tuple(sorted(
        [f"endpoint {old.name}", f"endpoint config {revision(old)}", f"model {revision(old)}"]
    ))  # fmt: skip
    # A later try begins with an alarm of its own, which is not on.
    sagemakers.cloud.fail_answers(None)
    assert sagemakers.settled(replace(again, spec=new.spec)).spec == new.spec


def test_a_deletion_takes_the_alarm_of_an_update_along(sagemakers: SageMakers) -> None:
    new = updated_badly(sagemakers, sagemakers.settled(sagemakers.deployment()))
    sagemakers.ask(new)
    sagemakers.advance()
    assert f"alarm {revision(new)}-errors" in sagemakers.names()
    sagemakers.until(sagemakers.driver.delete, new, Phase.ABSENT)
    assert sagemakers.names() == ()


def test_the_alarm_of_an_update_is_ours_and_about_the_new_fleet_only(sagemakers: SageMakers) -> None:
    old = sagemakers.settled(sagemakers.deployment())
    new = with_options(old, context=4096)
    sagemakers.driver.update(new)
    watch = sagemakers.client("cloudwatch")
    (alarm,) = watch.describe_alarms()["MetricAlarms"]
    assert {each["Name"]: each["Value"] for each in alarm["Dimensions"]} == {
        "EndpointName": new.name, "VariantName": "model", "EndpointConfigName": revision(new),
    }  # fmt: skip
    tags = {tag["Key"]: tag["Value"] for tag in watch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]}
    assert (tags["cmr:owner"], tags["cmr:deployment"]) == ("compose-model-reconciler", new.id)
    sagemakers.settled(new)
    assert watch.describe_alarms()["MetricAlarms"] == []


def test_an_old_fleet_that_fails_does_not_keep_away_what_mends_it(sagemakers: SageMakers) -> None:
    old = sagemakers.settled(sagemakers.deployment())
    sagemakers.serve_badly('"SM_LLAMA_CPP_ALIAS": "ai/smollm2"')
    new = with_options(old, context=4096)
    new = remembering(new, sagemakers.driver.update(new))
    assert sagemakers.ask(new).status == 500
    sagemakers.cloud.fail_answers(None)
    assert sagemakers.settled(new).spec == new.spec


def test_a_role_that_may_not_look_at_the_alarm_is_the_operator_s_to_mend(sagemakers: SageMakers) -> None:
    """SageMaker calls it a ValidationException, as everything; the file need not change for it."""
    old = sagemakers.settled(sagemakers.deployment())
    message = "The execution role is not authorized to perform: cloudwatch:DescribeAlarms on the alarm"
    sagemakers.cloud.fault("refused", operation="UpdateEndpoint", message=message)
    with pytest.raises(Denied, match=r"DescribeAlarms.*sagemaker-endpoint\.json"):
        sagemakers.driver.update(with_options(old, context=4096))
    assert sagemakers.settled(with_options(old, context=4096)).spec.context_size == 4096


def test_an_update_that_aws_gives_up_without_a_word_is_not_asked_for_in_circles(sagemakers: SageMakers) -> None:
    """terraform-provider-aws #48997: without a reason it was taken for one that had not begun, and asked for again."""
    old = sagemakers.settled(sagemakers.deployment())
    new = with_options(old, cloud__instance_type="ml.g6e.xlarge")
    sagemakers.cloud.capacity("ml.g6e.xlarge", 0)
    new = remembering(new, sagemakers.driver.update(new))
    sagemakers.advance()
    seen(sagemakers, new)
    sagemakers.say_nothing(new)
    assert seen(sagemakers, new).phase is Phase.READY
    for _ in range(2):
        with pytest.raises(Rejected, match="AWS gives no reason"):
            sagemakers.driver.update(new)
    assert sagemakers.cloud.counts()["sagemaker.UpdateEndpoint"] == 1


def test_another_number_of_replicas_needs_no_new_configuration(sagemakers: SageMakers) -> None:
    one = sagemakers.settled(sagemakers.deployment())
    three = sagemakers.settled(with_options(one, cloud__replicas="3"))
    assert sagemakers.endpoint(three)["ProductionVariants"][0]["CurrentInstanceCount"] == 3
    assert sagemakers.endpoint(three)["EndpointConfigName"] == revision(one)
    assert "sagemaker.UpdateEndpoint" not in sagemakers.cloud.counts()
    (found,) = sagemakers.driver.owned(three.lineage)
    assert found.spec == three.spec


def test_more_replicas_than_there_are_are_degraded_and_not_asked_for_in_circles(sagemakers: SageMakers) -> None:
    one = sagemakers.settled(with_options(sagemakers.deployment(), cloud__instance_type="ml.g6.xlarge"))
    sagemakers.cloud.capacity("ml.g6.xlarge", 1)
    _, last = sagemakers.passes(with_options(one, cloud__instance_type="ml.g6.xlarge", cloud__replicas="3"))
    assert last.phase is Phase.DEGRADED
    assert sagemakers.cloud.counts()["sagemaker.UpdateEndpointWeightsAndCapacities"] == 1


def test_what_autoscaling_counts_survives_an_update(sagemakers: SageMakers) -> None:
    scaled = sagemakers.settled(with_options(sagemakers.deployment(), cloud__replicas="1..4"))
    sagemakers.cloud.perform("scale", region=REGION, resource=f"endpoint/{scaled.name}/variant/model", count=3)
    assert seen(sagemakers, scaled).phase is Phase.READY  # AWS calls it Updating meanwhile
    sagemakers.advance()
    assert seen(sagemakers, scaled).spec_digest == scaled.spec.digest
    new = sagemakers.settled(with_options(scaled, context=4096, cloud__replicas="1..4"))
    assert sagemakers.endpoint(new)["ProductionVariants"][0]["CurrentInstanceCount"] == 3


def test_a_fixed_fleet_and_one_that_scales_to_zero_are_replaced_by_each_other(sagemakers: SageMakers) -> None:
    fixed = sagemakers.settled(sagemakers.deployment())
    other = with_options(fixed, cloud__replicas="0..1")
    for call in (sagemakers.driver.observe, sagemakers.driver.update):
        assert call(other).phase is Phase.DEGRADED
    sagemakers.until(sagemakers.driver.delete, other, Phase.ABSENT)
    assert sagemakers.names() == ()


def test_what_somebody_else_changed_is_brought_back(sagemakers: SageMakers) -> None:
    ours = sagemakers.settled(sagemakers.deployment())
    sagemakers.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName=ours.name, DesiredWeightsAndCapacities=[{"VariantName": "model", "DesiredInstanceCount": 2}]
    )
    sagemakers.advance()
    assert seen(sagemakers, ours).spec_digest != ours.spec.digest
    sagemakers.settled(ours)
    sagemakers.advance()
    assert sagemakers.endpoint(ours)["ProductionVariants"][0]["CurrentInstanceCount"] == 1


def test_tags_that_a_user_took_away_go_and_a_shorter_spec_reads_back(sagemakers: SageMakers) -> None:
    words = ",".join(f"key{number}:{'v' * 40}{number}" for number in range(9))
    long = sagemakers.settled(with_options(sagemakers.deployment(), context=4096, cloud__tags=words))
    short = sagemakers.settled(with_options(long))
    (found,) = sagemakers.driver.owned(short.lineage)
    assert found.spec == short.spec
    tags = next(tags for kind, tags in sagemakers.tagged() if kind == "endpoint")
    assert not any(key.startswith("key") for key in tags)


# -- scale to zero ----------------------------------------------------------------------------------------------------


def test_what_scaled_to_zero_stays_ready_and_wakes_by_its_alarm(sagemakers: SageMakers) -> None:
    ready = sagemakers.settled(with_options(sagemakers.deployment(), cloud__replicas="0..2"))
    now = seen(sagemakers, ready)
    assert now.endpoint is not None
    assert now.endpoint.url.endswith(f"/endpoints/{ready.name}/inference-components/{ready.name}/openai/v1/")
    sagemakers.cloud.perform("scale", region=REGION, resource=f"inference-component/{ready.name}", count=0)
    sagemakers.advance()
    assert seen(sagemakers, ready).phase is Phase.READY
    assert copies(sagemakers, ready) == 0
    from drivers import probe

    token = sagemakers.driver.token(ready)
    cold = probe.complete(now.endpoint.url, now.endpoint.model_id, key=token.text)
    assert (cold.ok, cold.status) == (False, 400)
    sagemakers.advance()
    sagemakers.advance()
    assert copies(sagemakers, ready) == 1
    assert probe.complete(now.endpoint.url, now.endpoint.model_id, key=token.text).ok


def copies(sagemakers: SageMakers, deployment: Deployment) -> int:
    client = sagemakers.client("sagemaker")
    found = client.describe_inference_component(InferenceComponentName=deployment.name)
    return int(found["RuntimeConfig"]["CurrentCopyCount"])


# -- delete -----------------------------------------------------------------------------------------------------------


def test_an_endpoint_that_is_being_created_is_deleted_as_soon_as_it_can_be(sagemakers: SageMakers) -> None:
    wanted = sagemakers.deployment()
    sagemakers.driver.create(wanted)
    first = sagemakers.driver.delete(wanted)
    assert (first.phase, "cannot delete" in first.detail) == (Phase.DELETING, True)
    assert "sagemaker.DeleteEndpoint" not in sagemakers.cloud.counts()
    sagemakers.until(sagemakers.driver.delete, wanted, Phase.ABSENT)
    assert sagemakers.names() == ()


def test_what_a_deletion_left_behind_is_not_taken_for_a_create(sagemakers: SageMakers) -> None:
    ready = sagemakers.settled(sagemakers.deployment())
    sagemakers.driver.delete(ready)
    assert seen(sagemakers, ready).phase is Phase.DELETING
    sagemakers.advance()
    assert seen(sagemakers, ready).phase is Phase.FAILED  # delete it, now
    assert sagemakers.driver.delete(ready).phase is Phase.ABSENT


def test_parts_without_an_endpoint_are_owned_as_well(sagemakers: SageMakers) -> None:
    wanted = sagemakers.deployment()
    sagemakers.cloud.fault("request-lost", operation="CreateEndpointConfig")
    with pytest.raises(Exception, match="creating the endpoint configuration"):
        sagemakers.driver.create(wanted)
    (found,) = sagemakers.driver.owned(wanted.lineage)
    assert replace(found, handle={}) == replace(wanted, handle={})
    assert seen(sagemakers, wanted).phase is Phase.ABSENT  # another create completes it


# -- many -------------------------------------------------------------------------------------------------------------


def test_a_refresh_of_many_endpoints_makes_ten_calls_at_most(sagemakers: SageMakers) -> None:
    sagemakers.unhurried()
    many = [sagemakers.deployment(number) for number in range(MANY)]
    for deployment in many:
        sagemakers.driver.create(deployment)
    sagemakers.cloud.forget_calls()
    creating = sagemakers.driver.observe_many(many)
    assert {one.phase for one in creating.values()} == {Phase.CREATING}
    assert len(sagemakers.cloud.calls()) <= 10
    sagemakers.cloud.advance(UNHURRIED_S)
    ready = sagemakers.driver.observe_many(many)
    many = [remembering(deployment, ready[deployment.id]) for deployment in many]
    sagemakers.cloud.forget_calls()
    again = sagemakers.driver.observe_many(many)
    assert {one.phase for one in again.values()} == {Phase.READY}
    assert all(again[one.id].spec_digest == one.spec.digest for one in many)
    calls = sagemakers.cloud.calls()
    print(f"aws-sagemaker: {len(calls)} calls for a refresh of {MANY} endpoints: {dict(sagemakers.cloud.counts())}")
    assert len(calls) <= 10


def test_an_index_that_lags_behind_decides_nothing(sagemakers: SageMakers) -> None:
    ready = [sagemakers.settled(sagemakers.deployment(number)) for number in range(1, 7)]
    sagemakers.cloud.latencies(index_s=1000)
    changed = with_options(ready[0], context=4096)
    changed = remembering(changed, sagemakers.driver.update(changed))
    new = sagemakers.deployment(7)
    sagemakers.driver.create(new)
    seen = sagemakers.driver.observe_many([changed, *ready[1:], new])
    assert seen[changed.id].phase is Phase.CREATING
    assert seen[new.id].phase is Phase.CREATING
    assert {seen[one.id].phase for one in ready[1:]} == {Phase.READY}


# -- what commands ask ------------------------------------------------------------------------------------------------


def test_its_log_is_what_the_containers_wrote(sagemakers: SageMakers) -> None:
    ready = sagemakers.settled(sagemakers.deployment())
    lines = list(sagemakers.driver.logs(ready, 10))
    assert any("listening" in line for line in lines)
    assert len(list(sagemakers.driver.logs(ready, 1))) == 1
    assert list(sagemakers.driver.logs(sagemakers.deployment(9), 10)) == []


def test_preflight_says_who_where_and_what_is_missing(sagemakers: SageMakers, tmp_path: Path) -> None:
    looks = {look.name: look for look in sagemakers.driver.preflight()}
    assert looks["credentials"].ok
    assert "123456789012" in looks["credentials"].text
    assert (looks["region"].ok, looks["region"].text) == (True, REGION)
    assert not looks["role"].ok
    assert "does not exist" in looks["role"].text
    trust = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": TRUSTED}}]}
    sagemakers.client("iam").create_role(RoleName="models", AssumeRolePolicyDocument=json.dumps(trust))
    for quota, ok in ((0, False), (2, True)):
        sagemakers.cloud.quota("ml.g6.xlarge", quota)
        looks = {look.name: look for look in sagemakers.driver.preflight()}
        assert looks["role"].ok
        assert (looks["quota"].ok, looks["quota"].needed) == (ok, False)
        assert f"ml.g6.xlarge for endpoint usage: {quota} in us-west-2" in looks["quota"].text
    sagemakers.settings = settings(tmp_path, account="999999999999", roles={})
    looks = {look.name: look for look in sagemakers.after_a_crash().preflight()}
    assert not looks["credentials"].ok
    assert "aws.roles.default" in looks["role"].text


def test_a_refused_update_changes_nothing(sagemakers: SageMakers) -> None:
    ready = sagemakers.settled(sagemakers.deployment())
    with pytest.raises(Rejected, match=r"cloud\.replicas: the operator's settings allow 4"):
        sagemakers.driver.update(with_options(ready, cloud__replicas="9"))
    assert seen(sagemakers, ready).spec_digest == ready.spec.digest
