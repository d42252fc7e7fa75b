"""Pulling models from a real registry: what is fetched, how it is remembered, and what is refused."""

from __future__ import annotations

import hashlib
import json
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from drivers.errors import Denied, Rejected, Unavailable
from drivers.modelstore.net import Answer, Http
from drivers.modelstore.oci import Registry as OciRegistry
from drivers.modelstore.pull import PullState
from drivers.modelstore.reference import parse_reference
from drivers.modelstore.store import ModelStore
from tests import parts
from tests.ggufs import LLAMA, Tensor, gguf
from tests.registries import (
    CNCF,
    DOCKER,
    MANIFEST,
    Layer,
    Registry,
    basic_auth,
    basic_authorization,
    docker_login,
    proxied,
    running_registry,
    token_service,
)
from tests.scripted import Reply, Request, scripted_server

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TINY = gguf()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def new_store(root: Path, **options: Any) -> ModelStore:
    defaults: dict[str, Any] = {"environ": {}, "clock": lambda: NOON, "sleep": lambda s: threading.Event().wait(0.01)}
    return ModelStore(root, **{**defaults, **options})


def wait_until_over(store: ModelStore, reference: str) -> Any:
    for _ in range(3000):
        status = store.pull_status(reference)
        if status.state is not PullState.RUNNING:
            return status
        threading.Event().wait(0.02)
    raise AssertionError("the pull does not end")


def test_the_real_model_is_pulled_found_and_found_again(registry: Registry, tmp_path: Path) -> None:
    digest = registry.push("ai/smollm2", [Layer(parts.smollm2())], config={"context_size": 4096})
    reference = f"{registry.host}/AI/SmolLM2"
    store = new_store(tmp_path / "store")
    seen: list[tuple[int, int]] = []
    assert store.find(reference) is None
    model = store.pull(reference, lambda done, total: seen.append((done, total)))
    assert (model.digest, model.context_size, model.stored_at) == (digest, 4096, NOON)
    assert model.path.read_bytes() == parts.smollm2().read_bytes()
    assert model.header.block_count == 30
    assert seen[0][0] == 0
    assert seen[-1] == (model.size, model.size)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert new_store(tmp_path / "store").find(reference) == model, "another process finds the same"
    assert store.ls() == (model,)


