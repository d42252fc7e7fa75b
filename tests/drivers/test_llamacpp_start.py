"""A server is started exactly once, with nothing of ours in it, and READY means that its model answered."""

from __future__ import annotations

import itertools
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from drivers import probe
from drivers.base import Auth, Deployment, Observation, Phase
from drivers.errors import Denied, Exhausted, Rejected, Unavailable
from drivers.llamacpp import host, memory, process
from drivers.llamacpp.claims import claims
from drivers.llamacpp.driver import LlamaCppDriver
from drivers.llamacpp.keys import kept_key
from drivers.llamacpp.settings import bridge_address
from drivers.modelstore.store import ModelStore
from tests import parts
from tests.drivers import crashing
from tests.drivers.llamas import Llamas, environment_of, freeze, llamas, words_of

pytestmark = pytest.mark.llama
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Llamas]:
    with llamas(tmp_path) as given:
        yield given


def test_ready_means_the_model_answers_whoever_has_the_key(platform: Llamas) -> None:
    _, ready = platform.ready()
    assert ready.endpoint is not None
    assert ready.endpoint.key_file is not None
    key = Path(ready.endpoint.key_file).read_text().strip()
    assert ready.endpoint.auth is Auth.API_KEY
    assert ready.endpoint.on_this_host
    assert ready.endpoint.model_id == "ai/smollm2"
    assert probe.complete(ready.endpoint.url, "ai/smollm2", key=key).ok
    assert probe.complete(ready.endpoint.url, "ai/smollm2", key="wrong").status == 401
    assert probe.complete(ready.endpoint.url, "ai/smollm2").status == 401


def test_an_embedding_model_is_ready_by_an_embedding(platform: Llamas) -> None:
    deployment, ready = platform.ready(runtime_flags=("--embeddings", "--pooling", "mean"))
    assert ready.endpoint is not None
    key = platform.folder(deployment).key()
    assert platform.record(deployment).purpose == "embedding"
    assert probe.embed(ready.endpoint.url, "ai/smollm2", key=key).ok


def test_create_answers_without_waiting_for_the_server(platform: Llamas) -> None:
    first = platform.driver.create(platform.deployment())
    assert first.phase is Phase.CREATING
    assert first.look_again_s is not None
    assert first.look_again_s <= 0.05


def test_what_was_asked_for_is_on_the_command_line(platform: Llamas) -> None:
    deployment, _ = platform.ready(
        context_size=512, runtime_flags=("--top_k=40", "--temp 0.2"), options={"cloud.replicas": "2"}
    )
    words = words_of(platform.processes(deployment)[0].pid)
    for pair in (("--ctx-size", "1024"), ("--parallel", "2"), ("--top-k", "40"), ("--temp", "0.2")):
        assert pair in list(itertools.pairwise(words))
    assert f"ai/smollm2,{deployment.name}" in words


def test_nothing_of_our_environment_reaches_the_server(platform: Llamas, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LLAMA_ARG_LOG_FILE", "GGML_BACKEND_PATH", "LD_LIBRARY_PATH", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, "canary")
    deployment, _ = platform.ready()
    environment = environment_of(platform.processes(deployment)[0].pid)
    ours = {"PATH", "HOME", "TMPDIR", "LANG", "CMR_DEPLOYMENT", "CMR_LINEAGE", "CMR_RECORD"}
    assert set(environment) - {"PWD", "OLDPWD", "SHLVL", "_"} <= ours  # a wrapper script's shell may add its own four
    assert environment["HOME"] == str(platform.folder(deployment).home)


def test_the_key_is_in_one_private_file_only(platform: Llamas) -> None:
    deployment, _ = platform.ready()
    folder, pid = platform.folder(deployment), platform.processes(deployment)[0].pid
    key = folder.key()
    assert len(key) >= 32
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.key_file.stat().st_mode) == 0o600
    assert key not in " ".join(words_of(pid)) + str(environment_of(pid))
    others = [file for file in folder.path.rglob("*") if file.is_file() and file != folder.key_file]
    assert not [file.name for file in others if key in file.read_text(errors="replace")]


