"""Commands that change something: what they refuse, whom they disturb, and what they leave behind."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drivers.base import Phase
from drivers.fake import FakeDriver, FakePlatform
from reconciler.clock import SystemClock
from reconciler.commands.project import Mistake
from reconciler.commands.running import timeout_s
from reconciler.services import ComposeServices
from reconciler.wiring import Drivers
from state.record import PutDeployment, PutModel, PutOutput, PutSource, Recorded
from tests.builders import NOON, deployment, deployment_record, model_record, output_record, source_record
from tests.reconciler.desk import COMPOSE, Desk

NO_MODELS = "name: demo\nservices:\n  app:\n    image: busybox\n"
TWO = COMPOSE.replace("[llm]", "[llm, other]") + "  other:\n    model: ai/smollm2\n"


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """A platform in memory where the local one would be; things are ready at once and gone at once."""
    made = FakePlatform(clock=SystemClock().now)
    made.create_s = made.delete_s = 0.0
    capabilities = replace(FakeDriver.capabilities, settle_s=0.0, local=True)

    class Quick(FakeDriver):
        name = "llamacpp"

    Quick.capabilities = capabilities
    monkeypatch.setattr(Drivers, "_make", lambda self, name: Quick(made))
    monkeypatch.setattr("reconciler.wiring._capabilities", lambda name: capabilities)
    monkeypatch.setattr(SystemClock, "sleep", lambda self, seconds: None)
    return made


@pytest.fixture
def impatient(desk: Desk) -> Desk:
    """A desk whose operator waits for nothing."""
    folder = desk.home / ".config/compose-model-reconciler"
    folder.mkdir(parents=True)
    (folder / "reconciler.yaml").write_text("timing: {local_bake: 0s, local_removal_grace: 0s}\n", encoding="utf-8")
    return desk


def _known(desk: Desk, project: str = "demo") -> Recorded:
    with closing(desk.store()) as store:
        return store.load(project)


@contextmanager
def _serving(desk: Desk, project: str = "demo") -> Iterator[None]:
    """Another reconciler holds the project meanwhile."""
    with closing(desk.store()) as store:
        lease = store.acquire(project, "host:4711", 60.0)
        yield
        store.release(lease)


def _record(desk: Desk, *models: str, origin: str | None = None, **given: Any) -> None:
    for number, model in enumerate(models, 1):
        record = deployment_record(number, model=model, **given)
        desk.record(
            PutDeployment(replace(record, deployment=deployment(number, model=model, lineage=desk.lineage))),
            PutModel(model_record(model)),
            PutSource(source_record(*models, origin=origin or str(desk.work))),
        )


# -- reconcile --------------------------------------------------------------------------------------------------------


def test_a_run_makes_the_model_and_says_how_to_go_on(impatient: Desk, platform: FakePlatform) -> None:
    impatient.compose()
    done = impatient.reconcile()
    assert done.code == 0, done.err
    command = "docker compose -f compose.yaml -f compose.models.yaml up"
    assert f"1 model ready; start the services with: {command}\n" in done.out
    assert [verb for verb, _ in platform.journal] == ["create"]
    assert "LLM_URL" in (impatient.work / "compose.models.yaml").read_text(encoding="utf-8")
    assert impatient.reconcile("--dry-run", "--detailed-exitcode").code == 0


def test_how_to_go_on_repeats_what_the_user_named(impatient: Desk, platform: FakePlatform) -> None:
    """It once read `docker compose -f … -f FILE up`: nothing that could be copied."""
    impatient.compose(COMPOSE.replace("    image: busybox\n", "    image: busybox\n    profiles: [web]\n"))
    (impatient.work / "my.env").write_text("A=1\n", encoding="utf-8")
    away = impatient.home / "it's"
    given = ["-p", "shop", "--profile", "web", "--env-file", "my.env", "-f", "compose.yaml"]
    done = impatient.reconcile(*given, "--output", str(away), "--quiet")
    words = shlex.split(done.out.partition("start the services with: ")[2])
    own = ["-p", "shop", "--env-file", "my.env", "--profile", "web", "-f", "compose.yaml"]
    assert words == ["docker", "compose", *own, "-f", str(away / "compose.models.yaml"), "up"]


def test_a_run_that_removes_the_last_model_starts_no_services(impatient: Desk, platform: FakePlatform) -> None:
    impatient.compose()
    impatient.reconcile("--quiet")
    impatient.compose(COMPOSE.replace("    models: [llm]\n", ""))
    done = impatient.reconcile("--quiet", "--yes", "--force")
    assert done.out == "no service wants a model any more\n"


def test_a_run_says_where_each_model_answers(impatient: Desk, platform: FakePlatform) -> None:
    impatient.compose(TWO)
    done = impatient.reconcile("--quiet")
    urls = {record.deployment.model: record.endpoint for record in _known(impatient).deployments.values()}
    for model in ("llm", "other"):
        endpoint = urls[model]
        assert endpoint is not None
        assert f"{model:5}  {endpoint.url}  {endpoint.model_id}\n" in done.out


def test_an_old_server_that_a_service_still_uses_is_no_failure(
    impatient: Desk, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ordinary replacement beside running services once ended with 1, as if the model were not ready."""
    impatient.compose()
    impatient.reconcile("--quiet")
    monkeypatch.setattr(ComposeServices, "users", lambda self, project, endpoints: dict.fromkeys(endpoints, "in use"))
    impatient.compose(COMPOSE + "    context_size: 512\n")
    done = impatient.reconcile("--quiet")
    assert done.code == 0, done.err
    assert "llm: in use" in done.err
    assert "to use the new one: docker compose -f compose.yaml -f compose.models.yaml up -d app\n" in done.err
    assert "1 model ready" in done.out
    assert len(_known(impatient).deployments) == 2


