"""Models from OCI registries: Docker's model artifacts (v0.1, v0.2) and CNCF's, over the distribution protocol.

Formats as docker/model-runner writes them (`pkg/distribution/types`); protocol and tokens as in
https://distribution.github.io/distribution/spec/auth/token/.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from drivers.errors import Denied, DriverError, Rejected, Unavailable
from drivers.modelstore.artifact import Artifact, RemoteFile, Role
from drivers.modelstore.credentials import Credential
from drivers.modelstore.gguf import shard_names
from drivers.modelstore.net import Answer, Http
from drivers.modelstore.reference import Reference, is_digest

LARGEST_MANIFEST = 4 << 20
LARGEST_CONFIG = 1 << 20
LARGEST_TOKEN = 1 << 20
MOST_LAYERS = 4096

_MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_CONFIGS = frozenset(
    {
        "application/vnd.docker.ai.model.config.v0.1+json",
        "application/vnd.docker.ai.model.config.v0.2+json",
        "application/vnd.cncf.model.config.v1+json",
    }
)
_DOCKER, _CNCF = "application/vnd.docker.ai.", "application/vnd.cncf.model."
_PATHS = ("org.cncf.model.filepath", "org.opencontainers.image.title")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class Registry:
    """One repository of one registry, as a `Source`. `credentials` is asked for the registry's own host only.

    `insecure` names hosts that are asked over http; this host's own (`localhost`, `127.…`, `*.local`) always are.
    """

    def __init__(
        self,
        reference: Reference,
        http: Http,
        credentials: Callable[[str], Credential | None],
        *,
        insecure: Collection[str] = (),
    ) -> None:
        self._reference = reference
        self._http = http
        self._credentials = credentials
        host = "registry-1.docker.io" if reference.host == "docker.io" else reference.host
        self._base = f"{'http' if _is_http(host, insecure) else 'https'}://{host}/v2/{reference.repository}"
        self._authorization: str | None = None

    def resolve(self) -> Artifact:
        """Read manifest and configuration. Rejected where it is no model that llama.cpp can serve."""
        wanted = self._reference.digest or self._reference.tag or "latest"
        manifest, digest = self._manifest(wanted)
        if _is_index(manifest):
            manifest, digest = self._manifest(self._pick(manifest))
        config = _descriptor(manifest.get("config"))
        if config.media_type not in _CONFIGS:
            raise Rejected(
                f"{self._reference} is no model artifact but {config.media_type or 'something unnamed'}; expected are "
                "Docker's (application/vnd.docker.ai.model.config) and CNCF's (application/vnd.cncf.model.config)"
            )
        files = tuple(_files(self._reference, manifest))
        return Artifact(digest=digest, files=files, context_size=self._context_size(config))

    def open(self, file: RemoteFile, headers: Mapping[str, str]) -> Answer:
        """Begin to read a layer."""
        return self._get(f"blobs/{file.location}", headers)

    def _manifest(self, wanted: str) -> tuple[Mapping[str, Any], str]:
        with self._get(f"manifests/{quote(wanted, safe=':')}", {"Accept": ", ".join(_MANIFESTS + _INDEXES)}) as answer:
            content = answer.text(LARGEST_MANIFEST)
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        if is_digest(wanted) and digest != wanted:
            raise Unavailable(f"{self._reference.host} sent a manifest that does not match its digest {wanted}")
        return _json(content, f"the manifest of {self._reference}"), digest

    def _pick(self, index: Mapping[str, Any]) -> str:
        """One manifest of an index: a model has no platform, so the first that claims none, else the first."""
        entries = [_mapping(entry) for entry in _sequence(index.get("manifests"))]
        entries.sort(key=lambda entry: _mapping(entry.get("platform")).get("os", "unknown") != "unknown")
        digest = entries[0].get("digest") if entries else None
        if not isinstance(digest, str) or not is_digest(digest):
            raise Rejected(f"{self._reference} is an index without a usable manifest")
        return digest

    def _context_size(self, config: RemoteLayer) -> int | None:
        if config.size > LARGEST_CONFIG:
            raise Rejected(f"{self._reference} has a configuration of {config.size} bytes")
        with self._get(f"blobs/{config.digest}", {}) as answer:
            content = answer.text(LARGEST_CONFIG)
        if hashlib.sha256(content).hexdigest() != config.digest.removeprefix("sha256:"):
            raise Unavailable(f"{self._reference.host} sent a configuration that does not match its digest")
        size = _mapping(_json(content, f"the configuration of {self._reference}").get("config")).get("context_size")
        return size if isinstance(size, int) and not isinstance(size, bool) and size > 0 else None

    def _get(self, path: str, headers: Mapping[str, str]) -> Answer:
        answer = self._http.get(f"{self._base}/{path}", headers, secret=self._authorization)
        if answer.status == 401:
            # Also in the middle of a long transfer: tokens live for minutes, models take hours.
            self._authorization = self._authorize(answer)
            answer.close()
            if self._authorization:
                answer = self._http.get(f"{self._base}/{path}", headers, secret=self._authorization)
        if answer.status in (200, 206, 416):
            return answer
        answer.close()
        raise self._error(answer)

    def _authorize(self, answer: Answer) -> str | None:
        """What the challenge asks for: basic credentials, or a token from the service that it names."""
        credential = self._credentials(self._reference.host)
        for challenge in answer.headers("WWW-Authenticate"):
            scheme, _, rest = challenge.partition(" ")
            parameters = {name.lower(): value for name, value in _CHALLENGE.findall(rest)}
            if scheme.lower() == "bearer" and parameters.get("realm"):
                return self._token(answer, parameters, credential)
            if scheme.lower() == "basic" and credential and credential.password:
                return credential.basic()
        return None

    def _token(self, answer: Answer, parameters: Mapping[str, str], credential: Credential | None) -> str | None:
        realm = parameters["realm"]
        if credential and not _belongs(urlsplit(realm).hostname, urlsplit(self._base).hostname):
            # The password of one host must not be had by another that its registry merely names.
            credential = None
        scope = parameters.get("scope") or f"repository:{self._reference.repository}:pull"
        query = {"service": parameters.get("service", ""), "scope": scope}
        if credential and credential.identity_token:
            form = {"grant_type": "refresh_token", "refresh_token": credential.identity_token, "client_id": "cmr"}
            reply = self._http.get_as_told(realm, answer, body=urlencode(query | form).encode())
        else:
            separator = "&" if "?" in realm else "?"
            secret = credential.basic() if credential and credential.password else None
            reply = self._http.get_as_told(f"{realm}{separator}{urlencode(query)}", answer, secret=secret)
        with reply:
            if reply.status != 200:
                raise self._error(reply)
            values = _json(reply.text(LARGEST_TOKEN), f"the token service of {self._reference.host}")
        token = values.get("token") or values.get("access_token")
        return f"Bearer {token}" if isinstance(token, str) and token.isascii() and token.isprintable() else None

    def _error(self, answer: Answer) -> DriverError:
        host, status = self._reference.host, answer.status
        if status == 404:
            return Rejected(f"{self._reference} does not exist at {host}")
        if status == 401:
            return Denied(f"{self._reference} does not exist at {host} or needs credentials: `docker login {host}`")
        if status == 403:
            return Denied(f"{host} does not let these credentials read {self._reference}: `docker login {host}`")
        wait = answer.retry_after_s()
        if status == 429:
            return Unavailable(
                f"{host} answers too many requests; `docker login {host}` may raise the limit", retry_after_s=wait
            )
        return Unavailable(f"{host} answered HTTP {status} for {self._reference}", retry_after_s=wait)


class RemoteLayer:
    """A descriptor of a manifest, checked."""

    __slots__ = ("digest", "media_type", "path", "size")

    def __init__(self, media_type: str, digest: str, size: int, path: str) -> None:
        self.media_type, self.digest, self.size, self.path = media_type, digest, size, path


def _is_http(host: str, insecure: Collection[str]) -> bool:
    name = host.partition(":")[0]
    return name == "localhost" or name.startswith("127.") or name.endswith(".local") or host in insecure


def _belongs(realm: str | None, registry: str | None) -> bool:
    """Whether a token service may see a registry's password: the same host, or a sibling below the same domain."""
    if not realm or not registry:
        return False
    parent = registry.partition(".")[2]
    return realm == registry or ("." in parent and (realm == parent or realm.endswith("." + parent)))


