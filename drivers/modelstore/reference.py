"""Model references: the text under `model:` → where that model lives, normalised as Docker Model Runner does it.

    smollm2                      docker.io/ai/smollm2:latest
    ai/smollm2:135M-Q4_0         docker.io/ai/smollm2:135M-Q4_0        the name is lower-cased, the tag keeps its case
    ghcr.io/me/chat@sha256:…     ghcr.io/me/chat@sha256:…              a digest wins over a tag
    hf.co/Org/Repo:q4_k_m        huggingface.co/org/repo:Q4_K_M        the Hub is asked in the original case
    file:/srv/models/x.gguf      file:/srv/models/x.gguf               served in place, where the operator allows

Pure and cheap: imported at every start.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

LONGEST = 1024
"""Characters; beyond any real reference, short enough to refuse nonsense before a regular expression sees it."""

_NAME_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOST_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_HUB_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_MODEL_ID = re.compile(r"(?:sha256:)?(?:[0-9a-f]{12}|[0-9a-f]{64})")

_DOCKER_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_HUGGING_FACE = frozenset({"hf.co", "huggingface.co", "www.huggingface.co"})
_METADATA_HOSTS = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "100.100.100.200", "168.63.129.16"}
)


class Kind(Enum):
    """Which protocol fetches it."""

    OCI = "oci"
    HF = "hf"
    FILE = "file"


class Reference(NamedTuple):
    """A parsed reference. Two texts that mean the same model have equal `canonical` texts."""

    kind: Kind
    host: str
    """`docker.io`, `registry.example:5000`, `huggingface.co`; empty for a file."""
    repository: str
    """`ai/smollm2`; for the Hub in its original case; for a file the absolute path."""
    tag: str | None
    """None where a digest says more, and for a file; for the Hub the quantisation in capitals, or `latest`."""
    digest: str | None
    """`sha256:` and 64 hex digits, or None."""
    canonical: str
    revision: str | None = None
    """The Hub's branch, tag or commit, where the reference names one."""

    def __str__(self) -> str:
        return self.canonical


def parse_reference(text: str) -> Reference:
    """What `model:` refers to. ValueError, in a sentence that can be shown, where it can mean nothing or harm."""
    given = text.strip()
    _refuse_nonsense(given)
    if given.lower().startswith("file:"):
        return _file(given)
    if "://" in given:
        raise ValueError(
            f"model reference {given!r} is a URL; leave the scheme away, as in 'registry.example/org/name:tag'"
        )
    if _MODEL_ID.fullmatch(given):
        raise ValueError(f"model reference {given!r} is the id of a local model; write its name, as in 'ai/smollm2'")
    host, path = _split_host(given)
    if host in _HUGGING_FACE:
        return _hub(given, path)
    return _oci(given, host, path)


def is_digest(text: str) -> bool:
    """True for `sha256:` and 64 lower-case hex digits, the only digest that may become a file name."""
    return _DIGEST.fullmatch(text) is not None


def _refuse_nonsense(given: str) -> None:
    if not given:
        raise ValueError("the model reference is empty; write one such as 'ai/smollm2'")
    authority, slash, _ = given.partition("://")[2].partition("/") if "://" in given else given.partition("/")
    if slash and "@" in authority:
        # First of all, and without repeating the text: it may hold a password.
        raise ValueError("the model reference has a user name before its host; leave it away and use `docker login`")
    if len(given) > LONGEST:
        raise ValueError(f"the model reference is longer than {LONGEST} characters")
    blank_is_fine = given.lower().startswith("file:")
    if not given.isprintable() or (" " in given and not blank_is_fine):
        raise ValueError(f"model reference {given!r} contains a blank or a control character")
    if ".." in given.replace("\\", "/").split("/"):
        raise ValueError(f"model reference {given!r} contains '..'")


def _file(given: str) -> Reference:
    path = given[len("file:") :]
    if path.startswith("///"):
        path = path[2:]  # file:///srv, the long form
    if not path.startswith("/") or path.startswith("//"):
        raise ValueError(f"model reference {given!r} must name an absolute path, as in 'file:/srv/models/chat.gguf'")
    path = "/" + "/".join(part for part in path.split("/") if part not in ("", "."))
    if path == "/":
        raise ValueError(f"model reference {given!r} names no file")
    return Reference(Kind.FILE, "", path, None, None, f"file:{path}")


