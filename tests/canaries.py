"""Secrets that a test plants, and the search for them in whatever came out, also in the disguises programs like."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

NAMES = (
    *("cloud key", "hub token", "ci token", "database password", "registry password", "docker password", "hub file"),
    *("cloud file", "env file", "service file", "remote password", "server environment"),
)


def secret(name: str) -> str:
    """The canary of this name: the same in every run, and unlike anything else."""
    return f"canary+{base64.b32encode(name.encode()).decode().strip('=').lower()}/0x"


SECRETS: Mapping[str, str] = {name: secret(name) for name in NAMES}


def found(data: bytes, secrets: Mapping[str, str] = SECRETS) -> list[str]:
    """The names of those that are in there, as they are, URL-encoded, in hexadecimal or in Base64."""
    return [name for name, text in secrets.items() if any(form in data for form in disguises(text))]


def disguises(text: str) -> Iterator[bytes]:
    raw = text.encode()
    yield raw
    yield quote(text, safe="").encode()
    yield raw.hex().encode()
    for shift in range(3):  # wherever in a longer text it begins: the whole groups of three bytes in its middle
        inner = raw[(3 - shift) % 3 :]
        whole = inner[: len(inner) // 3 * 3]
        yield base64.b64encode(whole)
        yield base64.urlsafe_b64encode(whole)


def found_in_files(folder: Path, *, apart_from: Iterator[Path] | tuple[Path, ...] = ()) -> list[tuple[str, str]]:
    """Files below a folder with a canary in them or in their name, and which one."""
    known = {path.resolve() for path in apart_from}
    bad = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.resolve() not in known:
            bad += [(str(path.relative_to(folder)), name) for name in found(path.read_bytes() + os.fsencode(path))]
    return bad