def _is_index(manifest: Mapping[str, Any]) -> bool:
    return manifest.get("mediaType") in _INDEXES or ("manifests" in manifest and "layers" not in manifest)


def _files(reference: Reference, manifest: Mapping[str, Any]) -> Iterable[RemoteFile]:
    layers = [_descriptor(entry) for entry in _sequence(manifest.get("layers"))]
    if len(layers) > MOST_LAYERS:
        raise Rejected(f"{reference} has {len(layers)} layers")
    named = [(role, layer) for layer in layers if (role := _role(layer))]
    weights = [layer for role, layer in named if role is Role.WEIGHTS]
    if not weights:
        held = sorted({layer.media_type for layer in layers})
        raise Rejected(
            f"{reference} holds no GGUF weights, which llama.cpp needs; it holds {', '.join(held) or 'nothing'}"
        )
    for layer in _in_order(reference, weights):
        yield _remote(Role.WEIGHTS, layer)
    for single in (Role.MMPROJ, Role.CHAT_TEMPLATE):
        found = next((layer for role, layer in named if role is single), None)
        if found:
            yield _remote(single, found)


def _role(layer: RemoteLayer) -> Role | None:
    """What a layer is; None for licences, documents and whatever else a server does not read."""
    path, kind = layer.path.lower(), layer.media_type
    if kind in (f"{_DOCKER}gguf.v3", f"{_CNCF}weight.v1.gguf"):
        return Role.MMPROJ if "mmproj" in path else Role.WEIGHTS
    if kind in (f"{_DOCKER}mmproj", f"{_DOCKER}gguf.v3.mmproj"):
        return Role.MMPROJ
    if kind == f"{_DOCKER}chat.template.jinja":
        return Role.CHAT_TEMPLATE
    if kind in (f"{_DOCKER}model.file", f"{_CNCF}weight.v1.raw", f"{_CNCF}weight.config.v1.raw"):
        if path.endswith(".gguf"):
            return Role.MMPROJ if "mmproj" in path else Role.WEIGHTS
        return Role.CHAT_TEMPLATE if path.endswith(".jinja") else None
    return None


