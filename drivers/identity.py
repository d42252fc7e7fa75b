"""`ai/smollm2` → what model that is, and under which ids a platform serves it, graded by how much it is the same.

No model is substituted silently: what a platform offers is accepted when it is the same weights, an embedding model
only when it is the very same artifact (another one has other dimensions and breaks stored indexes), and everything
else only when `cloud.substitute` says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from drivers import catalog, manifest
from drivers.base import ModelSpec
from drivers.modelstore.reference import Kind, Reference

_TAG = re.compile(r"(?P<size>\d+(?:\.\d+)?[MB](?:-A\d+(?:\.\d+)?B)?)(?:-(?P<quantization>.+))?", re.IGNORECASE)
_DOCKER_HUB = "docker.io"
_HUB = "huggingface.co/"
_NEEDS_ORIGINAL_WEIGHTS = frozenset({"vllm", "lmi", "tgi", "sglang"})


class Match(Enum):
    """How much a candidate is the model that was asked for."""

    EXACT = "exact"
    SAME_WEIGHTS = "same-weights-other-quant"
    FAMILY = "family"
    OTHER = "other"


_WORDS = {Match.SAME_WEIGHTS: "same weights", Match.FAMILY: "same family", Match.OTHER: "another model"}
_WIDENED = {"never": (), "family": (Match.FAMILY,), "any": (Match.FAMILY, Match.OTHER)}


class Identity(NamedTuple):
    """What is known of a model. An unknown one has its name and nothing else, which is no error."""

    name: str
    """`ai/llama3.2`, `huggingface.co/qwen/qwen3-8b-gguf`, `file:/srv/x.gguf`: without tag and digest."""
    known: bool = False
    family: str = ""
    size: str = ""
    """Parameters, `3B`; empty where the tag does not say."""
    variant: str = ""
    quantization: str = ""
    task: str = ""
    """`chat` or `embedding`; empty where unknown."""
    dim: int | None = None
    """Length of an embedding."""
    licence: str = ""
    gated: bool | None = None
    """Whether its repository wants a licence accepted; None where unknown."""
    hf: str = ""
    """The upstream repository of the original weights."""
    gguf: str = ""
    """An upstream repository of GGUF files."""
    context: int | None = None
    """Tokens it was made for."""
    download: str = ""
    """Size of the default artifact, `1.87GB`."""
    vram: str = ""

    def __str__(self) -> str:
        details = " ".join(part for part in (self.size, self.quantization) if part)
        return f"{self.name} ({details})" if details else self.name


class Candidate(NamedTuple):
    """One way to serve the model on a platform."""

    model_id: str
    """In the platform's words."""
    match: Match
    note: str = ""

    def line(self, identity: Identity) -> str:
        """`ai/llama3.2 (3B Q4_K_M) → meta.llama3-2-3b-instruct-v1:0 [same weights, bf16, ctx 128K]`"""
        grade = ", ".join(part for part in (_WORDS.get(self.match, ""), self.note) if part)
        return f"{identity} → {self.model_id}" + (f" [{grade}]" if grade else "")


def identify(reference: Reference, models: Mapping[str, Mapping[str, Any]]) -> Identity:
    """What the catalogue knows of a reference. `models` is `catalog.models()["models"]`, a user's laid over it."""
    name = _name(reference)
    entry = models.get(name)
    if entry is None and reference.kind is Kind.HF:
        return _from_hub(reference, models) or Identity(name=name)
    if entry is None:
        return Identity(name=name)
    size, quantization = _split_tag(reference, str(entry.get("tag", "")))
    return _identity(name, entry, size, quantization)


def candidates(
    identity: Identity,
    platform: str,
    models: Mapping[str, Mapping[str, Any]],
    *,
    reference: str = "",
    serving: str = "auto",
    engine: str = "llamacpp",
) -> tuple[Candidate, ...]:
    """All ways to serve it there, the nearest first: the artifact itself where the platform takes one's own weights.

    `engine` is the one that runs there (`drivers.manifest.engine_of`): only llama.cpp reads Docker's GGUF artifacts.
    """
    entry = catalog.platforms().platforms.get(platform)
    offers = entry.serving if entry is not None else ("dedicated",)
    found: list[Candidate] = []
    if "dedicated" in offers and serving != "managed":
        if engine not in _NEEDS_ORIGINAL_WEIGHTS or identity.name.startswith(_HUB):
            found.append(Candidate(reference or identity.name, Match.EXACT))
        if identity.hf:
            found.append(Candidate(f"{_HUB}{identity.hf}", Match.SAME_WEIGHTS, "as published"))
    if "managed" in offers and serving != "dedicated":
        found.extend(_managed(identity, platform, models))
    return tuple(sorted(found, key=lambda candidate: list(Match).index(candidate.match)))


