"""Commands that only look: they answer from files and record, and write nothing anywhere."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from drivers.base import Deployment, Look, ModelSpec, Phase, Token
from drivers.llamacpp.record import RunRecord
from drivers.llamacpp.rundir import RunFolder
from drivers.naming import mint_id
from reconciler.commands.status import notes
from reconciler.wiring import Drivers
from state.record import Append, PutDeployment, PutModel, PutSource
from tests.builders import (
    at,
    deployment,
    deployment_record,
    endpoint,
    event,
    keyed_endpoint,
    model_record,
    model_spec,
    source_record,
)
from tests.ggufs import LLAMA, write_gguf
from tests.reconciler.desk import COMPOSE, Desk
from tests.reconciler.test_cli import READING

SECRET = "sk-very-secret-0123456789"
LOOKING = [given for given in READING if given[0] not in ("protect", "forget", "confirm")]


def _deployed(desk: Desk, model: str = "llm", number: int = 1, **given: object) -> None:
    """A model that an earlier run deployed from the project's folder."""
    made = deployment(number, model=model, lineage=desk.lineage)
    record = deployment_record(number, model=model, **given)  # type: ignore[arg-type]
    from dataclasses import replace

    desk.record(
        PutDeployment(replace(record, deployment=made)),
        PutModel(model_record(model)),
        PutSource(source_record(model, origin=str(desk.work))),
        Append(event("ready", model=model, text="it answers")),
    )


@pytest.fixture
def deployed(desk: Desk) -> Desk:
    desk.compose()
    _deployed(desk)
    return desk


@pytest.mark.parametrize("given", LOOKING, ids=" ".join)
def test_looking_writes_nothing_anywhere(deployed: Desk, given: list[str]) -> None:
    before = deployed.everything()
    deployed.reconcile(*given)
    assert deployed.everything() == before


@pytest.mark.parametrize("given", LOOKING, ids=" ".join)
def test_looking_writes_nothing_where_nothing_is_yet(desk: Desk, given: list[str]) -> None:
    desk.compose()
    before = desk.everything()
    desk.reconcile(*given)
    assert desk.everything() == before


@pytest.mark.parametrize("given", LOOKING, ids=" ".join)
def test_looking_works_while_a_service_holds_the_project(deployed: Desk, given: list[str]) -> None:
    with closing(deployed.store()) as store:
        store.acquire("demo", "host:1", 60.0)
        done = deployed.reconcile(*given)
    assert "being reconciled" not in done.err


def test_status_shows_what_is_recorded_from_anywhere(deployed: Desk) -> None:
    os.chdir(deployed.home)
    done = deployed.reconcile("status")
    assert done.code == 0
    assert "demo at 9fceb02d" in done.out
    assert "http://172.17.0.1:8080/v1/" in done.out


def test_status_works_although_the_compose_file_is_broken(deployed: Desk) -> None:
    deployed.compose("services: [")
    done = deployed.reconcile("status")
    assert done.code == 0
    assert "llm" in done.out


def test_status_can_be_read_by_a_program(deployed: Desk) -> None:
    document = json.loads(deployed.reconcile("status", "--format", "json").out)
    assert document["format_version"] == "1"
    (project,) = document["projects"]
    assert project["project"] == "demo"
    assert project["deployments"][0]["phase"] == "ready"
    assert project["deployments"][0]["endpoint"]["url"] == "http://172.17.0.1:8080/v1/"


def test_status_of_a_misspelt_project_is_an_error_with_the_right_name(deployed: Desk) -> None:
    for command in (["status"], ["history"], ["logs", "llm"], ["protect", "llm"]):
        done = deployed.reconcile("-p", "dmeo", *command)
        assert done.code == 1
        assert "did you mean 'demo'" in done.err


def test_status_asks_the_platform_only_when_told_to(deployed: Desk) -> None:
    assert "ready" in deployed.reconcile("status").out
    assert "absent" in deployed.reconcile("status", "--refresh").out


def test_status_shows_protection_and_what_was_given_up(deployed: Desk) -> None:
    deployed.record(PutModel(model_record(protected=True, halted="gave up after 5 attempts")))
    done = deployed.reconcile("status")
    assert "llm: protected" in done.out
    assert "llm: gave up after 5 attempts" in done.out


