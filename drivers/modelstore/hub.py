"""Models from the Hugging Face Hub: which GGUF files of a repository a reference means, and where they are read.

As Docker Model Runner chooses: the tag is a quantisation; without one Q4_K_M, else the first file; the parts of a split
model stay together; a projector comes along, F16 preferred. One thing is stricter: a quantisation that was asked for
and is not there is refused, not replaced by another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from drivers.errors import Denied, DriverError, Rejected, Unavailable
from drivers.modelstore.artifact import Artifact, RemoteFile, Role
from drivers.modelstore.gguf import shard_names
from drivers.modelstore.net import Answer, Http
from drivers.modelstore.reference import Reference, is_digest

HUB = "https://huggingface.co"
LARGEST_LISTING = 32 << 20
PREFERRED = "Q4_K_M"
_QUANTISATION = re.compile(r"(?<![A-Z0-9])((?:UD-)?(?:I?Q[0-9]\w*|TQ[0-9]_[0-9]|MXFP4\w*|NVFP4|BF16|F16|F32))(?=[.-])")
_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubFile(NamedTuple):
    """A GGUF file of a repository."""

    path: str
    size: int
    digest: str


class Hub:
    """One repository at the Hub, as a `Source`. `token` is a Hub access token; `revision` is used where the reference
    names none."""

    def __init__(
        self, reference: Reference, http: Http, *, token: str | None = None, revision: str = "main", base: str = HUB
    ) -> None:
        self._reference = reference
        self._http = http
        self._secret = f"Bearer {token}" if token else None
        self._base = base.rstrip("/")
        self._revision = reference.revision or revision

    def resolve(self) -> Artifact:
        """Ask what the repository holds and choose. Files are then read at that very commit, whatever is pushed."""
        repository, revision = quote(self._reference.repository), quote(self._revision, safe="")
        with self._get(f"{self._base}/api/models/{repository}/revision/{revision}?blobs=true", {}) as answer:
            listing = _json(answer.text(LARGEST_LISTING), self._reference)
        commit = listing.get("sha")
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise Unavailable(f"the Hub names no commit for {self._reference}")
        files = choose(self._reference, _gguf_files(listing))
        located = tuple(
            RemoteFile(role=role, digest=file.digest, size=file.size, location=f"{commit}/{quote(file.path)}")
            for role, file in files
        )
        return Artifact(digest=located[0].digest, files=located, revision=commit)

    def open(self, file: RemoteFile, headers: Mapping[str, str]) -> Answer:
        """Begin to read a file; the Hub redirects to its storage, which must not see the token."""
        return self._get(f"{self._base}/{quote(self._reference.repository)}/resolve/{file.location}", headers)

    def _get(self, url: str, headers: Mapping[str, str]) -> Answer:
        answer = self._http.get(url, headers, secret=self._secret)
        if answer.status in (200, 206, 416):
            return answer
        answer.close()
        raise self._error(answer)

    def _error(self, answer: Answer) -> DriverError:
        page = f"https://huggingface.co/{self._reference.repository}"
        if answer.status == 404:
            return Rejected(f"{self._reference} does not exist at the Hub (revision {self._revision})")
        if answer.status == 401 and self._secret is None:
            return Denied(f"{self._reference} does not exist, or is private or gated: set HF_TOKEN, and see {page}")
        if answer.status in (401, 403):
            return Denied(f"the Hub does not let this HF_TOKEN read {self._reference}: accept its terms at {page}")
        wait = answer.retry_after_s()
        return Unavailable(f"the Hub answered HTTP {answer.status} for {self._reference}", retry_after_s=wait)


def choose(reference: Reference, files: Sequence[HubFile]) -> tuple[tuple[Role, HubFile], ...]:
    """The files that the reference means: weights in order, then a projector. Rejected where there is no such thing."""
    weights = [file for file in files if not _is_extra(file.path)]
    if not weights:
        raise Rejected(f"{reference} holds no GGUF file, which llama.cpp needs")
    chosen = _match(reference, weights)
    projectors = sorted((file for file in files if "mmproj" in _base_name(file.path).lower()), key=_projector_rank)
    parts = tuple((Role.WEIGHTS, part) for part in _parts(reference, chosen, weights))
    return parts + tuple((Role.MMPROJ, file) for file in projectors[:1])


def _match(reference: Reference, weights: Sequence[HubFile]) -> HubFile:
    wanted = reference.tag if reference.tag not in (None, "latest") else PREFERRED
    found = next((file for file in weights if _is_quantised(file.path, str(wanted))), None)
    if found is None and reference.tag not in (None, "latest"):
        labels = sorted({m[1] for file in weights if (m := _QUANTISATION.search(file.path.upper()))})
        raise Rejected(f"{reference} is not there; the repository has {', '.join(labels) or 'no named quantisations'}")
    return found or weights[0]


def _is_quantised(path: str, label: str) -> bool:
    """Whether a file's name holds the label as a word: Q4_K is not Q4_K_M, and Q4_XS is not IQ4_XS."""
    return re.search(rf"(?<![A-Z0-9_]){re.escape(label.upper())}(?![A-Z0-9_])", path.upper()) is not None


def _parts(reference: Reference, chosen: HubFile, weights: Sequence[HubFile]) -> list[HubFile]:
    folder = chosen.path[: len(chosen.path) - len(_base_name(chosen.path))]
    by_path = {file.path: file for file in weights}
    names = [folder + name for name in shard_names(_base_name(chosen.path))]
    if missing := [name for name in names if name not in by_path]:
        raise Rejected(f"{reference} is split, and its part {missing[0]} is not in the repository")
    return [by_path[name] for name in names]


def _gguf_files(listing: Mapping[str, Any]) -> list[HubFile]:
    siblings = listing.get("siblings")
    entries = siblings if isinstance(siblings, list) else []
    found = [file for entry in entries if isinstance(entry, dict) and (file := _gguf_file(entry))]
    return sorted(found, key=lambda file: file.path)


def _gguf_file(entry: Mapping[str, Any]) -> HubFile | None:
    path, stored = entry.get("rfilename"), entry.get("lfs")
    if not isinstance(path, str) or not path.lower().endswith(".gguf") or not isinstance(stored, dict):
        return None
    size, digest = stored.get("size"), f"sha256:{stored.get('sha256')}"
    # Without a checksum a file cannot be verified, so it is as if it were not there.
    if not isinstance(size, int) or size <= 0 or not is_digest(digest) or ".." in path.split("/"):
        return None
    return HubFile(path, size, digest)


def _is_extra(path: str) -> bool:
    name = _base_name(path).lower()
    return "mmproj" in name or "imatrix" in name


def _projector_rank(file: HubFile) -> tuple[int, str]:
    order = [_is_quantised(file.path, label) for label in ("F16", "BF16", "Q8_0", "F32")]
    return (order.index(True) if True in order else len(order)), file.path


def _base_name(path: str) -> str:
    return path.rpartition("/")[2]


def _json(content: bytes, reference: Reference) -> Mapping[str, Any]:
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise Unavailable(f"the Hub's listing of {reference} is no JSON object")
    return values
