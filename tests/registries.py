"""A real OCI registry on a free port, a token service that it trusts, and pushing models to it as Docker does."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests import parts
from tests.scripted import Reply, Request, Scripted, scripted_server

USER, PASSWORD = "reader", "correct horse"
# As `htpasswd -nbB` writes it for the two above; the registry knows bcrypt only.
HTPASSWD = "reader:$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2"

DOCKER = "application/vnd.docker.ai."
CNCF = "application/vnd.cncf.model."
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Layer(NamedTuple):
    """A file of an artifact: bytes or a path, its media type and, where the format has it, its name."""

    content: bytes | Path
    media_type: str = DOCKER + "gguf.v3"
    path: str = ""


class Registry(NamedTuple):
    """A running registry."""

    host: str
    """`127.0.0.1:PORT`."""
    folder: Path
    log: Path

    def push(
        self,
        repository: str,
        layers: Sequence[Layer],
        *,
        tag: str = "latest",
        config: Mapping[str, Any] | None = None,
        config_type: str = DOCKER + "model.config.v0.1+json",
        authorization: str | None = None,
    ) -> str:
        """Push a model artifact; the manifest's digest."""
        send = _Sender(self.host, repository, authorization)
        described = [_describe(layer, send.blob(layer.content)) for layer in layers]
        diff_ids = [entry["digest"] for entry in described]
        content = {"config": {"format": "gguf", **(config or {})}, "rootfs": {"type": "rootfs", "diff_ids": diff_ids}}
        digest, size = send.blob(json.dumps(content).encode())
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": config_type, "digest": digest, "size": size},
            "layers": described,
        }
        return send.manifest(tag, manifest)

    def put_manifest(self, repository: str, tag: str, manifest: Mapping[str, Any]) -> str:
        """Push any manifest; its digest."""
        return _Sender(self.host, repository, None).manifest(tag, manifest)

    def put_blob(self, repository: str, content: bytes) -> tuple[str, int]:
        """Push a blob; digest and size."""
        return _Sender(self.host, repository, None).blob(content)

    def blob_file(self, digest: str) -> Path:
        """Where the registry keeps a blob, for spoiling it."""
        name = digest.removeprefix("sha256:")
        return self.folder / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"


@contextmanager
def running_registry(folder: Path, *, auth: Mapping[str, Any] | None = None) -> Iterator[Registry]:
    """The real registry, with its files in `folder` and the given `auth` section."""
    binary = parts.registry()
    port = _free_port()
    settings: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder)}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if auth:
        settings["auth"] = dict(auth)
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "registry.json"
    configuration.write_text(json.dumps(settings))  # JSON is YAML
    log = folder / "registry.log"
    with log.open("wb") as output:
        process = subprocess.Popen([binary, "serve", configuration], stdout=output, stderr=output)
    try:
        _wait_for(port, process, log)
        yield Registry(f"127.0.0.1:{port}", folder, log)
    finally:
        process.terminate()
        process.wait(timeout=10)