def test_status_shows_what_is_waited_for_between_two_attempts() -> None:
    """Between two attempts there is no deployment: the table showed nothing of a model that could not be pulled."""
    book = model_record(attempts=4, next_try_at=at(8), last_failure="pulling the model: no route to host")
    (note,) = notes(book, at(0))
    assert note == (
        "4 attempts so far, the next not before 2026-05-04 12:00:08 UTC; "
        "the last failure: pulling the model: no route to host"
    )
    assert not list(notes(book, at(8)))
    assert list(notes(model_record(missing_since=at(0)), at(8))) == ["gone from the file since 2026-05-04 12:00:00 UTC"]


def test_history_shows_the_newest_and_a_program_reads_it_line_by_line(deployed: Desk) -> None:
    deployed.record(*(Append(event("ready", text=f"number {n}", at=at(n))) for n in range(5)))
    done = deployed.reconcile("history", "--limit", "2", "--format", "json")
    assert [json.loads(line)["text"] for line in done.out.splitlines()] == ["number 3", "number 4"]


def test_what_a_server_said_cannot_steer_the_terminal(deployed: Desk) -> None:
    deployed.record(Append(event("error", text="\x1b[2Jboom\nspoofed line")))
    done = deployed.reconcile("history")
    assert "\x1b" not in done.out
    assert any(line.endswith("boom spoofed line") for line in done.out.splitlines())


class _Cloud:
    """A platform that is asked for a token, and beforehand."""

    name = "aws-sagemaker"

    def preflight(self) -> Iterator[Look]:
        yield Look("identity", True, "account 123456789012")
        yield Look("role", False, "none is named: write aws.roles.default")

    def token(self, deployment: Deployment) -> Token:
        return Token(f"token-for-{deployment.model}", at(3600))


