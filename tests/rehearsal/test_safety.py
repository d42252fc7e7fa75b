"""Promise: a live run does nothing that nobody asked for or paid for, and whatever becomes of it, what it made goes."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest

from drivers.aws.bedrock.driver import BedrockDriver
from drivers.aws.clients import Clients
from drivers.aws.settings import AwsSettings
from drivers.base import Deployment, ModelSpec
from drivers.naming import external_name
from infra.lab import wait_for
from tests import builders
from tests.live.ground import BEGINNING
from tests.rehearsal.rehearsals import ELSEWHERE, SETTINGS, Rehearsal, passing, rehearsal

ONE_ENDPOINT = "tests/live/test_sagemaker.py::TestSageMaker::test_a_created_deployment_becomes_ready_at_an_endpoint"
PROFILES = "tests/live/test_bedrock.py::TestInferenceProfile"
ONE_PROFILE = f"{PROFILES}::test_creating_twice_makes_one_thing"
STRANGER = "tests/live/test_ec2.py::TestEc2::test_a_stranger_under_our_name_is_refused_and_left_alone"
SAGEMAKER_JOURNEY = "tests/live/test_sagemaker.py::test_the_example_from_its_first_plan_to_nothing_left"
SOMEBODYS = "5f1d8c52-7f0e-4a57-9c0b-5a2b6b1f9d10"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"CMR_LIVE": ""}, "CMR_LIVE must be 'aws'"),
        ({"CMR_LIVE": "aws"}, "AWS_ENDPOINT_URL is set: the calls would not go to AWS"),
        ({"CMR_LIVE_BUDGET_USD": ""}, "CMR_LIVE_BUDGET_USD must be"),
        ({"CMR_LIVE_BUDGET_USD": "10"}, "these 20 tests may cost"),
        ({"AWS_ENDPOINT_URL": "https://sagemaker.us-west-2.amazonaws.com"}, "leads away from this machine"),
    ],
)
def test_what_was_not_asked_for_or_costs_too_much_makes_not_one_call(
    tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    with rehearsal(tmp_path) as here:
        done = here.run("tests/live/test_sagemaker.py", **environment)
        assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout
        assert said in done.stderr + done.stdout
        assert here.cloud.calls() == ()
        assert not here.journal.exists()


def test_what_nobody_knows_the_price_of_is_not_made(tmp_path: Path) -> None:
    with rehearsal(tmp_path, settings={**SETTINGS, "region": "sa-east-1"}) as here:
        done = here.run(ONE_ENDPOINT)
        assert done.returncode == pytest.ExitCode.USAGE_ERROR
        assert "what region sa-east-1 costs is not in tests/live/prices.py" in done.stderr + done.stdout
        assert here.cloud.calls() == ()


def test_a_test_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with rehearsal(tmp_path) as here:
        here.cloud.break_containers("llama")
        done = here.run(ONE_ENDPOINT)
        assert done.returncode == pytest.ExitCode.TESTS_FAILED
        assert " failed: " in done.stdout
        assert here.cloud.counts()["sagemaker.CreateEndpoint"] == 1
        assert here.cloud.books() == ()


def test_a_test_whose_time_is_up_leaves_nothing(tmp_path: Path) -> None:
    with rehearsal(tmp_path, create_s=8.0) as here:
        done = here.run(ONE_ENDPOINT, CMR_LIVE_AT_MOST_MIN="0.05")
        assert done.returncode == pytest.ExitCode.TESTS_FAILED
        assert "took longer than it said" in done.stdout
        assert here.cloud.counts()["sagemaker.CreateEndpoint"] == 1
        assert here.cloud.books() == ()


def test_what_a_killed_run_left_is_in_the_way_of_the_next_one_until_it_was_swept(tmp_path: Path) -> None:
    with rehearsal(tmp_path) as here:
        here.cloud.latencies(create_s=5.0)
        _kill_once_there(here, ONE_ENDPOINT, "endpoint")
        again = here.run(ONE_ENDPOINT)
        assert again.returncode == pytest.ExitCode.USAGE_ERROR
        assert "an earlier run left 1 things that were not seen gone" in again.stderr + again.stdout

        looked = here.sweep("--dry-run")
        assert looked.returncode == 1, looked.stdout + looked.stderr
        assert "endpoint cmr-" in looked.stdout
        assert "endpoint" in here.kinds()
        _swept(here)
        assert here.run(ONE_PROFILE).returncode == 0


def test_a_killed_runs_commands_are_ended_before_they_make_more(tmp_path: Path) -> None:
    """Pytest is killed, but not the `reconcile` that it started, which would go on as long as its patience lasts."""
    with rehearsal(tmp_path) as here:
        here.cloud.latencies(create_s=5.0)
        _kill_once_there(here, SAGEMAKER_JOURNEY, "endpoint")
        assert _marked(here), "the command outlives its test"
        swept = _swept(here)
        assert "of a run that has ended still runs" in swept
        assert _marked(here) == []


def test_a_strangers_thing_of_a_killed_run_goes_as_well(tmp_path: Path) -> None:
    with rehearsal(tmp_path) as here:
        _kill_once_there(here, STRANGER, "launch template")
        _swept(here)


def test_what_no_journal_knows_is_found_by_its_tags_in_every_region_and_nothing_else_is_touched(tmp_path: Path) -> None:
    with rehearsal(tmp_path) as here, passing(here.cloud, 15.0):
        ours, theirs = _planted(here, BEGINNING + SOMEBODYS[len(BEGINNING) :]), _planted(here, SOMEBODYS, number=2)
        _plant_machine(here, ours)
        looked = here.sweep("--dry-run")
        assert looked.returncode == 1, looked.stdout + looked.stderr
        assert f"profile {ours.name}" in looked.stdout
        assert "instance i-" in looked.stdout
        swept = here.sweep("--patience", "60")
        assert swept.returncode == 0, swept.stdout + swept.stderr
        assert here.kinds() == ["profile"], "a user's own"
        assert theirs.name in str(_profiles(here))
        assert ours.name not in str(_profiles(here))


def test_a_sweep_that_cannot_delete_says_what_is_there_and_fails(tmp_path: Path) -> None:
    with rehearsal(tmp_path) as here:
        ours = _planted(here, BEGINNING + SOMEBODYS[len(BEGINNING) :])
        refusal = {"code": "AccessDeniedException", "message": "not yours", "status": 403}
        here.cloud.fault("refused", operation="DeleteInferenceProfile", times=10_000, **refusal)
        swept = here.sweep("--patience", "1")
        assert swept.returncode == 1, swept.stderr
        assert f"still there: profile {ours.name}" in swept.stdout
        assert "not yours" in swept.stdout
        here.cloud.clear_faults()
        _swept(here)


def test_settings_that_are_none_are_told_with_their_place(tmp_path: Path) -> None:
    with rehearsal(tmp_path, settings={**SETTINGS, "regoins": []}) as here:
        for done in (here.run(ONE_ENDPOINT), here.sweep()):
            assert done.returncode in (pytest.ExitCode.USAGE_ERROR, 2)
            assert "reconciler.yaml:1:" in done.stdout + done.stderr
            assert "Traceback" not in done.stdout + done.stderr
        assert here.cloud.calls() == ()


def test_another_account_than_the_settings_name_gets_nothing(tmp_path: Path) -> None:
    with rehearsal(tmp_path, settings={**SETTINGS, "account": "210987654321"}) as here:
        done = here.run(ONE_ENDPOINT)
        assert done.returncode == pytest.ExitCode.USAGE_ERROR
        assert "belong to account 123456789012, not to 210987654321" in done.stdout + done.stderr
        assert set(here.cloud.counts()) == {"sts.GetCallerIdentity"}
        assert not here.journal.exists()


def test_while_something_cannot_be_removed_nothing_more_is_made(tmp_path: Path) -> None:
    with rehearsal(tmp_path) as here:
        refusal = {"code": "AccessDeniedException", "message": "not yours", "status": 403}
        here.cloud.fault("refused", operation="DeleteInferenceProfile", times=10_000, **refusal)
        done = here.run(ONE_PROFILE, f"{PROFILES}::test_a_created_deployment_becomes_ready_at_an_endpoint")
        assert done.returncode == pytest.ExitCode.INTERRUPTED
        assert "is left: run `make live-sweep`" in done.stdout
        assert here.cloud.counts()["bedrock.CreateInferenceProfile"] == 1
        here.cloud.clear_faults()
        _swept(here)


def test_two_runs_do_not_share_a_journal_and_nobody_sweeps_under_a_run(tmp_path: Path) -> None:
    with rehearsal(tmp_path) as here:
        here.cloud.latencies(create_s=600.0)
        with here.running(ONE_ENDPOINT):
            wait_for("an endpoint", lambda: "endpoint" in here.kinds(), within_s=30)
            swept = here.sweep()
            assert swept.returncode == 2
            assert "another run or sweep has" in swept.stderr
        here.cloud.advance(600.0)
        here.cloud.latencies(create_s=0.2)
        _swept(here)


def _kill_once_there(here: Rehearsal, test: str, kind: str) -> None:
    with here.running(test) as run:
        wait_for(f"{kind} of the run", lambda: kind in here.kinds(), within_s=60)
        os.kill(run.pid, signal.SIGKILL)


def _swept(here: Rehearsal) -> str:
    done = here.sweep("--patience", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "nothing is left"
    assert here.cloud.books() == ()
    return done.stdout


def _marked(here: Rehearsal) -> list[int]:
    from tests.live.sweep import _orphans

    return list(_orphans(str(here.journal.resolve())))


def _planted(here: Rehearsal, lineage: str, number: int = 1) -> Deployment:
    """An inference profile in the other region, made by the driver itself."""
    spec = ModelSpec(model="ai/gpt-oss", options={"cloud.region": ELSEWHERE, "cloud.tags": "purpose:planted"})
    made = replace(builders.deployment(number, spec=spec), lineage=lineage)
    made = replace(made, name=external_name(lineage, made.model, made.id))
    settings = AwsSettings(key_root=here.journal.parent / "keys", region=ELSEWHERE)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in here.cloud.environment.items():
            patch.setenv(name, value)
        driver = BedrockDriver(settings=settings, clients=Clients(settings), clock=lambda: datetime.now(UTC))
        driver.create(made)
    return made


def _plant_machine(here: Rehearsal, deployment: Deployment) -> None:
    """A machine whose template somebody deleted: its tags are all there is."""
    from drivers.aws.tags import as_list, tags_of

    other = replace(deployment, spec=builders.model_spec(), id=builders.deployment_id(7))
    ec2 = boto3.client("ec2", **(here.cloud.credentials | {"region_name": ELSEWHERE}))
    tags = [{"ResourceType": "instance", "Tags": as_list(tags_of(other))}]
    ec2.run_instances(ImageId="ami-12345678", InstanceType="c7i.large", MinCount=1, MaxCount=1, TagSpecifications=tags)


def _profiles(here: Rehearsal) -> object:
    client = boto3.client("bedrock", **(here.cloud.credentials | {"region_name": ELSEWHERE}))
    return client.list_inference_profiles(typeEquals="APPLICATION")["inferenceProfileSummaries"]