def test_the_store_is_its_owners_alone(registry: Registry, tmp_path: Path) -> None:
    registry.push("ai/private", [Layer(TINY)])
    new_store(tmp_path / "store").pull(f"{registry.host}/ai/private")
    for path in [tmp_path / "store", *(tmp_path / "store").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_job_is_started_looked_at_and_done(registry: Registry, tmp_path: Path) -> None:
    registry.push("ai/job", [Layer(TINY)])
    store, reference = new_store(tmp_path), f"{registry.host}/ai/job"
    assert store.pull_status(reference).state is PullState.IDLE
    store.start_pull(reference)
    status = wait_until_over(store, reference)
    assert (status.state, status.done_bytes, status.total_bytes) == (PullState.DONE, len(TINY), len(TINY))
    store.remove(reference)
    assert store.pull_status(reference).state is PullState.IDLE, "the files decide, not what the job remembers"


def test_a_failed_job_says_why_and_can_be_started_again(registry: Registry, tmp_path: Path) -> None:
    store, reference = new_store(tmp_path), f"{registry.host}/ai/later"
    store.start_pull(reference)
    failed = wait_until_over(store, reference)
    assert failed.state is PullState.FAILED
    assert isinstance(failed.error, Rejected)
    assert "does not exist" in failed.detail
    registry.push("ai/later", [Layer(TINY)])
    store.start_pull(reference)
    assert wait_until_over(store, reference).state is PullState.DONE


def test_every_file_of_a_docker_artifact_is_told_apart(registry: Registry, tmp_path: Path) -> None:
    projector = gguf({"general.architecture": "clip"})
    registry.push(
        "ai/vision",
        [
            Layer(b"Apache", DOCKER + "license"),
            Layer(TINY),
            Layer(projector, DOCKER + "mmproj"),
            Layer(b"{{ template }}", DOCKER + "chat.template.jinja"),
        ],
    )
    model = new_store(tmp_path).pull(f"{registry.host}/ai/vision")
    assert model.path.read_bytes() == TINY
    assert model.mmproj
    assert model.mmproj.read_bytes() == projector
    assert model.chat_template
    assert model.chat_template.read_bytes() == b"{{ template }}"
    assert model.size == len(TINY) + len(projector) + len(b"{{ template }}"), "the licence is not fetched"


@pytest.mark.parametrize(
    ("config_type", "layer"),
    [
        (CNCF + "config.v1+json", Layer(TINY, CNCF + "weight.v1.gguf", "model.gguf")),
        (CNCF + "config.v1+json", Layer(TINY, CNCF + "weight.v1.raw", "weights/model.gguf")),
        (DOCKER + "model.config.v0.2+json", Layer(TINY, DOCKER + "model.file", "model.gguf")),
        (DOCKER + "model.config.v0.2+json", Layer(TINY, DOCKER + "gguf.v3", "model.gguf")),
    ],
)
def test_the_other_formats_are_understood(registry: Registry, tmp_path: Path, config_type: str, layer: Layer) -> None:
    registry.push("team/other", [layer], config_type=config_type)
    assert new_store(tmp_path).pull(f"{registry.host}/team/other").path.read_bytes() == TINY


@pytest.mark.parametrize("named", [True, False])
def test_a_split_model_lies_under_names_that_llama_cpp_follows(registry: Registry, tmp_path: Path, named: bool) -> None:
    first = gguf({**LLAMA, "split.no": 0, "split.count": 2}, [Tensor("a", (64, 1))])
    second = gguf({"split.no": 1, "split.count": 2}, [Tensor("b", (64, 3))])
    layers = [Layer(first, path="x-00001-of-00002.gguf"), Layer(second, path="x-00002-of-00002.gguf")]
    registry.push("ai/split", layers[::-1] if named else [Layer(first), Layer(second)])
    store = new_store(tmp_path)
    model = store.pull(f"{registry.host}/ai/split")
    assert [path.name for path in model.paths] == ["model-00001-of-00002.gguf", "model-00002-of-00002.gguf"]
    assert [path.read_bytes() for path in model.paths] == [first, second]
    assert model.header.parameters == 256
    assert store.remove(model.reference).freed_bytes == len(first) + len(second)
    assert not model.path.exists()
    assert not model.path.parent.exists()


def test_a_digest_pins_what_a_tag_has_left_behind(registry: Registry, tmp_path: Path) -> None:
    old = registry.push("ai/moving", [Layer(TINY)])
    new_content = gguf({**LLAMA, "general.name": "Newer"})
    store, tagged = new_store(tmp_path), f"{registry.host}/ai/moving"
    assert store.pull(tagged).header.name == "Tiny"
    new = registry.push("ai/moving", [Layer(new_content)])
    assert store.pull(tagged).digest == old, "what is here is taken as it is"
    assert store.pull(tagged, refresh=True).digest == new
    assert store.pull(f"{tagged}@{old}").header.name == "Tiny"


def test_an_index_leads_to_its_model(registry: Registry, tmp_path: Path) -> None:
    digest = registry.push("ai/indexed", [Layer(TINY)], tag="inner")
    size = len((registry.blob_file(digest)).read_bytes())
    index_type = "application/vnd.oci.image.index.v1+json"
    entry = {"mediaType": MANIFEST, "digest": digest, "size": size}
    registry.put_manifest("ai/indexed", "latest", {"schemaVersion": 2, "mediaType": index_type, "manifests": [entry]})
    assert new_store(tmp_path).pull(f"{registry.host}/ai/indexed").digest == digest


@pytest.mark.parametrize(
    ("layers", "config_type", "why"),
    [
        ([Layer(TINY)], "application/vnd.oci.image.config.v1+json", "no model artifact"),
        ([Layer(b"x" * 9, DOCKER + "safetensors")], DOCKER + "model.config.v0.1+json", "no GGUF weights"),
        ([Layer(b"x" * 9, CNCF + "weight.v1.tar", "m.gguf")], CNCF + "config.v1+json", "no GGUF weights"),
        (
            [Layer(TINY, path="a.gguf"), Layer(TINY + b"\0", path="b.gguf")],
            DOCKER + "model.config.v0.1+json",
            "not the parts",
        ),
        ([Layer(b"no gguf at all, but long enough")], DOCKER + "model.config.v0.1+json", "begin with 'GGUF'"),
    ],
)
def test_what_cannot_be_served_is_rejected_and_leaves_nothing(
    registry: Registry, tmp_path: Path, layers: list[Layer], config_type: str, why: str
) -> None:
    registry.push("team/wrong", layers, config_type=config_type)
    store = new_store(tmp_path)
    with pytest.raises(Rejected, match=why):
        store.pull(f"{registry.host}/team/wrong")
    assert store.ls() == ()
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"urls": ["https://elsewhere.example/x"]}, "addresses of its own choice"),
        ({"digest": "sha256:../../../etc/passwd"}, "proper sha256 digest"),
        ({"digest": "md5:0"}, "proper sha256 digest"),
        ({"size": -1}, "proper size"),
        ({"size": 10 << 40}, "are allowed"),
    ],
)
def test_a_manifest_that_lies_is_rejected(registry: Registry, tmp_path: Path, change: dict[str, Any], why: str) -> None:
    digest = registry.push("ai/liar", [Layer(TINY)])
    manifest = json.loads(registry.blob_file(digest).read_bytes())
    manifest["layers"][0] |= change

    def answer(request: Request) -> Reply:
        if "/manifests/" in request.path:
            return Reply(200, {"Content-Type": MANIFEST}, json.dumps(manifest).encode())
        return proxied(registry, request)

    with scripted_server(answer) as front, pytest.raises(Rejected, match=why):
        new_store(tmp_path).pull(f"{front.host}/ai/liar")