@pytest.fixture
def cloudy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A model that runs on that platform."""
    monkeypatch.setattr(Drivers, "__call__", lambda self, name: _Cloud())
    desk.compose()
    _deployed(desk, driver="aws-sagemaker")
    return desk


def test_a_token_is_printed_alone_or_with_its_end(cloudy: Desk) -> None:
    assert cloudy.reconcile("token", "llm").out == "token-for-llm\n"
    told = json.loads(cloudy.reconcile("token", "llm", "--format", "json").out)
    assert told == {"token": "token-for-llm", "expires_at": at(3600).isoformat()}


def test_a_model_without_tokens_says_where_its_key_is(deployed: Desk) -> None:
    done = deployed.reconcile("token", "llm")
    assert done.code == 1
    assert "llamacpp has no tokens: a key, where there is one, is in the services' variables" in done.err


def test_doctor_asks_the_platforms_that_something_runs_on(cloudy: Desk) -> None:
    done = cloudy.reconcile("doctor")
    assert done.code == 1
    assert "✓ aws-sagemaker: identity: account 123456789012" in done.out
    assert "✗ aws-sagemaker: role: none is named: write aws.roles.default" in done.out


def test_doctor_asks_a_platform_that_is_named(deployed: Desk) -> None:
    assert (
        "✓ llamacpp: has nothing to be asked beforehand" in deployed.reconcile("doctor", "--platform", "llamacpp").out
    )
    assert "✗ nowhere: there is no platform nowhere" in deployed.reconcile("doctor", "--platform", "nowhere").out


def test_logs_of_a_model_that_is_not_deployed_name_those_that_are(deployed: Desk) -> None:
    done = deployed.reconcile("logs", "lmm")
    assert done.code == 1
    assert "there are llm" in done.err


def test_a_lost_state_is_said_and_not_begun_anew(deployed: Desk) -> None:
    deployed.state.unlink()
    for suffix in ("-wal", "-shm"):
        deployed.state.with_name(f"state.db{suffix}").unlink(missing_ok=True)
    for given in (["status"], ["--dry-run"], ["--yes", "--quiet"], ["history"]):
        done = deployed.reconcile(*given)
        assert done.code == 1
        assert "is gone" in done.err
    assert not deployed.state.exists()
    done = deployed.reconcile("doctor")
    assert done.code == 1
    assert "there is no copy" in done.out


def test_config_says_what_was_read(desk: Desk) -> None:
    desk.compose()
    document = json.loads(desk.reconcile("config", "--format", "json").out)
    assert document["name"] == "demo"
    assert document["services"]["app"]["models"]["llm"] == {"endpoint_var": "LLM_URL", "model_var": "LLM_MODEL"}


def test_a_variable_that_must_not_be_set_is_refused_before_anything_runs(desk: Desk) -> None:
    desk.compose(
        "services:\n  app:\n    image: busybox\n    models:\n      llm: {endpoint_var: LD_PRELOAD}\n"
        "models:\n  llm: {model: ai/smollm2}\n"
    )
    for given in (["--dry-run"], ["validate"], ["--yes"]):
        done = desk.reconcile(*given)
        assert done.code == 1
        assert "compose.yaml:5:" in done.err
        assert "the variable LD_PRELOAD steers programs" in done.err
    assert not desk.state.exists()


def test_validate_reports_on_the_models_asked_for_and_knows_the_names(desk: Desk) -> None:
    desk.compose()
    assert desk.reconcile("validate", "llm").code == 0
    done = desk.reconcile("explain", "lmm")
    assert (done.code, done.err) == (1, "error: no model 'lmm'; there are llm\n")


@pytest.mark.parametrize("given", [["--dry-run"], ["validate"], []], ids=" ".join)
def test_a_file_that_cannot_be_read_is_annotated_too(desk: Desk, given: list[str]) -> None:
    desk.compose("name: demo\nservices: [\n")
    done = desk.reconcile(*given, "--format", "github")
    assert done.code == 1
    assert done.out.startswith("::error file=compose.yaml,line=3,col=1::not valid YAML")
    assert done.err.startswith("error: compose.yaml:3:1: not valid YAML")
    assert "::error" not in desk.reconcile("validate").out


def test_a_dry_runs_findings_stand_on_their_own_lines(desk: Desk) -> None:
    desk.compose(
        COMPOSE + "    x-cloud-options:\n      - cloud.platform=llamacpp\n      - cloud.region=us-west-2\n"
        "      - cloud.replicas=2\n"
    )
    lines = desk.reconcile("--dry-run", "--format", "github").out.splitlines()
    (region,) = (line for line in lines if "cloud.region" in line)
    assert region.startswith("::warning file=compose.yaml,line=11,col=9::")
    assert len(lines) == len(set(lines))


def test_an_invalid_option_makes_validation_fail(desk: Desk) -> None:
    desk.compose(COMPOSE + "    x-cloud-options: [cloud.regoin=x]\n")
    done = desk.reconcile("validate")
    assert done.code == 1
    assert "cloud.regoin" in done.out


def test_a_secret_of_the_environment_is_not_interpolated_and_never_printed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_TOKEN", SECRET)
    desk.compose(COMPOSE.replace("ai/smollm2", "ai/smollm2:${REGISTRY_TOKEN:-latest}"))
    for given in (["config"], ["--dry-run"], ["validate"], ["--dry-run", "--format", "json"]):
        done = desk.reconcile(*given)
        assert SECRET not in done.out + done.err
    assert SECRET in desk.reconcile("config", "--allow-variable", "REGISTRY_TOKEN").out


def test_render_prints_what_would_be_written(deployed: Desk) -> None:
    done = deployed.reconcile("render")
    assert done.code == 0
    assert "LLM_URL" in done.out
    assert "models: !reset null" in done.out
    assert deployed.reconcile("render", "--service", "app").out.startswith("LLM_MODEL=ai/smollm2\n")


def test_render_says_where_the_keys_of_a_service_are(desk: Desk) -> None:
    """A process that was given the printed lines alone was turned away, and nothing said what it lacked."""
    desk.compose()
    _deployed(desk, endpoint=keyed_endpoint())
    done = desk.reconcile("render", "--service", "app")
    assert "API_KEY" not in done.out
    assert "LLM_API_KEY: not shown, read from" in done.err
    assert "keys/app.env" in done.err


def test_render_knows_the_services(deployed: Desk) -> None:
    done = deployed.reconcile("render", "--service", "api")
    assert done.code == 1
    assert "those that do: app" in done.err


def test_render_names_no_key_file_where_there_is_no_key(desk: Desk) -> None:
    """The printed file must be the one that is written."""
    desk.compose()
    _deployed(desk, endpoint=endpoint())
    assert "env_file" not in desk.reconcile("render").out


def test_drivers_lists_the_platforms_without_any_sdk(desk: Desk) -> None:
    document = json.loads(desk.reconcile("drivers", "--format", "json").out)
    assert {"llamacpp", "aws-sagemaker"} <= {one["name"] for one in document}


def test_doctor_says_for_each_part_how_it_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(desk.home))
    done = desk.reconcile("doctor", "--format", "json")
    assert done.code == 1
    found = {check["name"]: check for check in json.loads(done.out)}
    assert found["state"]["ok"]
    assert not found["llama-server"]["ok"]
    assert not found["git"]["ok"]


# -- model files: the one place where these commands write -------------------------------------------------------------


def test_a_model_file_is_imported_listed_and_removed(desk: Desk) -> None:
    file = write_gguf(desk.work / "tiny.gguf")
    assert desk.reconcile("models", "import", str(file), "--as", "ai/tiny").code == 0
    listed = json.loads(desk.reconcile("models", "ls", "--format", "json").out)
    assert [one["reference"] for one in listed] == ["docker.io/ai/tiny:latest"]
    assert desk.reconcile("models", "rm", "ai/tiny").code == 0
    assert "no models here" in desk.reconcile("models", "ls").out


def _resident(desk: Desk, *, running: bool, **given: object) -> int | None:
    """A run folder as the local driver leaves it; where its server runs, a descriptor on the lock that it holds."""
    made = deployment(**given)  # type: ignore[arg-type]
    folder = RunFolder(desk.home / ".local/state/compose-model-reconciler/llamacpp" / made.name)
    folder.prepare()
    folder.write(RunRecord(deployment=made, host="127.0.0.1", port=20001, model_id="ai/tiny"))
    return folder.try_lock() if running else None


def test_a_model_that_a_server_runs_with_is_not_removed(desk: Desk) -> None:
    """Its next start would have failed, and nobody would have known why."""
    for name in ("tiny", "other"):
        file = write_gguf(desk.work / f"{name}.gguf", {**LLAMA, "general.name": name})
        assert desk.reconcile("models", "import", str(file), "--as", f"ai/{name}").code == 0
    lock = _resident(desk, running=True, spec=model_spec("docker.io/ai/tiny:latest"))
    assert lock is not None
    done = desk.reconcile("models", "rm", "ai/other", "ai/tiny")
    assert done.code == 3
    assert "ai/tiny is used by llm of project demo; nothing was removed" in done.err
    assert desk.reconcile("models", "rm", "ai/other").code == 0
    assert desk.reconcile("models", "rm", "ai/tiny", "--force").code == 0
    os.close(lock)


def test_a_model_whose_server_ended_may_be_removed(desk: Desk) -> None:
    file = write_gguf(desk.work / "tiny.gguf")
    desk.reconcile("models", "import", str(file), "--as", "ai/tiny")
    _resident(desk, running=False, spec=model_spec("ai/tiny"))
    assert desk.reconcile("models", "rm", "ai/tiny").code == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["import", "nowhere.gguf", "--as", "ai/x"], "nowhere.gguf"),
        (["import", ".", "--as", "ai/x"], "."),
        (["import", "compose.yaml", "--as", "ai/x"], "compose.yaml"),
        (["import", "compose.yaml", "--as", "not a reference"], "not a reference"),
        (["rm", "ai/nothing"], "ai/nothing"),
        (["rm", "::"], "::"),
        (["pull", "::"], "::"),
        (["pull", "http://x/y"], "http://x/y"),
    ],
)
def test_mistakes_with_model_files_are_one_sentence(desk: Desk, given: list[str], said: str) -> None:
    desk.compose()
    done = desk.reconcile("models", *given)
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_a_model_on_its_way_is_shown_without_an_endpoint(desk: Desk) -> None:
    desk.compose()
    _deployed(desk, phase=Phase.CREATING, detail="pulling, 40 %")
    assert "pulling, 40 %" in desk.reconcile("status").out
    assert "LLM_URL" not in desk.reconcile("render").out


def test_a_dry_run_knows_of_the_operators_time(desk: Desk) -> None:
    """It once called a model unchanged that the run itself was about to end."""
    desk.compose()
    made = replace(deployment(1, lineage=desk.lineage), id=mint_id(at(0), bytes), spec=ModelSpec(model="ai/smollm2"))
    desk.record(PutDeployment(replace(deployment_record(1, active=True), deployment=made)))
    assert "1 unchanged" in desk.reconcile("--dry-run").out
    (desk.work / "settings.yaml").write_text("default_options: {cloud.ttl: 2h}\n", encoding="utf-8")
    done = desk.reconcile("--config", "settings.yaml", "--dry-run")
    assert "because its time is up (cloud.ttl=2h)" in done.out
    until = f"llm: its time is up at {at(7200):%Y-%m-%d %H:%M:%S} UTC"
    assert until in desk.reconcile("--config", "settings.yaml", "status").out
    assert until not in desk.reconcile("status").out
