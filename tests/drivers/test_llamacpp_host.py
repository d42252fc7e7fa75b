"""Whether a model fits, what a host has, what a log says, and what a probe makes of bad answers."""

from __future__ import annotations

import json
import mmap
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from drivers import probe
from drivers.errors import Exhausted, Rejected
from drivers.llamacpp import fit, host, locks, log, memory, process
from drivers.llamacpp.settings import LlamaCppSettings, bridge_address, is_loopback
from drivers.modelstore.gguf import GgufHeader
from tests import builders
from tests.drivers.llamas import File
from tests.scripted import Reply, Request, scripted_server

GB = 1_000_000_000


def llama_8b(**given: Any) -> GgufHeader:
    fields = {
        "version": 3, "tensor_count": 1, "architecture": "llama", "weights_bytes": 4_900_000_000, "block_count": 32,
        "embedding_length": 4096, "head_count": 32, "head_count_kv": 8, "context_length": 131072,
    }  # fmt: skip
    return GgufHeader(**(fields | given))


def test_the_cache_of_an_8b_model_is_what_llama_cpp_reports() -> None:
    """llama.cpp: 'KV self size = 1024.00 MiB' for Llama 3 8B with 8192 tokens in f16."""
    assert memory.need(llama_8b(), 8192).cache == 1024 << 20


def test_smaller_cells_take_less() -> None:
    assert memory.need(llama_8b(), 8192, cache_k="q8_0", cache_v="q8_0").cache == (1024 << 20) * 34 // 64
    assert memory.need(llama_8b(), 8192, cache_v="q4_0").cache < 1024 << 20


def test_layers_may_differ_and_windows_slide() -> None:
    half = memory.need(llama_8b(head_count_kv=(8, 0) * 16), 8192).cache
    assert half == 512 << 20
    assert memory.need(llama_8b(sliding_window=1024), 8192).cache < 300 << 20


def test_what_fits_is_let_through_and_what_does_not_says_what_to_lower() -> None:
    need = memory.need(llama_8b(), 131072)
    assert memory.shortage(need, 40 * GB, "this host", context=131072) == ""
    text = memory.shortage(need, 8 * GB, "this host", context=131072)
    assert "context of 131072 tokens 17.2 GB" in text
    assert "this host has 8.0 GB free: lower context_size" in text
    small = memory.shortage(memory.need(llama_8b(), 512), 2 * GB, "the GPU", context=512)
    assert small.endswith("the GPU has 2.0 GB free: choose a model with fewer or smaller weights")


def test_layers_are_shared_between_gpu_and_host() -> None:
    assert memory.layers_on_devices(llama_8b(), "all") == 1.0
    assert memory.layers_on_devices(llama_8b(), "auto") == 0.0
    assert memory.layers_on_devices(llama_8b(), "11") == pytest.approx(1 / 3)
    assert memory.layers_on_devices(llama_8b(), "99") == 1.0


def test_a_split_is_limited_by_the_card_that_is_full_first() -> None:
    assert memory.usable([24 * GB, 8 * GB], []) == 32 * GB
    assert memory.usable([24 * GB, 8 * GB], [3, 1]) == 32 * GB
    assert memory.usable([24 * GB, 8 * GB], [1, 1]) == 16 * GB
    assert memory.usable([24 * GB], [1, 1]) == 24 * GB


def card(index: int, free_gb: float, title: str = "NVIDIA L4") -> host.Device:
    return host.Device(name=f"CUDA{index}", title=title, total_bytes=24 * GB, free_bytes=int(free_gb * GB))


def machine(*devices: host.Device, free_gb: float = 4) -> host.Host:
    return host.Host(total_bytes=32 * GB, free_bytes=int(free_gb * GB), devices=devices)


@pytest.mark.parametrize(
    ("have", "given"),
    [
        (machine(card(0, 20)), {}),
        (machine(card(0, 4), card(1, 4)), {}),
        (machine(free_gb=8), {}),
        (machine(card(0, 3), free_gb=8), {"llamacpp.gpu-layers": "11"}),
        (machine(card(0, 1), free_gb=8), {"llamacpp.device": "none"}),
        (machine(card(0, 1), card(1, 20)), {"llamacpp.device": "CUDA1"}),
        (machine(card(0, 20)), {"cloud.accelerator": "nvidia-l4", "cloud.accelerator-memory": "16..24"}),
        (machine(card(0, 20), card(1, 20)), {"cloud.accelerator": "A100,L4:2"}),
        (machine(free_gb=8), {"cloud.memory": "16GB..64GB"}),
    ],
)
def test_a_host_that_has_enough_is_taken(have: host.Host, given: dict[str, str]) -> None:
    spec = builders.model_spec(options=given, context_size=2048)
    fit.check(spec, File(path=Path("/m"), header=llama_8b()), fit.narrow(have, spec))


