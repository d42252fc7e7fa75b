"""Docker's own credentials: `config.json` and the `docker-credential-…` helpers it names.

A credential is looked up by the host it was stored for and handed out for that host only. The variables
`DOCKER_USERNAME` and `DOCKER_PASSWORD` are not read: they belong to no host, and would go to any.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HELPER_TIMEOUT_S = 10.0
LARGEST_CONFIG = 1 << 20
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name and password, or an identity token that is traded for access. Never shown."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def docker_config(environ: Mapping[str, str]) -> Path:
    """Where Docker's command keeps its configuration: `$DOCKER_CONFIG` or `~/.docker`."""
    folder = environ.get("DOCKER_CONFIG") or str(Path(environ.get("HOME") or "/nonexistent") / ".docker")
    return Path(folder) / "config.json"


def find_credential(host: str, environ: Mapping[str, str]) -> Credential | None:
    """What `docker login HOST` left behind; None means anonymous. A broken configuration is no credential."""
    config = _read(docker_config(environ))
    helpers = _mapping(config.get("credHelpers"))
    for key in _keys(host):
        helper = helpers.get(key)
        if isinstance(helper, str):
            return _ask_helper(helper, key, environ)
    auths = _mapping(config.get("auths"))
    store = config.get("credsStore")
    if isinstance(store, str) and store:
        for key in _keys(host):
            # Docker leaves an empty entry under `auths` for what the store holds; others are not worth a process.
            if (key in auths or not auths) and (found := _ask_helper(store, key, environ)):
                return found
    return next((found for key in _keys(host) if (found := _from_entry(auths.get(key)))), None)


def _keys(host: str) -> tuple[str, ...]:
    """Under which names Docker's versions have stored the credentials of a host."""
    if host == "docker.io":
        return ("https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io")
    return (host, f"https://{host}", f"http://{host}", f"https://{host}/", f"https://{host}/v1/", f"https://{host}/v2/")


def _read(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_CONFIG + 1)
        return _mapping(json.loads(content)) if len(content) <= LARGEST_CONFIG else {}
    except (OSError, ValueError, RecursionError):
        return {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _from_entry(entry: object) -> Credential | None:
    values = _mapping(entry)
    if token := _text(values.get("identitytoken")):
        return Credential(identity_token=token)
    if _text(values.get("username")) and _text(values.get("password")):
        return Credential(_text(values["username"]), _text(values["password"]))
    try:
        decoded = base64.b64decode(_text(values.get("auth")), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    username, colon, password = decoded.partition(":")
    return Credential(username, password.rstrip("\0")) if colon and username else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _ask_helper(name: str, server: str, environ: Mapping[str, str]) -> Credential | None:
    if not _HELPER.fullmatch(name):
        return None
    try:
        answer = subprocess.run(
            [f"docker-credential-{name}", "get"],
            input=server.encode(),
            capture_output=True,
            timeout=HELPER_TIMEOUT_S,
            env=dict(environ),
            check=False,
        )
        values = _mapping(json.loads(answer.stdout)) if answer.returncode == 0 else {}
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    username, secret = _text(values.get("Username")), _text(values.get("Secret"))
    if not secret:
        return None
    return Credential(identity_token=secret) if username == "<token>" else Credential(username, secret)
