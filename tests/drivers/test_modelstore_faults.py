"""What goes wrong while a model is fetched: cuts, full disks, wrong bytes, and servers that mean harm."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from drivers.errors import Denied, DriverError, Exhausted, Unavailable
from drivers.modelstore.net import Answer, Http
from drivers.modelstore.store import ModelStore
from tests import parts
from tests.ggufs import LLAMA, Tensor, gguf
from tests.registries import Layer, Registry, basic_authorization, docker_login, proxied, running_registry
from tests.scripted import Reply, Request, Scripted, scripted_server

CONTENT = gguf(LLAMA, [Tensor("a", (1024, 1024))])
"""4 MiB: some chunks of a transfer."""
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        running.push("ai/model", [Layer(CONTENT)])
        yield running


def new_store(root: Path, **options: Any) -> ModelStore:
    return ModelStore(root, **{"environ": {}, "sleep": lambda seconds: None, **options})


def in_front(registry: Registry, blob: Callable[[Request], Reply | None]) -> Any:
    """A server in front of the registry that may answer for the weights in its place."""

    def answer(request: Request) -> Reply:
        own = blob(request) if request.path.endswith(DIGEST) else None
        return own or proxied(registry, request)

    return scripted_server(answer)


def ranges(front: Scripted) -> list[str | None]:
    return [request.headers.get("Range") for request in front.requests if request.path.endswith(DIGEST)]


def files_below(root: Path, *folders: str) -> list[str]:
    return [path.name for folder in folders for path in (root / folder).rglob("*") if path.is_file()]


def assert_nothing_is_left(root: Path) -> None:
    assert files_below(root, "blobs", "partial", "index") == []


def test_a_transfer_that_is_cut_goes_on_where_it_was(registry: Registry, tmp_path: Path) -> None:
    cuts = iter([1_000_000, 1_500_000])

    def cutting(request: Request) -> Reply | None:
        if (cut := next(cuts, None)) is None:
            return None
        whole = proxied(registry, request)
        return whole._replace(cut_after=cut)

    with in_front(registry, cutting) as front:
        model = new_store(tmp_path).pull(f"{front.host}/ai/model")
        assert model.path.read_bytes() == CONTENT
        assert ranges(front) == [None, "bytes=1000000-", "bytes=2500000-"]


def test_a_server_that_does_not_resume_is_read_from_the_beginning(registry: Registry, tmp_path: Path) -> None:
    cuts = iter([1_000_000])
    with in_front(registry, lambda request: Reply(body=CONTENT, cut_after=next(cuts, None))) as front:
        assert new_store(tmp_path).pull(f"{front.host}/ai/model").path.read_bytes() == CONTENT
        assert ranges(front) == [None, "bytes=1000000-"]


def test_a_killed_process_leaves_a_head_start(registry: Registry, tmp_path: Path) -> None:
    held = threading.Event()
    script = (
        "import sys; from pathlib import Path; from drivers.modelstore.store import ModelStore\n"
        "ModelStore(Path(sys.argv[1]), environ={}).pull(sys.argv[2])"
    )

    def first_half(request: Request) -> Reply | None:
        return None if held.is_set() else Reply(body=CONTENT, cut_after=2 << 20, hold=held)

    with in_front(registry, first_half) as front:
        reference = f"{front.host}/ai/model"
        victim = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), reference])
        partial = tmp_path / "partial" / DIGEST.removeprefix("sha256:")
        for _ in range(1000):
            if partial.exists() and partial.stat().st_size == 2 << 20:
                break
            threading.Event().wait(0.02)
        victim.kill()
        victim.wait(timeout=10)
        held.set()
        store = new_store(tmp_path)
        assert store.find(reference) is None, "half a model is never served"
        assert store.pull(reference).path.read_bytes() == CONTENT
        assert ranges(front) == [None, f"bytes={2 << 20}-"]


def test_a_damaged_head_start_is_found_out_and_thrown_away(registry: Registry, tmp_path: Path) -> None:
    partial = tmp_path / "partial" / DIGEST.removeprefix("sha256:")
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"\xff" * 1_000_000)
    with in_front(registry, lambda request: None) as front:
        assert new_store(tmp_path).pull(f"{front.host}/ai/model").path.read_bytes() == CONTENT
        assert ranges(front) == ["bytes=1000000-", None]


def test_wrong_bytes_are_refused_and_nothing_stays(registry: Registry, tmp_path: Path) -> None:
    wrong = CONTENT[:-1] + b"\x01"
    store = new_store(tmp_path)
    with in_front(registry, lambda request: Reply(body=wrong)) as front:
        with pytest.raises(Unavailable, match="does not match that digest"):
            store.pull(f"{front.host}/ai/model")
        assert store.find(f"{front.host}/ai/model") is None
        assert len(ranges(front)) == 1
    assert_nothing_is_left(tmp_path)


@pytest.mark.parametrize("body", [CONTENT + b"more", CONTENT[:-5]])
def test_a_length_that_is_not_the_manifests_is_refused(registry: Registry, tmp_path: Path, body: bytes) -> None:
    with (
        in_front(registry, lambda request: Reply(body=body)) as front,
        pytest.raises(Unavailable, match="bytes of sha256:"),
    ):
        new_store(tmp_path).pull(f"{front.host}/ai/model")
    assert files_below(tmp_path, "blobs", "index") == []


def test_ten_terabytes_are_refused_before_the_first_byte(registry: Registry, tmp_path: Path) -> None:
    lie = Reply(headers={"Content-Length": str(10 << 40)}, body=CONTENT)
    with in_front(registry, lambda request: lie) as front, pytest.raises(Unavailable, match="belong: refused"):
        new_store(tmp_path).pull(f"{front.host}/ai/model")
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) == 0


def test_a_compressed_answer_is_refused(registry: Registry, tmp_path: Path) -> None:
    packed = Reply(headers={"Content-Encoding": "gzip"}, body=b"\x1f\x8b")
    with in_front(registry, lambda request: packed) as front, pytest.raises(Unavailable, match="compresses"):
        new_store(tmp_path).pull(f"{front.host}/ai/model")


def test_a_server_that_stays_broken_is_given_up(registry: Registry, tmp_path: Path) -> None:
    waits: list[float] = []
    broken = Reply(503, {"Retry-After": "7"})
    with in_front(registry, lambda request: broken) as front, pytest.raises(Unavailable, match="HTTP 503") as failure:
        new_store(tmp_path, sleep=waits.append).pull(f"{front.host}/ai/model")
    assert failure.value.retry_after_s == 7
    assert waits == [7, 7, 7], "a few tries, each after the wait that the server asked for"


def test_a_server_that_asks_for_a_day_is_not_waited_for_that_long(registry: Registry, tmp_path: Path) -> None:
    """`models pull` once stood still for as long as a proxy's maintenance page said, 11 days at most."""
    waits: list[float] = []
    broken = Reply(503, {"Retry-After": "86400"})
    with in_front(registry, lambda request: broken) as front, pytest.raises(Unavailable, match="HTTP 503"):
        new_store(tmp_path, sleep=waits.append).pull(f"{front.host}/ai/model")
    assert waits == [60, 60, 60]


