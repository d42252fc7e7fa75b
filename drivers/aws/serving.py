"""What a spec means to the inference engine in a container or on a machine of AWS: its arguments, in order. Pure.

llama.cpp fetches Docker's models and GGUF repositories itself, so `ai/smollm2` is served there as it is; vLLM serves
the original weights of a Hugging Face repository. Whose flags are refused is `drivers.manifest`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from drivers import flags, manifest
from drivers.base import ModelSpec
from drivers.errors import Rejected
from drivers.modelstore.reference import Kind, Reference, parse_reference

ENGINES = ("llamacpp", "vllm")
"""What `cloud.engine` may say there in this release."""

Argument = tuple[str, str | None]
"""An option with its value; a switch has None."""


class Serving(NamedTuple):
    """An engine and what it is told."""

    engine: str
    arguments: tuple[Argument, ...]
    """Long names, `--ctx-size`. Address, port, key and device are the platform's and not among them."""
    model_id: str
    """What clients send as `model`; the engine was told to answer to it."""
    from_s3: str = ""
    """`s3://bucket/prefix` of the weights where they come from there: the platform fetches them, not the engine."""


def serving(spec: ModelSpec, platform: str) -> Serving:
    """What the engine is told. Raises Rejected for what neither engine can do."""
    engine = manifest.engine_of(spec, platform)
    if engine not in ENGINES:
        raise Rejected(f"cloud.engine={engine}: {platform} runs {' and '.join(ENGINES)} in this release")
    source = spec.options.get("cloud.model-source", "")
    if source.startswith("s3://"):
        return Serving(engine, tuple(_common(spec, engine)), spec.model, source)
    reference = weights(spec)
    told = _llamacpp(spec, reference) if engine == "llamacpp" else _vllm(spec, reference)
    return Serving(engine, (*told, *_common(spec, engine)), spec.model)


def weights(spec: ModelSpec) -> Reference:
    """Where the weights are fetched from. Raises Rejected for a place that a machine in AWS cannot reach."""
    named = spec.options.get("cloud.model-source") or spec.options.get("cloud.model-id") or spec.model
    scheme, colon, rest = named.partition("://")
    try:
        found = parse_reference({"hf": "hf.co/"}.get(scheme, "") + rest if colon else named)
    except ValueError as wrong:
        raise Rejected(str(wrong)) from None
    if found.kind is Kind.FILE or scheme in ("gs", "file"):
        raise Rejected(f"{named} lies where AWS cannot reach it; name a model on Docker Hub, Hugging Face or s3://")
    if found.kind is Kind.OCI and found.host != "docker.io":
        raise Rejected(f"{named}: llama-server fetches models from Docker Hub and Hugging Face, not from {found.host}")
    return found


def flag_arguments(spec: ModelSpec) -> Iterator[Argument]:
    """The user's runtime flags under their long names. Raises Rejected for one that is refused."""
    try:
        words = list(flags.arguments(spec.runtime_flags))
    except flags.Refusal as refusal:
        raise Rejected(f"runtime_flags: {refusal}") from None
    allowed = flags.catalog().allowed
    while words:
        name = words.pop(0)
        flag = allowed[name]
        # A switch keeps its spelling, since `--no-x` and `--x` are names of one option.
        long = name if name.startswith("--") else next(each for each in flag.names if each.startswith("--"))
        yield long, None if flag.kind == "switch" else words.pop(0)


def _llamacpp(spec: ModelSpec, reference: Reference) -> Iterator[Argument]:
    revision = spec.options.get("cloud.model-revision") or reference.revision
    if reference.digest is not None or revision is not None:
        raise Rejected("llama-server fetches by name and tag: it cannot be given a digest or revision there; use a tag")
    quantization = spec.options.get("cloud.quantization", "auto")
    tag = reference.tag if reference.tag not in (None, "latest") else None
    if quantization != "auto" and tag is None:
        tag = quantization.upper()
    name = f"{reference.repository}:{tag}" if tag else reference.repository
    yield ("--hf-repo" if reference.kind is Kind.HF else "--docker-repo"), name


def _vllm(spec: ModelSpec, reference: Reference) -> Iterator[Argument]:
    if reference.kind is not Kind.HF:
        raise Rejected(
            f"vLLM serves repositories of Hugging Face, not {spec.model}; leave cloud.engine out, or name one"
        )
    yield "--model", reference.repository
    revision = spec.options.get("cloud.model-revision") or reference.revision
    if revision is not None:
        yield "--revision", revision
    quantization = spec.options.get("cloud.quantization", "auto")
    if quantization not in ("auto", "bf16", "fp16"):
        yield "--quantization", quantization


def _common(spec: ModelSpec, engine: str) -> Iterator[Argument]:
    if engine == "vllm":
        yield "--served-model-name", spec.model
        if spec.context_size is not None:
            yield "--max-model-len", str(spec.context_size)
        return
    yield "--alias", spec.model
    if spec.context_size is not None:
        yield "--ctx-size", str(spec.context_size)
    if is_embedding(spec):
        yield "--embeddings", None
    else:
        yield "--jinja", None  # what tools and most chat formats need; older releases have it off
    yield from flag_arguments(spec)


def is_embedding(spec: ModelSpec) -> bool:
    """Whether the model makes embeddings, as far as its flags or the catalogue say."""
    from drivers import catalog

    if flags.value_of(spec.runtime_flags, "--embeddings"):
        return True
    name = spec.model.partition("@")[0].rpartition(":")[0] or spec.model
    entry = catalog.models()["models"].get(name.lower())
    return entry is not None and entry.get("task") == "embedding"