@pytest.mark.parametrize(
    ("have", "given", "reason"),
    [
        (machine(), {}, "this host has 4.0 GB free"),
        (machine(card(0, 4)), {}, "the GPU has 4.0 GB free"),
        (machine(card(0, 20), card(1, 1)), {"llamacpp.tensor-split": "1,1"}, "the GPU has 2.0 GB free"),
        (machine(card(0, 20), free_gb=1), {"llamacpp.gpu-layers": "11"}, "this host has 1.0 GB free"),
        (machine(card(0, 20)), {"llamacpp.device": "none"}, "this host has 4.0 GB free"),
        (
            machine(card(0, 20)),
            {"cloud.accelerator": "A100"},
            "A100 is asked, the accelerators of this host: NVIDIA L4",
        ),
        (machine(), {"cloud.accelerator": "L4"}, "none that llama-server can use"),
        (machine(card(0, 20)), {"cloud.accelerator": "L4:2"}, "L4:2 is asked"),
        (machine(card(0, 20)), {"cloud.accelerator-memory": "80"}, "80 GB are asked, this host has 24 GB"),
        (machine(free_gb=8), {"cloud.memory": "64GB"}, "this host has 32 GB, 64 are asked"),
    ],
)
def test_a_host_that_lacks_something_says_what(have: host.Host, given: dict[str, str], reason: str) -> None:
    spec = builders.model_spec(options=given, context_size=2048)
    with pytest.raises(Exhausted, match=re.escape(reason)):
        fit.check(spec, File(path=Path("/m"), header=llama_8b()), fit.narrow(have, spec))


@pytest.mark.parametrize(
    ("have", "reason"),
    [
        (machine(free_gb=32), "this host, with nothing else on it, has 32.0 GB free: lower context_size"),
        (machine(card(0, 24), free_gb=32), "the GPU, with nothing else on it, has 24.0 GB free: lower context_size"),
    ],
)
def test_what_an_empty_host_could_not_hold_is_not_tried_again(have: host.Host, reason: str) -> None:
    """As a shortage of the moment it was tried again for ever, and a run by hand waited for that until its timeout."""
    spec = builders.model_spec(context_size=1_000_000)
    with pytest.raises(Rejected, match=re.escape(reason)):
        fit.check(spec, File(path=Path("/m"), header=llama_8b()), have)


def test_a_smaller_cache_makes_room() -> None:
    big: dict[str, Any] = {"context_size": 16384}
    have, file = machine(free_gb=7), File(path=Path("/m"), header=llama_8b())
    with pytest.raises(Exhausted, match="cache-type-k"):
        fit.check(builders.model_spec(**big), file, have)
    fit.check(builders.model_spec(**big, runtime_flags=("-ctk", "q8_0", "-ctv", "q8_0")), file, have)
    fit.check(builders.model_spec(**big, options={"llamacpp.cache-type-k": "q4_0"}), file, have)


def claim(file: str = "/other", **given: Any) -> fit.Claim:
    values: dict[str, Any] = {"spec": builders.model_spec(), "file": file, "weights": 5 * GB, "working": GB} | given
    return fit.Claim(**values)


SIX_GB = File(path=Path("/m"), header=llama_8b())
"""With its context of 2048 tokens and working memory: 5.4 GB."""


@pytest.mark.parametrize(
    ("free_gb", "claims"),
    [
        (6, []),
        (12, [claim()]),
        (6.5, [claim(file="/m")]),  # the same weights, mapped by both
        (6, [claim(held=6 * GB)]),  # a server without mmap: what it has is missing from what is free
        (6, [claim(held=9 * GB)]),  # the estimate was too low: nobody gets memory for that
        (12, [claim(), claim(held=6 * GB)]),
        (13, [claim(), claim()]),  # two servers of one file
    ],
)
def test_what_fits_beside_the_other_servers_is_taken(free_gb: float, claims: list[fit.Claim]) -> None:
    fit.check(builders.model_spec(context_size=2048), SIX_GB, machine(free_gb=free_gb), claims)