def test_a_manifest_that_does_not_match_its_digest_is_refused(registry: Registry, tmp_path: Path) -> None:
    digest = registry.push("ai/pinned", [Layer(TINY)])
    other = json.dumps({**json.loads(registry.blob_file(digest).read_bytes()), "x": 1}).encode()
    with (
        scripted_server(lambda request: Reply(200, {"Content-Type": MANIFEST}, other)) as front,
        pytest.raises(Unavailable, match="a manifest that does not match its digest"),
    ):
        new_store(tmp_path).pull(f"{front.host}/ai/pinned@{digest}")


def test_a_configuration_that_does_not_match_its_digest_is_refused(registry: Registry, tmp_path: Path) -> None:
    digest = registry.push("ai/configured", [Layer(TINY)], config={"context_size": 1024})
    config = json.loads(registry.blob_file(digest).read_bytes())["config"]["digest"]
    forged = Reply(200, {}, b'{"config": {"context_size": 1000000}}')
    with (
        scripted_server(
            lambda request: forged if request.path.endswith(config) else proxied(registry, request)
        ) as front,
        pytest.raises(Unavailable, match="a configuration that does not match its digest"),
    ):
        new_store(tmp_path).pull(f"{front.host}/ai/configured")


def test_basic_credentials_come_from_docker_login(tmp_path: Path) -> None:
    with running_registry(tmp_path / "registry", auth=basic_auth(tmp_path / "auth")) as registry:
        registry.push("team/secret", [Layer(TINY)], authorization=basic_authorization())
        reference = f"{registry.host}/team/secret"
        with pytest.raises(Denied, match="docker login"):
            new_store(tmp_path / "a").pull(reference)
        with pytest.raises(Denied, match="docker login"):
            new_store(tmp_path / "a", environ=docker_login(tmp_path / "bad", registry.host, password="wrong")).pull(
                reference
            )
        environ = docker_login(tmp_path / "good", registry.host)
        assert new_store(tmp_path / "a", environ=environ).pull(reference).path.read_bytes() == TINY


class _NoWay(Http):
    """Goes nowhere; says where it was asked to go."""

    def get(self, url: str, headers: Mapping[str, str] | None = None, *, secret: str | None = None) -> Answer:
        raise Unavailable(url)


@pytest.mark.parametrize(
    ("host", "scheme"),
    [
        ("localhost:5000", "http"),
        ("127.0.0.1:5000", "http"),
        ("127.8.9.10", "http"),
        ("nas.lan:5000", "http"),  # as the operator said
        ("nas.lan:5001", "https"),
        ("printer.local", "https"),
        ("printer.local:5000", "https"),
        ("127.example.org", "https"),
        ("localhost.example.org", "https"),
        ("10.0.0.7:5000", "https"),
        ("docker.io", "https"),
    ],
)
def test_only_this_host_and_what_the_operator_named_is_asked_in_the_clear(host: str, scheme: str) -> None:
    """Any machine of a network can answer to a name under `.local`; it was once sent the password unencrypted."""
    registry = OciRegistry(parse_reference(f"{host}/ai/model"), _NoWay({}), lambda _: None, insecure={"nas.lan:5000"})
    with pytest.raises(Unavailable, match=f"^{scheme}://"):
        registry.resolve()