def offer(
    identity: Identity,
    spec: ModelSpec,
    platform: str,
    models: Mapping[str, Mapping[str, Any]],
    *,
    serving: str = "auto",
    substitute: str = "never",
) -> Candidate | str:
    """What a platform would serve for a spec; a text says why nothing is acceptable."""
    engine = manifest.engine_of(spec, platform)
    found = candidates(identity, platform, models, reference=spec.model, serving=serving, engine=engine)
    good = accepted(found, identity, substitute)
    return good[0] if good else refusal(identity, platform, found)


def accepted(offers: Sequence[Candidate], identity: Identity, substitute: str = "never") -> tuple[Candidate, ...]:
    """Those that may be used without asking anybody, and those that `cloud.substitute` allows."""
    allowed = {Match.EXACT}
    if identity.task != "embedding":
        allowed |= {Match.SAME_WEIGHTS, *_WIDENED[substitute]}
    return tuple(candidate for candidate in offers if candidate.match in allowed)


def refusal(identity: Identity, platform: str, offers: Sequence[Candidate]) -> str:
    """Why nothing is accepted, and what would help."""
    if identity.task == "embedding":
        return (
            f"{identity} is not served by {platform} as it is, and an embedding model is never substituted: "
            "other dimensions break stored indexes; choose a platform (and an engine) that takes this very artifact"
        )
    what = f"{identity} is not served by {platform}" + ("" if identity.known else " as far as the catalogue knows")
    nearest = next(iter(offers), None)
    if nearest is None:
        return f"{what}; name the platform's own id with cloud.model-id, or choose another platform"
    word = next(word for word, matches in _WIDENED.items() if nearest.match in matches)
    return f"{what}; 'cloud.substitute={word}' would take {nearest.model_id} ({nearest.note})"


def _name(reference: Reference) -> str:
    if reference.kind is Kind.FILE:
        return f"file:{reference.repository}"
    if reference.kind is Kind.OCI and reference.host == _DOCKER_HUB:
        return reference.repository
    return f"{reference.host}/{reference.repository.lower()}"


def _split_tag(reference: Reference, default: str) -> tuple[str, str]:
    """Size and quantization. A digest says neither, and a tag of another shape does not either."""
    if reference.digest is not None:
        return "", ""
    tag = reference.tag if reference.tag not in (None, "latest") else default
    match = _TAG.fullmatch(tag or "")
    return (match["size"].upper(), (match["quantization"] or "").upper()) if match else ("", "")


def _identity(name: str, entry: Mapping[str, Any], size: str, quantization: str) -> Identity:
    is_default = not size or f"{size}-{quantization}" == str(entry.get("tag", "")).upper()
    return Identity(
        name=name,
        known=True,
        family=entry.get("family", ""),
        size=size,
        variant=entry.get("variant", ""),
        quantization=quantization,
        task=entry.get("task", ""),
        dim=entry.get("dims", {}).get(size, entry.get("dim")),
        licence=entry.get("licence", ""),
        gated=entry.get("gated"),
        hf=entry.get("hf", {}).get(size, ""),
        gguf=entry.get("gguf", {}).get(size, ""),
        context=entry.get("context"),
        download=entry.get("size", "") if is_default else "",
        vram=entry.get("vram", "") if is_default else "",
    )


def _from_hub(reference: Reference, models: Mapping[str, Mapping[str, Any]]) -> Identity | None:
    """A Hugging Face repository that the catalogue names as some model's upstream."""
    wanted = reference.repository.lower()
    for entry in models.values():
        for size, repository in (*entry.get("hf", {}).items(), *entry.get("gguf", {}).items()):
            if repository.lower() == wanted:
                quantization = "" if reference.tag in (None, "latest") else str(reference.tag)
                return _identity(_name(reference), entry, size, quantization)._replace(download="", vram="")
    return None


def _managed(identity: Identity, platform: str, models: Mapping[str, Mapping[str, Any]]) -> Iterator[Candidate]:
    """The platform's own ids for these weights; a size that is not known has none."""
    for entry in models.values():
        offers = entry.get("managed", {}).get(platform, {}).get(identity.size, ())
        if identity.known and (entry.get("family"), entry.get("variant")) == (identity.family, identity.variant):
            for offer in offers if _is_model(entry, identity) else ():
                yield Candidate(offer["id"], Match(offer["match"]), offer.get("as", ""))


def _is_model(entry: Mapping[str, Any], identity: Identity) -> bool:
    """Whether the entry describes these weights: same upstream repository (Llama 3.1 8B and 3.3 share a family)."""
    return bool(identity.hf) and entry.get("hf", {}).get(identity.size) == identity.hf
