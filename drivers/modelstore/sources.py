"""From a reference to the place that serves it, with the credentials that belong there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from drivers.errors import Rejected
from drivers.modelstore.artifact import Source
from drivers.modelstore.credentials import find_credential
from drivers.modelstore.hub import Hub
from drivers.modelstore.net import Http
from drivers.modelstore.oci import Registry
from drivers.modelstore.reference import Kind, Reference

LONGEST_TOKEN = 4096


def open_source(
    reference: Reference, environ: Mapping[str, str], *, insecure: Collection[str], hub: tuple[str, str]
) -> Source:
    """The registry, or the Hub at `hub` (base URL, default revision)."""
    http = Http(environ)
    if reference.kind is Kind.OCI:
        return Registry(reference, http, lambda host: find_credential(host, environ), insecure=insecure)
    if reference.kind is Kind.HF:
        return Hub(reference, http, token=hub_token(environ), base=hub[0], revision=hub[1])
    raise Rejected(f"{reference} is not there, and nothing can be pulled for a `file:` reference")


def hub_token(environ: Mapping[str, str]) -> str | None:
    """The Hub's access token where its own tools look for it: HF_TOKEN, HF_TOKEN_PATH, `$HF_HOME/token`."""
    if token := environ.get("HF_TOKEN", "").strip():
        return token
    home = environ.get("HF_HOME") or str(Path(environ.get("HOME") or "/nonexistent") / ".cache" / "huggingface")
    path = Path(environ.get("HF_TOKEN_PATH") or Path(home) / "token")
    try:
        with path.open(encoding="ascii") as file:
            token = file.read(LONGEST_TOKEN).strip()
    except (OSError, UnicodeDecodeError):
        return None
    return token if token.isprintable() and token else None