def _split_host(given: str) -> tuple[str, str]:
    """The registry and the rest; as Docker tells them apart: a first part with '.' or ':' or `localhost` is a host."""
    first, slash, rest = given.partition("/")
    if not slash or not ("." in first or ":" in first or first.lower() == "localhost"):
        return "docker.io", given
    host = first.lower()
    _check_host(given, host)
    return ("docker.io" if host in _DOCKER_HUB else host), rest


def _check_host(given: str, host: str) -> None:
    if host.startswith("["):
        raise ValueError(f"model reference {given!r} has an IPv6 address as its host; use a host name")
    name, colon, port = host.partition(":")
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"model reference {given!r} has no valid port in its host {host!r}")
    labels = name.rstrip(".").split(".")
    if not all(_HOST_LABEL.fullmatch(label) for label in labels) or name.endswith("."):
        raise ValueError(f"model reference {given!r} has no valid host {name!r}")
    if _is_forbidden(name, labels):
        raise ValueError(f"model reference {given!r} points to {name}, where a cloud keeps its metadata: refused")


def _is_forbidden(name: str, labels: list[str]) -> bool:
    """Link-local and metadata addresses, in any of the spellings a resolver would take for a number."""
    if name in _METADATA_HOSTS or name == "0.0.0.0":
        return True
    # A last label that is a number makes it an IPv4 address for getaddrinfo, also as 0xa9fe.43518 or 169.16689662.
    numeric = re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]) is not None
    dotted = len(labels) == 4 and all(
        re.fullmatch(r"0|[1-9][0-9]{0,2}", label) and int(label) < 256 for label in labels
    )
    return numeric and (not dotted or labels[:2] == ["169", "254"])


def _oci(given: str, host: str, path: str) -> Reference:
    path, digest = _split_digest(given, path)
    path, tag = _split_tag(given, path)
    name = path.lower()
    if host == "docker.io" and "/" not in name:
        # `smollm2` is Docker's own `ai/smollm2`; with the host written out it is what docker makes of it.
        name = f"library/{name}" if "/" in given else f"ai/{name}"
    if len(name) > 255 or not all(_NAME_PART.fullmatch(part) for part in name.split("/")):
        raise ValueError(f"model reference {given!r} has no valid name {path!r}")
    if digest is not None:
        return Reference(Kind.OCI, host, name, None, digest, f"{host}/{name}@{digest}")
    return Reference(Kind.OCI, host, name, tag or "latest", None, f"{host}/{name}:{tag or 'latest'}")


def _split_digest(given: str, path: str) -> tuple[str, str | None]:
    path, at, digest = path.partition("@")
    if at and not is_digest(digest):
        raise ValueError(f"model reference {given!r} has no valid digest; it reads 'sha256:' and 64 hex digits")
    return path, digest or None


def _split_tag(given: str, path: str) -> tuple[str, str | None]:
    folder, slash, last = path.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise ValueError(f"model reference {given!r} has no valid tag {tag!r}")
    return f"{folder}{slash}{last}", tag or None


def _hub(given: str, path: str) -> Reference:
    path, at, revision = path.partition("@")
    if at and not _REVISION.fullmatch(revision):
        raise ValueError(f"model reference {given!r} has no valid revision {revision!r}")
    path, tag = _split_tag(given, path)
    parts = path.split("/")
    if len(parts) != 2 or not all(_HUB_PART.fullmatch(part) for part in parts):
        raise ValueError(f"model reference {given!r} is no Hugging Face repository; write 'hf.co/org/name:Q4_K_M'")
    quantisation = "latest" if tag is None or tag.lower() == "latest" else tag.upper()
    canonical = f"huggingface.co/{path.lower()}:{quantisation}" + (f"@{revision}" if at else "")
    return Reference(Kind.HF, "huggingface.co", path, quantisation, None, canonical, revision or None)
