"""What becomes of servers that hang, crash, never come up or are to go, and that no stranger is ever signalled."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.base import Phase
from drivers.errors import Unavailable
from drivers.llamacpp import process
from infra.lab import wait_for
from tests.drivers.llamas import Clock, File, Llamas, freeze, llamas, real_file

pytestmark = pytest.mark.llama


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def platform(tmp_path: Path, clock: Clock) -> Iterator[Llamas]:
    with llamas(tmp_path, monotonic=clock, health_timeout_s=0.3, answer_timeout_s=10.0) as given:
        yield given


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is none of ours."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child
        child.kill()


def test_a_killed_server_is_failed_with_the_signal(platform: Llamas) -> None:
    deployment, _ = platform.ready()
    process.send(platform.processes(deployment)[0], signal.SIGKILL)
    seen = platform.until(platform.driver.observe, deployment, Phase.FAILED)
    assert "SIGKILL" in seen.detail
    assert platform.driver.create(deployment).phase is Phase.FAILED  # the engine replaces it, with back-off
    assert platform.things(deployment) == 0


def test_a_dead_child_is_reaped_not_left_a_zombie(platform: Llamas) -> None:
    deployment, _ = platform.ready()
    pid = platform.processes(deployment)[0].pid
    process.send(platform.processes(deployment)[0], signal.SIGKILL)
    platform.until(platform.driver.observe, deployment, Phase.FAILED)
    assert not Path(f"/proc/{pid}").exists()


def test_a_broken_model_file_fails_with_the_servers_own_words(platform: Llamas, tmp_path: Path) -> None:
    whole = real_file()
    torn = tmp_path / "torn.gguf"
    torn.write_bytes(whole.path.read_bytes()[:200_000])
    platform.shelf.files["ai/torn"] = File(path=torn, header=whole.header)
    details = set()
    for number in (1, 2):
        deployment = platform.deployment(number, model="ai/torn")
        platform.driver.create(deployment)
        details.add(platform.until(platform.driver.observe, deployment, Phase.FAILED).detail)
    (detail,) = details  # equal situations read equally: no times, no addresses
    assert "exited with status 1" in detail
    assert "torn.gguf" in detail


def test_a_flag_this_server_does_not_know_fails_with_its_name(platform: Llamas) -> None:
    deployment = platform.deployment(runtime_flags=("--no-direct-io",))
    platform.driver.create(deployment)
    assert "--no-direct-io" in platform.until(platform.driver.observe, deployment, Phase.FAILED).detail


def test_a_death_for_want_of_memory_is_called_so(platform: Llamas, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment, _ = platform.ready()
    process.send(platform.processes(deployment)[0], signal.SIGKILL)
    more = process.oom_kills() + 1
    monkeypatch.setattr(process, "oom_kills", lambda: more)
    assert "ran out of memory" in platform.until(platform.driver.observe, deployment, Phase.FAILED).detail


def test_a_hung_server_is_degraded_and_then_failed(tmp_path: Path) -> None:
    with llamas(tmp_path, health_timeout_s=0.1) as platform:
        deployment, _ = platform.ready()
        (server,) = platform.processes(deployment)
        impatient = replace(platform.settings, answer_timeout_s=0.1)
        driver = type(platform.driver)(impatient, platform.shelf)
        freeze(server)
        assert [driver.observe(deployment).phase for _ in range(2)] == [Phase.READY, Phase.READY]
        assert platform.until(driver.observe, deployment, Phase.DEGRADED, Phase.FAILED).phase is Phase.DEGRADED
        assert "hangs" in platform.until(driver.observe, deployment, Phase.FAILED).detail
        assert driver.in_flight(deployment) is None


def test_nobody_waits_for_the_answer_of_a_silent_server(tmp_path: Path) -> None:
    """With one server hung, each pass took as long as its answer was waited for, and the changes of all other models,
    and its own replacement, took a minute and more."""
    with llamas(tmp_path, health_timeout_s=0.1, answer_timeout_s=300.0) as platform:
        deployment, ready = platform.ready()
        freeze(platform.processes(deployment)[0])
        assert [platform.driver.observe(deployment).phase for _ in range(6)] == [Phase.READY] * 6
        process.send(platform.processes(deployment)[0], signal.SIGCONT)
        wait_for("it is well again", lambda: platform.driver.observe(deployment) == ready, within_s=30)


def test_a_server_that_wakes_up_again_is_ready_again(tmp_path: Path) -> None:
    with llamas(tmp_path, health_timeout_s=0.1) as platform:
        deployment, ready = platform.ready()
        driver = type(platform.driver)(replace(platform.settings, answer_timeout_s=0.1), platform.shelf)
        freeze(platform.processes(deployment)[0])
        platform.until(driver.observe, deployment, Phase.DEGRADED)
        process.send(platform.processes(deployment)[0], signal.SIGCONT)
        assert platform.until(platform.driver.observe, deployment, Phase.READY) == ready


def test_a_delete_asks_gently_and_insists_after_ten_seconds(platform: Llamas, clock: Clock) -> None:
    deployment, _ = platform.ready()
    (server,) = platform.processes(deployment)
    freeze(server)  # a server that ignores the gentle request

    asked = platform.driver.delete(deployment)
    assert asked.phase is Phase.DELETING
    clock.seconds += 9.9
    waiting = platform.driver.delete(deployment)
    assert waiting.phase is Phase.DELETING
    assert asked.look_again_s == 0.05
    assert waiting.look_again_s == 0.5  # 200 looks at one that takes its ten seconds would be for nothing
    assert platform.things(deployment) == 1
    clock.seconds += 0.2
    assert platform.after_a_crash().delete(deployment).phase is Phase.DELETING  # the patience survives us
    platform.gone(deployment)
    assert platform.driver.observe(deployment).phase is Phase.DELETING  # its folder is still there
    platform.until(platform.driver.delete, deployment, Phase.ABSENT)
    assert not platform.folder(deployment).path.exists()


def test_observing_never_finishes_a_deletion(platform: Llamas, clock: Clock) -> None:
    deployment, _ = platform.ready()
    (server,) = platform.processes(deployment)
    freeze(server)
    platform.driver.delete(deployment)
    clock.seconds += 3600
    assert platform.driver.observe(deployment).phase is Phase.DELETING
    assert platform.things(deployment) == 1


def test_a_recorded_pid_that_is_somebody_elses_by_now_is_never_signalled(
    platform: Llamas, stranger: subprocess.Popen[bytes]
) -> None:
    deployment, _ = platform.ready()
    process.send(platform.processes(deployment)[0], signal.SIGKILL)
    platform.until(platform.driver.observe, deployment, Phase.FAILED)
    record = platform.record(deployment)
    seen = process.look(stranger.pid)
    assert seen is not None
    for ticks in (record.ticks, seen.ticks):
        platform.folder(deployment).write(replace(record, pid=stranger.pid, ticks=ticks))
        assert platform.driver.observe(deployment).phase is Phase.FAILED
    platform.until(platform.driver.delete, deployment, Phase.ABSENT)
    assert stranger.poll() is None


def test_a_signal_reaches_only_the_process_that_was_looked_at(stranger: subprocess.Popen[bytes]) -> None:
    seen = process.look(stranger.pid)
    assert seen is not None
    assert not process.send(replace(seen, ticks=seen.ticks - 1), signal.SIGKILL)
    assert stranger.poll() is None
    assert process.send(seen, signal.SIGKILL)
    assert stranger.wait(timeout=10) == -signal.SIGKILL


def test_after_a_reboot_it_is_absent_and_comes_back_under_its_old_address(platform: Llamas) -> None:
    deployment, before = platform.ready()
    process.send(platform.processes(deployment)[0], signal.SIGKILL)
    platform.gone(deployment)
    platform.until(platform.driver.observe, deployment, Phase.FAILED)
    folder = platform.folder(deployment)
    folder.write(replace(platform.record(deployment), boot="00000000-another-boot"))
    seen = platform.driver.observe(deployment)
    assert (seen.phase, seen.detail) == (Phase.ABSENT, "this host was restarted")
    platform.driver.create(deployment)
    after = platform.until(platform.driver.observe, deployment, Phase.READY)
    assert after.endpoint == before.endpoint


def test_a_record_nobody_can_read_fails_its_deployment_and_stops_a_listing(platform: Llamas) -> None:
    deployment, _ = platform.ready()
    (platform.folder(deployment).path / "deployment.json").write_text('{"format": 1, "run"')
    assert platform.driver.observe(deployment).phase is Phase.FAILED
    with pytest.raises(Unavailable, match=r"deployment\.json"):
        platform.driver.owned(platform.lineage)
    platform.until(platform.driver.delete, deployment, Phase.ABSENT)
    assert platform.things(deployment) == 0


def test_the_record_on_disk_carries_the_owner_tags_and_no_secret(platform: Llamas) -> None:
    deployment, _ = platform.ready()
    folder = platform.folder(deployment)
    text = (folder.path / "deployment.json").read_text()
    tags = json.loads(text)["tags"]
    assert tags["cmr:deployment"] == deployment.id
    assert tags["cmr:spec"] == deployment.spec.digest
    assert folder.key() not in text


def test_a_lost_key_file_fails_the_deployment(platform: Llamas) -> None:
    deployment, _ = platform.ready()
    platform.folder(deployment).key_file.unlink()
    assert platform.driver.observe(deployment).phase is Phase.FAILED


def test_logs_are_the_servers_last_lines(platform: Llamas) -> None:
    deployment, _ = platform.ready()
    lines = list(platform.driver.logs(deployment, 1000))
    assert any("listening" in line for line in lines)
    assert list(platform.driver.logs(deployment, 1)) == lines[-1:]
    assert list(platform.driver.logs(platform.deployment(2))) == []


def test_a_request_in_flight_is_seen(platform: Llamas) -> None:
    """A server is only stopped when nobody waits for its answer."""
    deployment, ready = platform.ready()
    assert ready.endpoint is not None
    assert platform.driver.in_flight(deployment) == 0
    address = ready.endpoint.url.split("/")[2]
    headers = {"Authorization": f"Bearer {platform.folder(deployment).key()}", "Content-Type": "application/json"}
    long = json.dumps({"prompt": "Once", "max_tokens": 200, "ignore_eos": True})

    def ask() -> None:
        connection = http.client.HTTPConnection(address, timeout=110)
        connection.request("POST", "/v1/completions", long, headers)
        connection.getresponse().read()
        connection.close()

    asked = threading.Thread(target=ask)
    asked.start()
    seen = 0
    while asked.is_alive() and not seen:
        seen = platform.driver.in_flight(deployment) or 0
    asked.join()
    assert seen == 1
    assert platform.driver.in_flight(deployment) == 0