@pytest.mark.parametrize(("host", "through"), [("127.example.org", True), ("localhost", False), ("127.0.0.1", False)])
def test_only_this_host_is_asked_around_the_proxy(host: str, through: bool) -> None:
    proxy = Http({"http_proxy": "proxy.example:3128"})._proxy(urlsplit(f"http://{host}/v2/"))
    assert (proxy is not None) is through


def test_a_bearer_token_is_fetched_for_the_repository(tmp_path: Path) -> None:
    with (
        token_service(tmp_path / "tokens") as (service, auth),
        running_registry(tmp_path / "registry", auth=auth) as registry,
    ):
        environ = docker_login(tmp_path / "docker", registry.host)
        token = _token(service.host, "team/secret")
        registry.push("team/secret", [Layer(TINY)], authorization=f"Bearer {token}")
        reference = f"{registry.host}/team/secret"
        assert new_store(tmp_path / "a", environ=environ).pull(reference).path.read_bytes() == TINY
        assert "scope=repository%3Ateam%2Fsecret%3Apull" in service.requests[-1].path
        with pytest.raises(Denied, match="docker login"):
            new_store(tmp_path / "b").pull(reference)


def _token(host: str, repository: str) -> str:
    from http.client import HTTPConnection

    connection = HTTPConnection(host, timeout=30)
    path = f"/token?scope=repository:{repository}:pull,push"
    connection.request("GET", path, headers={"Authorization": basic_authorization()})
    token = json.loads(connection.getresponse().read())["token"]
    connection.close()
    return str(token)


def test_a_credential_helper_is_asked_for_its_host_only(tmp_path: Path) -> None:
    with running_registry(tmp_path / "registry", auth=basic_auth(tmp_path / "auth")) as registry:
        registry.push("team/secret", [Layer(TINY)], authorization=basic_authorization())
        helper = tmp_path / "bin" / "docker-credential-test"
        helper.parent.mkdir()
        helper.write_text(
            f'#!/bin/sh\nread server; echo "$server" >> {tmp_path}/asked\n'
            f'[ "$server" = {registry.host} ] && echo \'{{"Username": "reader", "Secret": "correct horse"}}\'\n'
        )
        helper.chmod(0o755)
        (tmp_path / "config.json").write_text(
            json.dumps({"credHelpers": {registry.host: "test", "other.example": "test"}})
        )
        environ = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{helper.parent}:/usr/bin:/bin"}
        assert new_store(tmp_path / "a", environ=environ).pull(f"{registry.host}/team/secret").size == len(TINY)
        assert set((tmp_path / "asked").read_text().split()) == {registry.host}


def test_two_processes_at_once_make_one_download(registry: Registry, tmp_path: Path) -> None:
    digest = registry.push("ai/shared", [Layer(parts.smollm2())])
    layer = json.loads(registry.blob_file(digest).read_bytes())["layers"][0]["digest"]
    both_know = threading.Barrier(2)

    def answer(request: Request) -> Reply:
        if "/manifests/" in request.path:
            both_know.wait(timeout=60)  # neither begins before the other has resolved the reference
        return proxied(registry, request)

    with scripted_server(answer) as front:
        script = (
            "import sys; from pathlib import Path; from drivers.modelstore.store import ModelStore\n"
            "print(ModelStore(Path(sys.argv[1]), environ={}).pull(sys.argv[2]).path)"
        )
        command = [sys.executable, "-c", script, str(tmp_path), f"{front.host}/ai/shared"]
        pulls = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        paths = {pull.communicate(timeout=100)[0].strip() for pull in pulls}
        fetched = [request for request in front.requests if request.path.endswith(layer)]
    assert [pull.returncode for pull in pulls] == [0, 0]
    assert len(paths) == 1
    content = hashlib.sha256(Path(paths.pop()).read_bytes()).hexdigest()
    assert content == layer.removeprefix("sha256:")
    assert len(fetched) == 1