@pytest.mark.parametrize(
    ("free_gb", "claims"),
    [
        (11, [claim()]),  # just started, nothing shows yet
        (10, [claim(held=GB)]),  # it serves: its weights are page cache, which looks free
        (6, [claim(file="/m")]),
        (16, [claim("/one"), claim("/two")]),
    ],
)
def test_three_models_of_which_one_fits_do_not_all_start(free_gb: float, claims: list[fit.Claim]) -> None:
    with pytest.raises(Exhausted, match="this host, beside its other servers, has"):
        fit.check(builders.model_spec(context_size=2048), SIX_GB, machine(free_gb=free_gb), claims)


@pytest.mark.parametrize(("named", "fits"), [(None, False), ("CUDA1", True), ("CUDA0,CUDA1", False)])
def test_a_server_that_loads_still_takes_its_devices(named: str | None, fits: bool) -> None:
    loading = claim(spec=builders.model_spec(options={"llamacpp.device": named} if named else {}), on_devices=18 * GB)
    spec = builders.model_spec(context_size=2048, options={"llamacpp.device": "CUDA0"})
    have = fit.narrow(machine(card(0, 20), card(1, 20)), spec)
    if fits:
        fit.check(spec, SIX_GB, have, [loading])
    else:
        with pytest.raises(Exhausted, match=r"the GPU, beside its other servers, has 2\.0 GB"):
            fit.check(spec, SIX_GB, have, [loading])


def test_what_a_process_holds_is_that_of_exactly_this_process() -> None:
    me = process.look(os.getpid())
    assert me is not None
    before = process.held_bytes(me.pid, me.ticks)
    ballast = bytearray(os.urandom(1)) * (64 << 20)
    assert process.held_bytes(me.pid, me.ticks) - before > 60 << 20
    assert len(ballast) == 64 << 20
    assert process.held_bytes(me.pid, me.ticks + 1) == 0
    assert process.held_bytes(1 << 30, 0) == 0


def test_a_mapped_file_is_not_held(tmp_path: Path) -> None:
    me = process.look(os.getpid())
    assert me is not None
    file = tmp_path / "weights"
    file.write_bytes(b"x" * (64 << 20))
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        before = process.held_bytes(me.pid, me.ticks)
        assert sum(mapped[at] for at in range(0, len(mapped), 4096)) > 0
        assert process.held_bytes(me.pid, me.ticks) - before < 8 << 20


def test_the_servers_list_of_devices_is_read() -> None:
    text = (
        "Available devices:\n  CUDA0: NVIDIA L4 (23034 MiB, 22564 MiB free)\n"
        "  Vulkan1: AMD Radeon RX 7900 (RADV NAVI31) (24560 MiB, 24000 MiB free)\n"
    )
    first, second = host.parse_devices(text)
    assert (first.name, first.title, first.free_bytes) == ("CUDA0", "NVIDIA L4", 22564 << 20)
    assert (second.name, second.title) == ("Vulkan1", "AMD Radeon RX 7900 (RADV NAVI31)")
    assert host.parse_devices("Available devices:\n  (none)\n") == ()


def test_a_host_without_device_files_is_not_asked_for_devices(tmp_path: Path) -> None:
    assert not host.has_device_files(tmp_path)
    (tmp_path / "dri").mkdir()
    (tmp_path / "dri" / "renderD128").touch()
    assert host.has_device_files(tmp_path)


def test_this_host_has_memory() -> None:
    here = host.survey(Path("/nonexistent"), {})
    assert 0 < here.free_bytes <= here.total_bytes


def test_a_name_has_its_port_for_as_long_as_it_is_free() -> None:
    first = host.free_port("127.0.0.1", "cmr-a")
    assert first == host.free_port("127.0.0.1", "cmr-a")
    assert first is not None
    assert host.FIRST_PORT <= first < 32768
    assert host.free_port("127.0.0.1", "cmr-a", preferred=(first + 1,)) in (first, first + 1)


def test_the_reason_in_a_log_is_equal_from_run_to_run(tmp_path: Path) -> None:
    def said(clock: str, address: str) -> str:
        file = tmp_path / "server.log"
        file.write_text(
            f"{clock} I srv load_model: loading\n{clock} E gguf: \x1b[31mfailed to open 'x' at {address}\x1b[0m\n"
            f"{clock} I srv operator(): cleaning up\n"
        )
        return log.reason(file)

    first = said("0.00.022.173", "0x7f00deadbeef")
    assert first == said("1.23.999.001", "0x7f00cafebabe")
    assert first == "gguf: failed to open 'x' at 0x…"