def test_the_server_has_a_session_of_its_own_no_core_dumps_and_no_terminal(platform: Llamas) -> None:
    deployment, _ = platform.ready()
    pid = platform.processes(deployment)[0].pid
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    assert "Max core file size        0                    0" in Path(f"/proc/{pid}/limits").read_text()


@pytest.mark.parametrize("point", crashing.POINTS)
def test_a_reconciler_killed_in_a_create_leaves_exactly_one_server(platform: Llamas, point: str) -> None:
    deployment = platform.deployment()
    arguments = (point, str(platform.settings.run_root.parent), platform.lineage, "1")
    dead = subprocess.run([sys.executable, "-m", "tests.drivers.crashing", *arguments], cwd=ROOT, timeout=60)
    assert dead.returncode == -signal.SIGKILL
    assert platform.things(deployment) == (0 if point in ("before the record", "before the start") else 1)

    platform.driver.create(deployment)
    platform.until(platform.driver.observe, deployment, Phase.READY)
    assert platform.things(deployment) == 1
    assert platform.record(deployment).pid == platform.processes(deployment)[0].pid


def test_a_crash_after_the_start_is_seen_as_creating_and_never_as_absent(platform: Llamas) -> None:
    deployment = platform.deployment()
    arguments = ("after the start", str(platform.settings.run_root.parent), platform.lineage, "1")
    subprocess.run([sys.executable, "-m", "tests.drivers.crashing", *arguments], cwd=ROOT, timeout=60)
    assert platform.driver.observe(deployment).phase in (Phase.CREATING, Phase.READY)
    assert [found.id for found in platform.driver.owned(platform.lineage)] == [deployment.id]