def test_a_replacement_that_fails_beside_a_used_server_is_one(
    impatient: Desk, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient.compose()
    impatient.reconcile("--quiet")
    monkeypatch.setattr(ComposeServices, "users", lambda self, project, endpoints: dict.fromkeys(endpoints, "in use"))
    platform.failing["llm"] = "no weights"
    impatient.compose(COMPOSE + "    context_size: 512\n")
    assert impatient.reconcile("--quiet", "--timeout", "0s").code == 1


def test_a_second_run_does_nothing(impatient: Desk, platform: FakePlatform) -> None:
    impatient.compose()
    impatient.reconcile()
    override = (impatient.work / "compose.models.yaml").read_bytes()
    assert impatient.reconcile().code == 0
    assert [verb for verb, _ in platform.journal] == ["create"]
    assert _body(impatient.work / "compose.models.yaml") == override.split(b"\n", 2)[2]


def _body(path: Path) -> bytes:
    return path.read_bytes().split(b"\n", 2)[2]


def test_json_on_standard_output_is_nothing_but_json(impatient: Desk, platform: FakePlatform) -> None:
    impatient.compose()
    done = impatient.reconcile("--format", "json")
    assert done.code == 0
    assert json.loads(done.out)["project"] == "demo"


def test_without_models_nothing_is_made_not_even_a_record(desk: Desk) -> None:
    desk.compose(NO_MODELS)
    before = desk.everything()
    done = desk.reconcile()
    assert done.code == 0
    assert done.out.endswith("no service wants a model; nothing to do\n")
    assert desk.everything() == before


def test_a_running_service_is_named_and_left_alone(desk: Desk, platform: FakePlatform) -> None:
    desk.compose()
    _record(desk, "llm")
    with _serving(desk):
        done = desk.reconcile("--quiet")
    assert done.code == 1
    assert "'demo' is being reconciled by host:4711" in done.err
    assert "commit the change and it acts by itself" in done.err
    assert platform.journal == []


def test_a_model_gone_from_the_file_is_kept_until_somebody_says_yes(impatient: Desk, platform: FakePlatform) -> None:
    impatient.compose(TWO)
    assert impatient.reconcile("--quiet").code == 0
    impatient.compose()
    done = impatient.reconcile("--quiet")
    assert done.code == 3
    assert "gone from the file and kept: other; run with --yes to delete" in done.err
    assert len(_known(impatient).deployments) == 2
    assert impatient.reconcile("--quiet", "--yes").code == 0
    assert [record.deployment.model for record in _known(impatient).deployments.values()] == ["llm"]


def test_the_last_model_needs_force_and_the_refusal_is_said_in_every_format(
    impatient: Desk, platform: FakePlatform
) -> None:
    impatient.compose()
    impatient.reconcile("--quiet")
    impatient.compose(NO_MODELS)
    for given in (["--yes"], ["--yes", "--quiet"], ["--yes", "--format", "json"]):
        done = impatient.reconcile(*given)
        assert done.code == 3
        assert "allow it with --force (guard 'mass-delete'; nothing was done)" in done.err
    assert impatient.reconcile("--yes", "--force", "--quiet").code == 0
    assert _known(impatient).deployments == {}


def test_a_confirmed_removal_needs_no_force(impatient: Desk, platform: FakePlatform) -> None:
    impatient.compose(TWO)
    impatient.reconcile("--quiet")
    impatient.compose(NO_MODELS)
    done = impatient.reconcile("--yes", "--quiet")
    assert done.code == 3
    assert "`reconcile confirm llm other`" in done.err
    done = impatient.reconcile("confirm", "llm", "other")
    assert done.out == "llm: its removal is confirmed\nother: its removal is confirmed\n"
    assert impatient.reconcile("--yes", "--quiet").code == 0
    assert _known(impatient).deployments == {}


def test_what_was_agreed_to_is_done_although_the_file_changes_meanwhile(
    impatient: Desk, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person said yes to one plan: a branch that is checked out during the run must not delete anything."""
    impatient.compose(TWO)
    assert impatient.reconcile("--quiet").code == 0
    platform.create_s = 0.05

    def change_branches(self: SystemClock, seconds: float) -> None:
        impatient.compose()

    monkeypatch.setattr(SystemClock, "sleep", change_branches)
    impatient.compose(TWO.replace("ai/smollm2\n", "ai/smollm2\n    context_size: 512\n", 1))
    assert impatient.reconcile("--quiet", "--yes").code == 0
    assert {record.deployment.model for record in _known(impatient).deployments.values()} == {"llm", "other"}


def test_a_foreign_override_file_stops_the_run_before_anything_starts(desk: Desk, platform: FakePlatform) -> None:
    desk.compose()
    mine = desk.work / "compose.models.yaml"
    mine.write_text("services: {}\n", encoding="utf-8")
    done = desk.reconcile("--quiet")
    assert done.code == 3
    assert "was not written by us" in done.err
    assert platform.journal == []
    assert mine.read_text(encoding="utf-8") == "services: {}\n"


def test_a_second_checkout_of_the_same_name_is_refused(desk: Desk, platform: FakePlatform) -> None:
    desk.compose()
    _record(desk, "llm", origin="/srv/elsewhere")
    assert "before: without --dry-run this is refused" in desk.reconcile("--dry-run").err
    for given in (["--quiet"], ["destroy", "--yes"]):
        done = desk.reconcile(*given)
        assert done.code == 3
        assert "/srv/elsewhere" in done.err
    assert platform.journal == []


def test_the_current_directory_is_no_part_of_a_projects_identity(
    impatient: Desk, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = impatient.compose()
    assert impatient.reconcile("--quiet").code == 0
    monkeypatch.chdir(impatient.home)
    assert impatient.reconcile("-f", str(file), "--quiet").code == 0


def test_one_wrong_model_hurts_only_itself_and_the_run_fails(impatient: Desk, platform: FakePlatform) -> None:
    impatient.compose(TWO + "    x-cloud-options: [cloud.regoin=x]\n")
    done = impatient.reconcile("--quiet")
    assert done.code == 1
    assert "cloud.regoin" in done.err
    assert [record.deployment.model for record in _known(impatient).deployments.values()] == ["llm"]


def test_a_run_that_takes_too_long_says_that_it_goes_on(impatient: Desk, platform: FakePlatform) -> None:
    platform.create_s = 3600.0
    impatient.compose()
    done = impatient.reconcile("--quiet", "--timeout", "0s")
    assert done.code == 1
    assert "time is up; what was begun is recorded" in done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_gives_the_lease_back(
    impatient: Desk, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    platform.create_s = 3600.0
    impatient.compose()
    # What a shell starts in the background ignores Ctrl-C, and these tests may be such a thing.
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.getsignal(signal.SIGTERM)

    def interrupted(self: SystemClock, seconds: float) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr(SystemClock, "sleep", interrupted)
    try:
        done = impatient.reconcile("--quiet")
    finally:
        signal.signal(signal.SIGINT, outside)
    assert done.code == 130
    assert "what was begun is recorded" in done.err
    assert signal.getsignal(signal.SIGTERM) == before
    with _serving(impatient):
        assert len(_known(impatient).deployments) == 1


def test_nothing_stays_open_after_a_run(impatient: Desk, platform: FakePlatform) -> None:
    impatient.compose()
    impatient.reconcile("--quiet")
    before = _open_files()
    for _ in range(3):
        impatient.reconcile("--quiet")
        impatient.reconcile("status", "--refresh")
    assert _open_files() == before


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_platform_in_trouble_is_said_once_and_not_by_the_logger(impatient: Desk, platform: FakePlatform) -> None:
    platform.failing["llm"] = "no weights"
    impatient.compose()
    done = impatient.reconcile("--timeout", "0s")
    assert done.code == 1
    assert not [line for line in done.err.splitlines() if line.startswith("create ")]


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0.0), ("90s", 90.0), ("off", float("inf"))])
def test_a_timeout_of_nothing_is_not_for_ever(text: str, seconds: float) -> None:
    assert timeout_s(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1"])
def test_a_timeout_that_is_none_is_a_mistake(text: str) -> None:
    with pytest.raises(Mistake, match="--timeout"):
        timeout_s(text)


# -- destroy ----------------------------------------------------------------------------------------------------------


def test_destroy_deletes_everything_and_says_what(impatient: Desk, platform: FakePlatform) -> None:
    impatient.compose()
    impatient.reconcile("--quiet")
    done = impatient.reconcile("destroy", "--yes", "--quiet")
    assert (done.code, done.out) == (0, "destroyed: llm\n")
    assert _known(impatient).deployments == {}
    assert impatient.reconcile("destroy", "--yes").out == "nothing of demo is deployed\n"


def test_destroy_takes_its_files_along(impatient: Desk, platform: FakePlatform) -> None:
    impatient.compose()
    impatient.reconcile("--quiet")
    values = impatient.state.parent / "projects" / "demo"
    assert (values / "app.env").exists()
    impatient.reconcile("destroy", "--yes", "--quiet")
    assert [path.name for path in impatient.work.iterdir()] == ["compose.yaml"]
    assert not values.exists()
    assert _known(impatient).outputs == {}
    assert impatient.reconcile("--quiet").code == 0, "and it can begin again"


def test_files_that_a_destroy_left_behind_are_removed_by_the_next(
    impatient: Desk, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient.compose()
    impatient.reconcile("--quiet")
    with monkeypatch.context() as dying:
        dying.setattr("reconciler.commands.destroy._clear_away", lambda context, known: None)
        impatient.reconcile("destroy", "--yes", "--quiet")
    assert (impatient.work / "compose.models.yaml").exists()
    assert impatient.reconcile("destroy", "--yes").out == "nothing of demo is deployed\n"
    assert not (impatient.work / "compose.models.yaml").exists()


def test_destroy_leaves_a_file_that_is_not_ours_any_more(impatient: Desk, platform: FakePlatform) -> None:
    impatient.compose()
    impatient.reconcile("--quiet")
    values = impatient.state.parent / "projects" / "demo" / "app.env"
    values.unlink()
    values.with_name("mine.env").write_text("A=b\n", encoding="utf-8")
    impatient.reconcile("destroy", "--yes", "--quiet")
    assert values.with_name("mine.env").read_text(encoding="utf-8") == "A=b\n"


def test_destroy_asks_first(desk: Desk, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.compose()
    _record(desk, "llm")
    assert desk.reconcile("destroy").code == 3
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdin, "readline", lambda: "n\n")
    done = desk.reconcile("destroy")
    assert done.code == 3
    assert "Delete llm?" in done.err
    assert platform.journal == []


@pytest.mark.parametrize("file", ["services: [", None], ids=["broken", "gone"])
def test_destroy_needs_no_compose_file_when_the_project_is_named(
    impatient: Desk, platform: FakePlatform, file: str | None
) -> None:
    path = impatient.compose()
    impatient.reconcile("--quiet")
    path.unlink() if file is None else path.write_text(file, encoding="utf-8")
    done = impatient.reconcile("destroy", "--yes")
    assert done.code == 1
    assert "`reconcile destroy -p NAME` deletes a project without its files" in done.err
    assert impatient.reconcile("destroy", "--yes", "-p", "demo", "--quiet").out == "destroyed: llm\n"
    assert platform.things == {} or all(thing.gone_at for thing in platform.things.values())
    assert not (impatient.work / "compose.models.yaml").exists()


def test_destroy_by_name_does_not_touch_the_project_that_lies_here(
    impatient: Desk, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient.compose()
    impatient.reconcile("--quiet")
    other = impatient.folder / "other"
    other.mkdir()
    (other / "compose.yaml").write_text(COMPOSE.replace("demo", "another"), encoding="utf-8")
    monkeypatch.chdir(other)
    assert impatient.reconcile("destroy", "--yes", "-p", "demo", "--quiet").code == 0
    assert [path.name for path in other.iterdir()] == ["compose.yaml"]
    assert _known(impatient).deployments == {}


def test_destroy_of_a_checkout_that_is_gone_does_not_make_it_again(
    impatient: Desk, platform: FakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    impatient.compose()
    impatient.reconcile("--quiet")
    monkeypatch.chdir(impatient.home)
    shutil.rmtree(impatient.work)
    assert impatient.reconcile("destroy", "--yes", "-p", "demo", "--quiet").code == 0
    assert not impatient.work.exists()


def test_destroy_of_a_project_nobody_knows_is_an_error(desk: Desk) -> None:
    done = desk.reconcile("destroy", "-p", "ghost", "--yes")
    assert done.code == 1
    assert "nothing is recorded of a project 'ghost'" in done.err
    assert desk.everything().keys() == {str(desk.home), str(desk.work)}


def test_destroy_leaves_the_protected_and_says_so(impatient: Desk, platform: FakePlatform) -> None:
    impatient.compose()
    impatient.reconcile("--quiet")
    assert impatient.reconcile("protect", "llm").code == 0
    done = impatient.reconcile("destroy", "--yes", "--quiet")
    assert (done.code, done.out) == (1, "still there: llm\n")
    assert "`reconcile unprotect` lets it go" in done.err
    assert impatient.reconcile("unprotect", "llm").code == 0
    assert impatient.reconcile("destroy", "--yes", "--quiet").code == 0


def test_destroy_does_not_take_a_project_from_a_running_service(desk: Desk, platform: FakePlatform) -> None:
    desk.compose()
    _record(desk, "llm")
    with _serving(desk):
        done = desk.reconcile("destroy", "--yes", "--quiet")
    assert done.code == 1
    assert "host:4711" in done.err
    assert platform.journal == []


# -- the book ---------------------------------------------------------------------------------------------------------


def test_protect_and_unprotect_are_recorded_with_an_event(desk: Desk) -> None:
    desk.compose()
    _record(desk, "llm")
    assert desk.reconcile("protect", "llm").out == "llm: never deleted from now on\n"
    assert _known(desk).models["llm"].protected
    assert desk.reconcile("unprotect", "llm").out == "llm: may be deleted again\n"
    assert not _known(desk).models["llm"].protected
    assert "never deleted from now on" in desk.reconcile("history").out


def test_resume_lifts_the_halt_and_every_back_off(desk: Desk) -> None:
    from tests.builders import at

    _record(desk, "llm", phase=Phase.ABSENT, next_call_at=at(1e9), failed_calls=7)
    desk.record(PutModel(model_record(halted="given up", attempts=5, next_try_at=at(1e9))))
    assert desk.reconcile("resume", "llm").code == 0
    known = _known(desk)
    assert known.models["llm"] == model_record()
    (record,) = known.deployments.values()
    assert (record.next_call_at, record.failed_calls) == (None, 0)


def test_only_what_is_gone_can_be_confirmed(desk: Desk) -> None:
    _record(desk, "llm", "other", "third")
    done = desk.reconcile("confirm", "llm")
    assert done.code == 1
    assert "llm is not gone from the file" in done.err
    assert "no removal to confirm" in desk.reconcile("confirm", "--all").err
    desk.record(*(PutModel(model_record(key, missing_since=NOON)) for key in ("llm", "other")))
    desk.record(PutModel(model_record("other", missing_since=NOON, protected=True)))
    assert "first `reconcile unprotect other`" in desk.reconcile("confirm", "other").err
    assert desk.reconcile("confirm", "--all").out == "llm: its removal is confirmed\n"
    confirmed = [key for key, book in _known(desk).models.items() if book.removal_confirmed_at]
    assert confirmed == ["llm"]
    assert "confirm" in desk.reconcile("history").out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["confirm"], "name the models, or --all"),
        (["confirm", "llm", "--all"], "name the models, or --all"),
        (["protect"], "name a model"),
        (["protect", "--all"], "--all goes with confirm"),
        (["protect", "llm", "--force"], "--force goes with forget"),
        (["forget", "llm", "other", "--deployment", "x"], "one deployment of one model"),
    ],
)
def test_arguments_of_the_book_that_cannot_be_meant(desk: Desk, given: list[str], said: str) -> None:
    done = desk.reconcile(*given)
    assert done.code == 1
    assert said in done.err


def test_forget_drops_one_record_and_asks_which(desk: Desk) -> None:
    _record(desk, "llm")
    second = replace(
        deployment_record(2, active=False), deployment=deployment(2, lineage=desk.lineage, name="demo-llm-second")
    )
    desk.record(PutDeployment(second))
    done = desk.reconcile("forget", "llm")
    assert done.code == 1
    assert "name one with --deployment ID" in done.err
    assert "llm has no deployment 01X (there is 01" in desk.reconcile("forget", "llm", "--deployment", "01X").err
    assert desk.reconcile("forget", "llm", "--deployment", second.deployment.id).code == 0
    assert list(_known(desk).deployments) == [deployment().id]
    assert desk.reconcile("forget", "llm").code == 0
    assert "llm has no deployment to forget" in desk.reconcile("forget", "llm").err


def test_a_server_that_runs_is_not_forgotten_without_force(impatient: Desk, platform: FakePlatform) -> None:
    impatient.compose()
    impatient.reconcile("--quiet")
    done = impatient.reconcile("forget", "llm")
    assert done.code == 3
    assert "its server is still there (ready)" in done.err
    assert len(_known(impatient).deployments) == 1
    assert impatient.reconcile("forget", "llm", "--force").code == 0
    assert _known(impatient).deployments == {}


def test_a_deployment_is_named_for_forget_only(desk: Desk) -> None:
    _record(desk, "llm")
    assert "--deployment goes with forget" in desk.reconcile("protect", "llm", "--deployment", "x").err


@pytest.mark.parametrize("command", ["protect", "unprotect", "resume", "forget", "confirm"])
def test_a_mistake_in_the_book_leaves_no_trace(desk: Desk, command: str) -> None:
    """`-p` with a typing error once made an empty project in the record, for `status` to show for ever."""
    _record(desk, "llm")
    before = _known(desk)
    assert desk.reconcile(command, "lmm").code == 1
    assert desk.reconcile("-p", "dmo", command, "llm").code == 1
    assert _known(desk) == before
    with closing(desk.store()) as store:
        assert store.projects() == ("demo",)


def test_several_projects_need_a_name(desk: Desk) -> None:
    _record(desk, "llm")
    desk.record(PutOutput(output_record()), project="second")
    done = desk.reconcile("protect", "llm")
    assert done.code == 1
    assert "several projects are recorded (demo, second); name one with -p NAME" in done.err