def basic_auth(folder: Path) -> Mapping[str, Any]:
    """The `auth` section that asks for USER and PASSWORD."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "htpasswd"
    path.write_text(HTPASSWD + "\n")
    return {"htpasswd": {"realm": "models", "path": str(path)}}


def docker_login(folder: Path, host: str, user: str = USER, password: str = PASSWORD) -> Mapping[str, str]:
    """What `docker login` leaves behind, as the environment that points to it."""
    folder.mkdir(parents=True, exist_ok=True)
    entry = {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
    (folder / "config.json").write_text(json.dumps({"auths": {host: entry}}))
    return {"DOCKER_CONFIG": str(folder)}


@contextmanager
def token_service(folder: Path) -> Iterator[tuple[Scripted, Mapping[str, Any]]]:
    """A token service that signs real tokens for USER and PASSWORD, and the `auth` section that trusts it."""
    folder.mkdir(parents=True, exist_ok=True)
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tokens"]
    subprocess.run(["openssl", *request, "-keyout", key, "-out", certificate], check=True, capture_output=True)

    def answer(request: Request) -> Reply:
        if request.headers.get("Authorization") != basic_authorization():
            return Reply(401, {}, b'{"details": "incorrect username or password"}')
        scope = parse_qs(urlsplit(request.path).query)["scope"][0]
        return Reply(200, {}, json.dumps({"token": _signed(key, certificate, scope)}).encode())

    with scripted_server(answer) as service:
        yield (
            service,
            {
                "token": {
                    "realm": f"http://{service.host}/token",
                    "service": "models",
                    "issuer": "tokens",
                    "rootcertbundle": str(certificate),
                }
            },
        )


def basic_authorization(user: str = USER, password: str = PASSWORD) -> str:
    """The header of USER and PASSWORD."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _signed(key: Path, certificate: Path, scope: str) -> str:
    kind, name, actions = scope.split(":")
    chain = "".join(line for line in certificate.read_text().splitlines() if "-----" not in line)
    now = int(time.time())
    claims = {
        "iss": "tokens", "sub": USER, "aud": "models", "iat": now, "nbf": now - 60, "exp": now + 300, "jti": "1",
        "access": [{"type": kind, "name": name, "actions": actions.split(",")}],
    }  # fmt: skip
    header = {"typ": "JWT", "alg": "RS256", "x5c": [chain]}
    text = ".".join(_url64(json.dumps(part).encode()) for part in (header, claims))
    signing = ["openssl", "dgst", "-sha256", "-sign", str(key)]
    signature = subprocess.run(signing, input=text.encode(), capture_output=True, check=True).stdout
    return f"{text}.{_url64(signature)}"


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def proxied(registry: Registry, request: Request) -> Reply:
    """What the registry answers to this request; for a server that stands in front of it."""
    connection = http.client.HTTPConnection(registry.host, timeout=30)
    try:
        kept = {k: v for k, v in request.headers.items() if k.lower() in ("accept", "range")}
        connection.request("GET", request.path, headers=kept)
        response = connection.getresponse()
        kept = {
            k: v for k, v in response.getheaders() if k in ("Content-Type", "Content-Range", "Docker-Content-Digest")
        }
        return Reply(response.status, kept, response.read())
    finally:
        connection.close()


class _Sender:
    def __init__(self, host: str, repository: str, authorization: str | None) -> None:
        self._host, self._repository = host, repository
        self._headers = {"Authorization": authorization} if authorization else {}

    def blob(self, content: bytes | Path) -> tuple[str, int]:
        data = content.read_bytes() if isinstance(content, Path) else content
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        place = urlsplit(self._ask("POST", f"/v2/{self._repository}/blobs/uploads/", b"", {}, 202)["Location"])
        query = f"{place.query}&" if place.query else ""
        kind = {"Content-Type": "application/octet-stream"}
        self._ask("PUT", f"{place.path}?{query}digest={digest}", data, kind, 201)
        return digest, len(data)

    def manifest(self, tag: str, manifest: Mapping[str, Any]) -> str:
        data = json.dumps(manifest).encode()
        kind = {"Content-Type": str(manifest["mediaType"])}
        self._ask("PUT", f"/v2/{self._repository}/manifests/{tag}", data, kind, 201)
        return "sha256:" + hashlib.sha256(data).hexdigest()

    def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str], expected: int) -> Mapping[str, str]:
        connection = http.client.HTTPConnection(self._host, timeout=60)
        try:
            connection.request(method, path, body, {**self._headers, **headers})
            response = connection.getresponse()
            text = response.read()
            assert response.status == expected, f"{method} {path}: {response.status} {text[:500]!r}"
            return dict(response.getheaders())
        finally:
            connection.close()


def _describe(layer: Layer, blob: tuple[str, int]) -> dict[str, Any]:
    entry: dict[str, Any] = {"mediaType": layer.media_type, "digest": blob[0], "size": blob[1]}
    if layer.path:
        entry["annotations"] = {"org.cncf.model.filepath": layer.path}
    return entry


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        assert process.poll() is None, f"the registry ended: {log.read_text()[-2000:]}"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/v2/")
            connection.getresponse()
            return
        except ConnectionError:
            threading.Event().wait(0.05)
        finally:
            connection.close()
    raise AssertionError(f"the registry does not answer: {log.read_text()[-2000:]}")