def test_many_creates_at_once_start_one_server(platform: Llamas) -> None:
    deployment = platform.deployment()
    drivers = [platform.after_a_crash() for _ in range(6)]
    threads = [threading.Thread(target=driver.create, args=(deployment,)) for driver in drivers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    platform.until(platform.driver.observe, deployment, Phase.READY)
    assert platform.things(deployment) == 1


def test_a_server_whose_folder_vanished_is_found_and_never_doubled(platform: Llamas) -> None:
    deployment, _ = platform.ready()
    platform.folder(deployment).remove()
    second = platform.after_a_crash()
    assert [found.id for found in second.owned(platform.lineage)] == [deployment.id]
    assert second.create(deployment).phase is Phase.FAILED
    assert platform.things(deployment) == 1
    platform.until(second.delete, deployment, Phase.ABSENT)
    assert platform.things(deployment) == 0


def test_a_taken_port_is_passed_over(platform: Llamas) -> None:
    import socket

    deployment, first = platform.ready()
    assert first.endpoint is not None
    wanted = int(first.endpoint.url.split(":")[2].split("/")[0])
    platform.until(platform.driver.delete, deployment, Phase.ABSENT)
    with socket.create_server(("127.0.0.1", wanted)):
        _, ready = platform.ready()
    assert ready.endpoint is not None
    assert f":{wanted}/" not in ready.endpoint.url


def test_the_successor_of_a_crashed_server_answers_at_the_same_url_to_the_same_key(platform: Llamas) -> None:
    """Services that were started with its address and key need no restart."""
    crashed, before = platform.ready(1)
    process.send(platform.processes(crashed)[0], signal.SIGKILL)
    platform.until(platform.driver.observe, crashed, Phase.FAILED)
    _, after = platform.ready(2)
    assert before.endpoint is not None
    assert after.endpoint is not None
    assert after.endpoint.url == before.endpoint.url
    assert platform.folder(platform.deployment(2)).key() == platform.folder(crashed).key()


def test_a_models_key_goes_with_its_last_deployment(platform: Llamas) -> None:
    """Whoever has it must not get into a later model of that name; it once lay there for ever."""
    driver = _with_other_files(platform, "ai/other")
    old, new = platform.deployment(1), platform.deployment(2)
    driver.create(old)
    driver.create(new)
    key = platform.folder(old).key()
    kept = kept_key(old, platform.settings.run_root)
    platform.until(driver.delete, old, Phase.ABSENT)
    assert kept.read_text().strip() == key, "its successor lives, and so may the next one"
    platform.until(driver.delete, new, Phase.ABSENT)
    assert not kept.exists()
    driver.create(platform.deployment(3))
    assert platform.folder(platform.deployment(3)).key() != key


def test_a_key_stays_while_a_folder_cannot_be_understood(platform: Llamas) -> None:
    driver = _with_other_files(platform)
    deployment = platform.deployment(1)
    driver.create(deployment)
    torn = platform.folder(platform.deployment(2))
    torn.prepare()
    (torn.path / "deployment.json").write_text("{")
    platform.until(driver.delete, deployment, Phase.ABSENT)
    assert kept_key(deployment, platform.settings.run_root).exists()


def test_the_key_of_another_model_stays(platform: Llamas) -> None:
    driver = _with_other_files(platform)
    deployment = platform.deployment(1)
    neighbour = replace(platform.deployment(2), model="other")
    for each in (deployment, neighbour):
        driver.create(each)
    platform.until(driver.delete, deployment, Phase.ABSENT)
    assert kept_key(neighbour, platform.settings.run_root).exists()
    assert not kept_key(deployment, platform.settings.run_root).exists()


def test_a_port_lost_in_the_race_is_never_ready_and_the_next_create_takes_another(platform: Llamas) -> None:
    import socket

    deployment = platform.deployment()
    squatters: list[socket.socket] = []

    def late(launch: process.Launch) -> int:
        # Between our look at the port and the server's, somebody else takes it, and answers like a llama-server would.
        port = int(launch.argv[launch.argv.index("--port") + 1])
        squatters.append(socket.create_server(("127.0.0.1", port)))
        return process.start(launch)

    LlamaCppDriver(platform.settings, platform.shelf, start=late).create(deployment)
    try:
        lost = platform.until(platform.driver.observe, deployment, Phase.ABSENT)
        assert "port" in lost.detail
        shown = platform.folder(deployment).key()
        platform.driver.create(deployment)
        ready = platform.until(platform.driver.observe, deployment, Phase.READY)
        assert ready.endpoint is not None
        assert f":{squatters[0].getsockname()[1]}/" not in ready.endpoint.url
        assert platform.folder(deployment).key() != shown  # whoever took the port may know the old one
    finally:
        squatters[0].close()


def test_a_server_on_our_port_that_is_not_ours_is_not_ready(platform: Llamas) -> None:
    """Our process lives, and yet somebody else answers: as when a port was taken and the old record is read."""
    foreign, _ = platform.ready(1)
    ours = platform.deployment(2)
    platform.driver.create(ours)
    platform.until(platform.driver.observe, ours, Phase.READY)
    folder = platform.folder(ours)
    (folder.path / "ready").unlink()
    folder.write(replace(platform.record(ours), port=platform.record(foreign).port))
    folder.key_file.write_bytes(platform.folder(foreign).key_file.read_bytes())
    seen = platform.driver.observe(ours)
    assert (seen.phase, seen.detail) == (Phase.CREATING, "the port is answered by a server that is not ours")


def test_bind_auto_listens_on_the_docker_bridge(tmp_path: Path) -> None:
    address = bridge_address()
    with llamas(tmp_path, bind="auto") as platform:
        _, ready = platform.ready()
        assert ready.endpoint is not None
        assert f"//{address or '127.0.0.1'}:" in ready.endpoint.url
        assert ready.endpoint.auth is Auth.API_KEY


def test_no_key_is_for_loopback_only(tmp_path: Path) -> None:
    with llamas(tmp_path) as platform:
        _, ready = platform.ready(options={"cloud.auth": "none"})
        assert ready.endpoint is not None
        assert (ready.endpoint.auth, ready.endpoint.key_file) == (Auth.NONE, None)
        assert probe.complete(ready.endpoint.url, "ai/smollm2").ok
    with llamas(tmp_path, bind="172.17.0.1") as platform, pytest.raises(Rejected, match=r"cloud\.auth"):
        platform.driver.create(platform.deployment(options={"cloud.auth": "none"}))


def test_a_missing_model_is_pulled_and_then_started(platform: Llamas) -> None:
    deployment = platform.deployment(model="ai/other")
    first = platform.driver.create(deployment)
    assert (first.phase, first.detail) == (Phase.CREATING, "pulling the model")
    platform.shelf.pull.done_bytes, platform.shelf.pull.total_bytes = 40, 100
    assert platform.driver.observe(deployment).progress == 0.4
    platform.shelf.files["ai/other"] = platform.shelf.files["ai/smollm2"]
    platform.shelf.pull.state = "done"
    assert platform.driver.observe(deployment).phase is Phase.ABSENT  # create is asked for once more
    platform.driver.create(deployment)
    platform.until(platform.driver.observe, deployment, Phase.READY)
    assert platform.shelf.pulled == ["ai/other"]


def test_a_pull_that_failed_fails_the_deployment_with_its_reason(platform: Llamas) -> None:
    deployment = platform.deployment(model="ai/other")
    platform.driver.create(deployment)
    platform.shelf.pull.state, platform.shelf.pull.error = "failed", Unavailable("the registry is away")
    seen = platform.driver.observe(deployment)
    assert (seen.phase, seen.detail) == (Phase.FAILED, "pulling the model: the registry is away")
    assert platform.driver.observe(platform.deployment(2, model="ai/other")).phase is Phase.ABSENT


def test_a_model_that_cannot_fit_is_refused_with_the_numbers(platform: Llamas) -> None:
    deployment = platform.deployment(context_size=2_000_000_000)
    with pytest.raises(Rejected, match=r"needs about .* GB .*lower context_size"):
        platform.driver.create(deployment)
    assert platform.things(deployment) == 0
    assert platform.driver.observe(deployment).phase is Phase.ABSENT


def _asleep(launch: process.Launch) -> int:
    """A server that was started and has not read a byte of its model."""
    return process.start(replace(launch, argv=("/bin/sleep", "600")))


def _room_for(count: float, platform: Llamas, monkeypatch: pytest.MonkeyPatch) -> None:
    """This host has as much memory as so many of the models need."""
    need = memory.need(platform.shelf.files["ai/smollm2"].header, 512).total
    monkeypatch.setattr(host, "survey", lambda *_: host.Host(total_bytes=64 << 30, free_bytes=int(count * need)))


def _with_other_files(platform: Llamas, *models: str) -> LlamaCppDriver:
    """Models of the same size in files of their own, and servers that do nothing with them."""
    weights = platform.shelf.files["ai/smollm2"]
    for model in models:
        platform.shelf.files[model] = replace(weights, path=Path("/models") / model)
    return LlamaCppDriver(platform.settings, platform.shelf, start=_asleep)


def test_servers_that_were_just_started_have_their_memory_already(
    platform: Llamas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three models that each needed 60 % of the memory were all started, as none of it was missing yet."""
    driver = _with_other_files(platform, "ai/a", "ai/b")
    _room_for(1.6, platform, monkeypatch)
    first, second = platform.deployment(1, model="ai/a"), platform.deployment(2, model="ai/b")
    driver.create(first)
    with pytest.raises(Exhausted, match="beside its other servers"):
        driver.create(second)
    assert driver.create(first).phase is Phase.CREATING, "it stands in nobody's way but others'"
    platform.until(driver.delete, first, Phase.ABSENT)
    assert driver.create(second).phase is Phase.CREATING


def test_two_that_start_at_once_are_not_given_the_same_memory_or_port(
    platform: Llamas, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"ai/{letter}" for letter in "abcdef"]
    driver = _with_other_files(platform, *names)
    _room_for(2.5, platform, monkeypatch)
    deployments = [platform.deployment(number, model=model) for number, model in enumerate(names, 1)]

    def create(deployment: Deployment) -> bool:
        try:
            driver.create(deployment)
        except Exhausted:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        started = list(pool.map(create, deployments))
    assert sum(started) == 2
    ports = {platform.record(each).port for each, runs in zip(deployments, started, strict=True) if runs}
    assert len(ports) == 2


def test_a_replacement_maps_the_same_weights(platform: Llamas, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = _with_other_files(platform)
    needed = memory.need(platform.shelf.files["ai/smollm2"].header, 512)
    _room_for(1 + (needed.cache + needed.work) / needed.total + 0.01, platform, monkeypatch)
    for number in (1, 2):
        assert driver.create(platform.deployment(number)).phase is Phase.CREATING


def test_one_that_was_asked_to_stop_stands_in_nobodys_way(platform: Llamas, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = _with_other_files(platform, "ai/a", "ai/b")
    _room_for(1.6, platform, monkeypatch)
    leaving = platform.deployment(1, model="ai/a")
    driver.create(leaving)
    freeze(platform.processes(leaving)[0])  # it takes its time
    assert driver.delete(leaving).phase is Phase.DELETING
    assert driver.create(platform.deployment(2, model="ai/b")).phase is Phase.CREATING


def test_a_real_server_holds_what_is_counted_as_held(platform: Llamas) -> None:
    """Its cache is its own from the start; mapped weights are not, and stay promised to it."""
    deployment, _ = platform.ready()
    (claim,) = claims(platform.settings.run_root, but="")
    (server,) = platform.processes(deployment)
    needed = memory.need(platform.shelf.files["ai/smollm2"].header, 512)
    assert (claim.weights, claim.working) == (needed.weights, needed.cache + needed.work)
    assert claim.held == process.held_bytes(server.pid, server.ticks) > needed.cache
    assert claims(platform.settings.run_root, but=deployment.id) == ()


def test_without_a_llama_server_the_message_says_how_to_get_one(tmp_path: Path) -> None:
    nowhere = {"PATH": str(tmp_path)}
    message = r"llama\.cpp-tools.*RECONCILE_LLAMA_SERVER"
    with llamas(tmp_path, server=None, environment=nowhere) as platform, pytest.raises(Denied, match=message):
        platform.driver.create(platform.deployment())


def test_a_program_that_cannot_run_is_denied_and_nothing_is_left_running(tmp_path: Path) -> None:
    broken = tmp_path / "llama-server"
    broken.write_bytes(b"\x7fELF nonsense")
    broken.chmod(0o755)
    with llamas(tmp_path, server=broken) as platform:
        with pytest.raises(Denied, match="name another llama-server"):
            platform.driver.create(platform.deployment())
        assert platform.driver.observe(platform.deployment()).phase is Phase.ABSENT


def test_looking_changes_nothing_on_disk(platform: Llamas) -> None:
    def picture() -> dict[str, tuple[int, int]]:
        files = (file for file in platform.folder(deployment).path.rglob("*") if file.name != "server.log")
        return {str(file): (file.stat().st_mtime_ns, file.stat().st_ino) for file in files}

    deployment, ready = platform.ready()
    before = picture()
    again: Observation = platform.driver.observe(deployment)
    assert (again, picture()) == (ready, before)


def test_a_file_of_the_real_model_store_is_served_in_place(platform: Llamas, tmp_path: Path) -> None:
    model = parts.smollm2().resolve()
    store = ModelStore(tmp_path / "models", environ={}, models_roots=[model.parent])
    driver = LlamaCppDriver(platform.settings, store)
    deployment = platform.deployment(options={"cloud.model-source": f"file://{model}"})
    assert driver.create(deployment).phase is Phase.CREATING
    platform.until(driver.observe, deployment, Phase.READY)
    assert str(model) in words_of(platform.processes(deployment)[0].pid)


def test_a_file_outside_the_operators_folders_is_denied(platform: Llamas, tmp_path: Path) -> None:
    driver = LlamaCppDriver(platform.settings, ModelStore(tmp_path / "models", environ={}))
    with pytest.raises(Denied):
        driver.create(platform.deployment(options={"cloud.model-source": f"file://{parts.smollm2().resolve()}"}))