def test_a_log_without_a_complaint_gives_its_last_lines(tmp_path: Path) -> None:
    (tmp_path / "server.log").write_text("one\ntwo\n")
    assert log.reason(tmp_path / "server.log") == "one | two"
    assert log.reason(tmp_path / "none.log") == ""


def test_a_log_stays_bounded_and_keeps_its_end(tmp_path: Path) -> None:
    file = tmp_path / "server.log"
    file.write_bytes(b"x" * log.LARGEST + b"\nthe end\n")
    log.bound(file)
    assert file.stat().st_size == 0
    assert (tmp_path / "server.log.1").read_bytes().endswith(b"the end\n")
    assert (tmp_path / "server.log.1").stat().st_size <= log.LARGEST


def test_a_lock_can_be_asked_about_without_being_taken(tmp_path: Path) -> None:
    import os

    path = tmp_path / "lock"
    assert not locks.is_locked(path)
    mine = locks.try_lock(path)
    assert mine is not None
    assert locks.is_locked(path)
    assert locks.try_lock(path) is None
    os.close(mine)
    assert not locks.is_locked(path)


def test_a_lock_on_a_removed_file_is_not_taken_for_the_new_one(tmp_path: Path) -> None:
    import os

    path = tmp_path / "lock"
    old = locks.try_lock(path)
    assert old is not None
    path.unlink()
    new = locks.try_lock(path)
    assert new is not None
    os.close(old)
    assert locks.is_locked(path)
    os.close(new)


def test_which_addresses_only_this_host_reaches() -> None:
    assert [is_loopback(a) for a in ("127.0.0.1", "127.8.8.8", "::1", "localhost", "0.0.0.0", "172.17.0.1")] == [
        True, True, True, True, False, False,
    ]  # fmt: skip


def test_auto_is_loopback_where_there_is_no_bridge() -> None:
    assert bridge_address("nosuchbridge0") is None
    assert bridge_address("lo") == "127.0.0.1"
    assert LlamaCppSettings(run_root=Path("/x"), bind="10.0.0.1").address() == "10.0.0.1"


def test_a_probe_of_nobody_is_an_answer_and_no_exception() -> None:
    url = f"http://127.0.0.1:{host.free_port('127.0.0.1', 'nobody')}/v1/"
    assert not probe.complete(url, "m").ok
    assert probe.health(url).status is None
    assert probe.models(url).names == frozenset()


def test_a_silent_server_is_given_up_in_time() -> None:
    silence = threading.Event()
    with scripted_server(lambda request: Reply(headers={"Content-Length": "10"}, hold=silence)) as server:
        answer = probe.health(f"http://{server.host}/v1/", timeout_s=0.1)
        silence.set()
    assert not answer.ok
    assert "nothing within 0.1 s" in answer.detail


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"), (200, b"[]"), (200, b"{}"), (200, b'{"choices": "x"}'), (200, b"[" * 100_000),
        (401, b'{"error": {"message": "no"}}'), (500, b""), (302, b""),
    ],
)  # fmt: skip
def test_anything_but_a_real_completion_is_none(status: int, body: bytes) -> None:
    with scripted_server(lambda request: Reply(status=status, body=body)) as server:
        answer = probe.complete(f"http://{server.host}/v1/", "m", key="k")
    assert not answer.ok
    assert answer.detail


def test_a_model_without_a_chat_template_is_asked_for_a_plain_completion() -> None:
    def answer(request: Request) -> Reply:
        if request.path.endswith("/chat/completions"):
            return Reply(status=500, body=b'{"error": {"message": "this model has no chat template"}}')
        return Reply(body=json.dumps({"choices": [{"text": "x"}]}).encode())

    with scripted_server(answer) as server:
        assert probe.complete(f"http://{server.host}/v1/", "m", key="k").ok
    assert [request.path for request in server.requests] == ["/v1/chat/completions", "/v1/completions"]
    assert server.requests[0].headers["Authorization"] == "Bearer k"


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with scripted_server(lambda request: Reply(body=b'{"data": [{"id": "a", "aliases": ["b"]}]}')) as server:
        assert probe.models(f"http://{server.host}/v1/").names == {"a", "b"}


def test_embeddings_and_rankings_are_recognised() -> None:
    body = b'{"data": [{"embedding": [0.1]}], "results": [{"index": 0}]}'
    with scripted_server(lambda request: Reply(body=body)) as server:
        assert probe.embed(f"http://{server.host}/v1/", "m").ok
        assert probe.rerank(f"http://{server.host}/v1/", "m").ok
        assert not probe.complete(f"http://{server.host}/v1/", "m").ok