def test_too_many_requests_say_when_to_come_back(tmp_path: Path) -> None:
    with scripted_server(lambda request: Reply(429, {"Retry-After": "30"})) as front:
        with pytest.raises(Unavailable, match="too many requests") as failure:
            new_store(tmp_path).pull(f"{front.host}/ai/model")
        assert failure.value.retry_after_s == 30


def test_a_host_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with scripted_server(lambda request: Reply()) as gone:
        host = gone.host
    with pytest.raises(Unavailable, match="cannot be reached"):
        new_store(tmp_path).pull(f"{host}/ai/model")


def test_a_model_that_does_not_fit_is_not_begun(registry: Registry, tmp_path: Path) -> None:
    with in_front(registry, lambda request: None) as front:
        reference = f"{front.host}/ai/model"
        reserve = 1 << 20
        just_too_little = int(len(CONTENT) * 1.05) + reserve - 1
        store = new_store(tmp_path, reserve_bytes=reserve, free_space=lambda path: just_too_little)
        with pytest.raises(Exhausted, match="no room for"):
            store.pull(reference)
        assert ranges(front) == []
        assert new_store(tmp_path, reserve_bytes=reserve, free_space=lambda path: just_too_little + 1).pull(reference)


def test_a_disk_that_fills_up_on_the_way_is_left_empty(registry: Registry, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", mount], check=True)
    try:
        # The preflight is told a lie, as when somebody else fills the disk meanwhile.
        store = new_store(mount / "store", free_space=lambda path: 1 << 40)
        with pytest.raises(Exhausted, match="No space left"):
            store.pull(f"{registry.host}/ai/model")
        assert_nothing_is_left(mount / "store")
        with pytest.raises(Exhausted, match="no room for"):
            new_store(mount / "store", reserve_bytes=0).pull(f"{registry.host}/ai/model")
    finally:
        subprocess.run(["umount", mount], check=True)


def test_a_model_that_was_changed_on_disk_is_fetched_again(registry: Registry, tmp_path: Path) -> None:
    store = new_store(tmp_path)
    with in_front(registry, lambda request: None) as front:
        reference = f"{front.host}/ai/model"
        path = store.pull(reference).path
        with path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\x07")
        os.utime(path, ns=(1, 1))
        assert store.find(reference) is None
        assert store.pull(reference).path.read_bytes() == CONTENT
        assert len(ranges(front)) == 2
        os.utime(path, ns=(1, 1))
        assert store.pull(reference).path.read_bytes() == CONTENT
        assert len(ranges(front)) == 2, "touched only: hashed again, not fetched again"


@pytest.mark.parametrize(
    ("location", "error", "why"),
    [
        ("http://169.254.169.254/latest/meta-data/", Denied, "link-local or metadata"),
        ("http://[fe80::1]/x", Denied, "link-local or metadata"),
        ("http://[::ffff:169.254.169.254]/x", Denied, "link-local or metadata"),
        ("http://2852039166/x", Denied, "link-local or metadata"),
        ("http://0.0.0.0/x", Denied, "link-local or metadata"),
        ("file:///etc/passwd", Denied, "no web address"),
        ("ftp://127.0.0.1/x", Denied, "no web address"),
        ("http://user:pass@127.0.0.1/x", Denied, "user name"),
        ("http://127.0.0.1/" + "x" * 9000, Denied, "no web address"),
    ],
)
def test_a_redirect_to_where_nobody_should_be_sent_is_refused(
    registry: Registry, tmp_path: Path, location: str, error: type[DriverError], why: str
) -> None:
    with (
        in_front(registry, lambda request: Reply(307, {"Location": location})) as front,
        pytest.raises(error, match=why),
    ):
        new_store(tmp_path).pull(f"{front.host}/ai/model")
    assert files_below(tmp_path, "blobs", "index") == []


def test_redirects_end(registry: Registry, tmp_path: Path) -> None:
    with in_front(registry, lambda request: Reply(307, {"Location": request.path})) as front:
        with pytest.raises(Unavailable, match="redirects more than"):
            new_store(tmp_path).pull(f"{front.host}/ai/model")
        assert len(ranges(front)) == 4 * 6, "four attempts with five redirects each"


@pytest.mark.parametrize(
    "target", ["https://127.0.0.1/x", "https://10.0.0.1/x", "https://[fc00::1]/x", "https://[::1]/x"]
)
def test_a_public_host_never_leads_into_a_private_network(target: str) -> None:
    public = cast(Answer, SimpleNamespace(url="https://registry.example/v2/", is_public=True))
    with pytest.raises(Denied, match="private network"):
        Http({}).get_as_told(target, public)


def test_a_public_host_that_names_a_private_one_is_found_out_when_it_is_resolved() -> None:
    public = cast(Answer, SimpleNamespace(url="http://registry.example/v2/", is_public=True))
    with scripted_server(lambda request: Reply()) as server:
        port = server.host.partition(":")[2]
        with pytest.raises(Denied, match="private network"):
            Http({}).get_as_told(f"http://localhost:{port}/token", public)
        assert server.requests == []


def test_a_redirect_from_outside_never_leads_to_this_host(tmp_path: Path) -> None:
    with scripted_server(lambda request: Reply()) as inside:
        away = Reply(307, {"Location": f"http://{inside.host}/admin"})
        with scripted_server(lambda request: away) as proxy:
            store = new_store(tmp_path, environ={"http_proxy": proxy.host}, insecure_registries=["registry.example"])
            with pytest.raises(Denied, match="private network"):
                store.pull("registry.example/ai/model")
        assert inside.requests == []


def test_https_never_falls_to_http() -> None:
    public = cast(Answer, SimpleNamespace(url="https://registry.example/v2/", is_public=True))
    with pytest.raises(Denied, match="from https to http"):
        Http({}).get_as_told("http://registry.example/token", public)


def test_credentials_are_not_forwarded_to_another_host(registry: Registry, tmp_path: Path) -> None:
    with scripted_server(lambda request: Reply(body=CONTENT)) as storage:

        def guarded(request: Request) -> Reply:
            if request.headers.get("Authorization") != basic_authorization():
                return Reply(401, {"WWW-Authenticate": 'Basic realm="models"'})
            if request.path.endswith(DIGEST):
                return Reply(307, {"Location": f"http://{storage.host}/bucket/object"})
            return proxied(registry, request)

        with scripted_server(guarded) as front:
            environ = docker_login(tmp_path / "docker", front.host)
            model = new_store(tmp_path / "store", environ=environ).pull(f"{front.host}/ai/model")
    assert model.path.read_bytes() == CONTENT
    assert len(storage.requests) == 1
    assert "Authorization" not in storage.requests[0].headers
    assert all("Authorization" in request.headers for request in front.requests[1:])


def test_a_token_service_elsewhere_does_not_get_the_password(tmp_path: Path) -> None:
    """The registry is 127.0.0.1 and names a service on `localhost`: another host, as far as names tell."""
    with scripted_server(lambda request: Reply(200, {}, b'{"token": "anonymous"}')) as thief:
        realm = f"http://localhost:{thief.host.partition(':')[2]}/token"
        challenge = Reply(401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'})
        with scripted_server(lambda request: challenge) as front:
            environ = docker_login(tmp_path / "docker", front.host)
            with pytest.raises(Denied, match="docker login"):
                new_store(tmp_path / "store", environ=environ).pull(f"{front.host}/ai/model")
    assert thief.requests
    assert all("Authorization" not in request.headers for request in thief.requests)


def test_a_proxy_is_used_for_others_and_not_for_this_host(registry: Registry, tmp_path: Path) -> None:
    def proxy(request: Request) -> Reply:
        path = request.path.removeprefix("http://registry.example")
        return proxied(registry, request._replace(path=path))

    with scripted_server(proxy) as server:
        environ = {"http_proxy": f"http://me:p%40ss@{server.host}", "NO_PROXY": "other.example"}
        options: dict[str, Any] = {"environ": environ, "insecure_registries": ["registry.example"]}
        model = new_store(tmp_path / "a", **options).pull("registry.example/ai/model")
        assert model.path.read_bytes() == CONTENT
        assert server.requests[0].path == "http://registry.example/v2/ai/model/manifests/latest"
        assert server.requests[0].headers["Proxy-Authorization"] == basic_authorization("me", "p@ss")
        asked = len(server.requests)
        new_store(tmp_path / "b", **options).pull(f"{registry.host}/ai/model")
        assert len(server.requests) == asked


def test_a_real_model_survives_many_cuts(registry: Registry, tmp_path: Path) -> None:
    manifest = registry.push("ai/smollm2", [Layer(parts.smollm2())])
    layer = json.loads(registry.blob_file(manifest).read_bytes())["layers"][0]["digest"]

    def cutting(request: Request) -> Reply:
        whole = proxied(registry, request)
        return whole._replace(cut_after=20_000_000) if request.path.endswith(layer) else whole

    with scripted_server(cutting) as front:
        model = new_store(tmp_path).pull(f"{front.host}/ai/smollm2")
        requests = [request for request in front.requests if request.path.endswith(layer)]
    assert model.path.read_bytes() == parts.smollm2().read_bytes()
    assert len(requests) == -(-model.size // 20_000_000)
