"""Models from OCI registries: Docker's model artifacts (v0.1, v0.2) and CNCF's, over the distribution protocol.

Formats as docker/model-runner writes them (`pkg/distribution/types`); protocol and tokens as in
https://distribution.github.io/distribution/spec/auth/token/.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from drivers.errors import Denied, DriverError, Rejected, Unavailable
from drivers.modelstore.artifact import Artifact, RemoteFile
from drivers.modelstore.credentials import Credential
from drivers.modelstore.manifest import (
    CONFIGS,
    INDEXES,
    MANIFESTS,
    Layer,
    files_of,
    is_index,
    layer_of,
    mapping,
    sequence,
)
from drivers.modelstore.net import Answer, Http, is_loopback
from drivers.modelstore.reference import Reference, is_digest

LARGEST_MANIFEST = 4 << 20
LARGEST_CONFIG = 1 << 20
LARGEST_TOKEN = 1 << 20

_NEVER = frozenset({400, 405, 410, 415, 422, 451})
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class Registry:
    """One repository of one registry, as a `Source`. `credentials` is asked for the registry's own host only.

    `insecure` names hosts, with their ports, that are asked over http; this host's own loopback always is. Nobody else:
    whoever in the network answers to a name, such as one under `.local`, would be told the password.
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
        plain = host in insecure or is_loopback(urlsplit(f"//{host}").hostname or "")
        self._base = f"{'http' if plain else 'https'}://{host}/v2/{reference.repository}"
        self._authorization: str | None = None

    def resolve(self) -> Artifact:
        """Read manifest and configuration. Rejected where it is no model that llama.cpp can serve."""
        wanted = self._reference.digest or self._reference.tag or "latest"
        manifest, digest = self._manifest(wanted)
        if is_index(manifest):
            manifest, digest = self._manifest(self._pick(manifest))
        config = layer_of(manifest.get("config"))
        if config.media_type not in CONFIGS:
            raise Rejected(
                f"{self._reference} is no model artifact but {config.media_type or 'something unnamed'}; expected are "
                "Docker's (application/vnd.docker.ai.model.config) and CNCF's (application/vnd.cncf.model.config)"
            )
        files = tuple(files_of(self._reference, manifest))
        return Artifact(digest=digest, files=files, context_size=self._context_size(config))

    def open(self, file: RemoteFile, headers: Mapping[str, str]) -> Answer:
        """Begin to read a layer."""
        return self._get(f"blobs/{file.location}", headers)

    def _manifest(self, wanted: str) -> tuple[Mapping[str, Any], str]:
        with self._get(f"manifests/{quote(wanted, safe=':')}", {"Accept": ", ".join(MANIFESTS + INDEXES)}) as answer:
            content = answer.text(LARGEST_MANIFEST)
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        if is_digest(wanted) and digest != wanted:
            raise Unavailable(f"{self._reference.host} sent a manifest that does not match its digest {wanted}")
        return _json(content, f"the manifest of {self._reference}"), digest

    def _pick(self, index: Mapping[str, Any]) -> str:
        """One manifest of an index: a model has no platform, so the first that claims none, else the first."""
        entries = [mapping(entry) for entry in sequence(index.get("manifests"))]
        entries.sort(key=lambda entry: mapping(entry.get("platform")).get("os", "unknown") != "unknown")
        digest = entries[0].get("digest") if entries else None
        if not isinstance(digest, str) or not is_digest(digest):
            raise Rejected(f"{self._reference} is an index without a usable manifest")
        return digest

    def _context_size(self, config: Layer) -> int | None:
        if config.size > LARGEST_CONFIG:
            raise Rejected(f"{self._reference} has a configuration of {config.size} bytes")
        with self._get(f"blobs/{config.digest}", {}) as answer:
            content = answer.text(LARGEST_CONFIG)
        if hashlib.sha256(content).hexdigest() != config.digest.removeprefix("sha256:"):
            raise Unavailable(f"{self._reference.host} sent a configuration that does not match its digest")
        size = mapping(_json(content, f"the configuration of {self._reference}").get("config")).get("context_size")
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
        if status in _NEVER:
            return Rejected(f"{host} will not serve {self._reference}: HTTP {status}")
        wait = answer.retry_after_s()
        if status == 429:
            return Unavailable(
                f"{host} answers too many requests; `docker login {host}` may raise the limit", retry_after_s=wait
            )
        return Unavailable(f"{host} answered HTTP {status} for {self._reference}", retry_after_s=wait)


def _belongs(realm: str | None, registry: str | None) -> bool:
    """Whether a token service may see a registry's password: the same host, or a sibling below the same domain."""
    if not realm or not registry:
        return False
    parent = registry.partition(".")[2]
    return realm == registry or ("." in parent and (realm == parent or realm.endswith("." + parent)))


def _json(content: bytes, what: str) -> Mapping[str, Any]:
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        raise Unavailable(f"{what} is no JSON") from None
    if not isinstance(values, dict):
        raise Unavailable(f"{what} is no JSON object")
    return values