def _in_order(reference: Reference, weights: list[RemoteLayer]) -> list[RemoteLayer]:
    """The parts of a split model, first part first, as their names say; without names, as the manifest has them."""
    if len(weights) == 1 or not all(layer.path for layer in weights):
        return weights
    by_name = {layer.path.rpartition("/")[2]: layer for layer in weights}
    expected = shard_names(min(by_name))
    if set(expected) != set(by_name):
        raise Rejected(f"{reference} holds {len(weights)} GGUF files that are not the parts of one model")
    return [by_name[name] for name in expected]


def _remote(role: Role, layer: RemoteLayer) -> RemoteFile:
    return RemoteFile(role=role, digest=layer.digest, size=layer.size, location=layer.digest)


def _descriptor(entry: object) -> RemoteLayer:
    values = _mapping(entry)
    digest, size = values.get("digest"), values.get("size")
    if not isinstance(digest, str) or not is_digest(digest):
        raise Rejected("the manifest has a descriptor without a proper sha256 digest: refused")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise Rejected(f"the manifest gives no proper size for {digest}: refused")
    if values.get("urls"):
        raise Rejected(f"the manifest has {digest} fetched from addresses of its own choice: refused")
    annotations = _mapping(values.get("annotations"))
    path = next((str(annotations[key]) for key in _PATHS if annotations.get(key)), "")
    return RemoteLayer(str(values.get("mediaType", "")), digest, size, path)


def _json(content: bytes, what: str) -> Mapping[str, Any]:
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        raise Unavailable(f"{what} is no JSON") from None
    if not isinstance(values, dict):
        raise Unavailable(f"{what} is no JSON object")
    return values


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _sequence(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
