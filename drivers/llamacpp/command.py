"""What a spec means to llama-server: the words of its command line. Pure.

Order matters: llama-server takes the last of two, so what is ours and must not be moved (address, key, model, alias)
is only safe because `drivers.flags` lets no flag of the user name it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import ceil
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from drivers import flags, values
from drivers.base import Finding, Handling, ModelSpec
from drivers.errors import Rejected

if TYPE_CHECKING:
    from pathlib import Path

    from drivers.llamacpp.models import ModelFile

DEFAULT_CONTEXT = 4096
"""Tokens where neither the file nor the model's packager says anything; less where it was trained for less."""

OPTION_FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "llamacpp.device": "--device",
        "llamacpp.main-gpu": "--main-gpu",
        "llamacpp.split-mode": "--split-mode",
        "llamacpp.tensor-split": "--tensor-split",
        "llamacpp.threads": "--threads",
        "llamacpp.threads-batch": "--threads-batch",
        "llamacpp.batch-size": "--batch-size",
        "llamacpp.ubatch-size": "--ubatch-size",
        "llamacpp.flash-attention": "--flash-attn",
        "llamacpp.cache-type-k": "--cache-type-k",
        "llamacpp.cache-type-v": "--cache-type-v",
        "cloud.idle-timeout": "--sleep-idle-seconds",
        "cloud.cpu": "--threads",
        "llamacpp.mmap": "--mmap",
        "llamacpp.mlock": "--mlock",
    }
)
"""Options that are llama-server's own: their value goes through the same bounds as a runtime flag of that name."""


class Place(NamedTuple):
    """What the command line says about where and as whom a server answers."""

    host: str
    port: int
    aliases: tuple[str, ...]
    """The first one is what clients send; the last one is unique and proves whose server answers."""
    key_file: Path | None


class Sizes(NamedTuple):
    """How much context a server keeps."""

    context: int
    """Tokens of one request."""
    slots: int | None
    """Requests with a context of their own; None leaves the number to the server, which shares one context."""

    @property
    def total_context(self) -> int:
        return self.context * (self.slots or 1)


def sizes(spec: ModelSpec, file: ModelFile) -> Sizes:
    """The context and the slots that a spec asks for."""
    trained = file.header.context_length or DEFAULT_CONTEXT
    context = spec.context_size or file.context_size or min(trained, DEFAULT_CONTEXT)
    return Sizes(context=context, slots=_slots(spec))


def build(
    spec: ModelSpec, file: ModelFile, place: Place, *, offload: bool, knows: Callable[[str], bool]
) -> tuple[str, ...]:
    """The arguments, without the program. `offload`: the server has a device other than the CPU. `knows` tells whether
    this build has an option that was renamed at some time. Raises Rejected for a spec that cannot be expressed."""
    wanted = sizes(spec, file)
    words = ["--model", str(file.path), "--alias", ",".join(place.aliases)]
    words += ["--host", place.host, "--port", str(place.port)]
    if place.key_file is not None:
        words += ["--api-key-file", str(place.key_file)]
    if file.mmproj is not None:
        words += ["--mmproj", str(file.mmproj)]
    words += _chat(spec, file)
    words += ["--ctx-size", str(wanted.total_context), *_parallel(spec, wanted)]
    words += _purpose(spec, file)
    words += _gpu(spec, offload)
    words += _options(spec, knows)
    if knows("--no-warmup"):
        words.append("--no-warmup")  # the request that proves it ready is the warm-up; a flag of the user's comes later
    return tuple(words) + _flags(spec)


def reference(spec: ModelSpec) -> str:
    """Which model to serve, in the words of the model store. Raises Rejected where it cannot lie on this host."""
    named = spec.options.get("cloud.model-source") or spec.options.get("cloud.model-id") or spec.model
    scheme, colon, rest = named.partition("://")
    if colon and scheme in ("s3", "gs"):
        raise Rejected(f"cloud.model-source: llama.cpp on this host fetches oci://, hf:// and file://, not {scheme}://")
    if colon:
        prefix = {"hf": "hf.co/", "file": "file:"}.get(scheme, "")
        named = prefix + rest
    revision = spec.options.get("cloud.model-revision")
    if revision is None:
        return named
    if "@" in named:
        raise Rejected(f"cloud.model-revision: {named} already names a revision")
    return f"{named}@{revision}"


def conflicts(spec: ModelSpec) -> Iterator[Finding]:
    """Findings for what is said twice, once as an option and once as a flag, or by two options."""
    for key in OPTION_FLAGS.keys() & spec.options.keys():
        name = OPTION_FLAGS[key]
        if flags.value_of(spec.runtime_flags, name) is not None:
            yield Finding(key, Handling.REJECTED, f"the runtime flag {name} says the same: keep one of them")
    for key, other in (("llamacpp.threads", "cloud.cpu"), ("llamacpp.parallel", "cloud.replicas")):
        if key in spec.options and other in spec.options:
            yield Finding(key, Handling.REJECTED, f"{other} says the same: keep one of them")


def _slots(spec: ModelSpec) -> int | None:
    text = spec.options.get("cloud.replicas")
    if text is None:
        return None
    wanted = values.whole_range(text)
    return max(1, ceil(wanted.high))


def _parallel(spec: ModelSpec, wanted: Sizes) -> tuple[str, ...]:
    if wanted.slots is not None:
        return ("--parallel", str(wanted.slots))
    shared = spec.options.get("llamacpp.parallel")
    return () if shared is None else ("--parallel", str(values.count(shared)), "--kv-unified")


def _chat(spec: ModelSpec, file: ModelFile) -> tuple[str, ...]:
    """Jinja templates are what tools and most chat formats need; older releases have them off."""
    words = () if flags.value_of(spec.runtime_flags, "--jinja") else ("--jinja",)
    if file.chat_template is None or flags.value_of(spec.runtime_flags, "--chat-template"):
        return words
    return (*words, "--chat-template-file", str(file.chat_template))


def _purpose(spec: ModelSpec, file: ModelFile) -> tuple[str, ...]:
    asked = {"embedding": "--embeddings", "rerank": "--reranking"}.get(purpose(spec, file))
    return () if asked is None or flags.value_of(spec.runtime_flags, asked) else (asked,)


def purpose(spec: ModelSpec, file: ModelFile) -> str:
    """What the model is for: `chat`, `embedding` or `rerank`; a flag of the user has the last word."""
    if flags.value_of(spec.runtime_flags, "--reranking") or file.header.is_reranker:
        return "rerank"
    if flags.value_of(spec.runtime_flags, "--embeddings") or file.header.is_embedding:
        return "embedding"
    return "chat"


def _gpu(spec: ModelSpec, offload: bool) -> tuple[str, ...]:
    layers = spec.options.get("llamacpp.gpu-layers", "all" if offload else "auto")
    if layers == "auto":
        return ()
    # A number that every release understands; the word `all` is younger.
    return ("--gpu-layers", "9999" if layers == "all" else str(values.integer(layers)))


def _options(spec: ModelSpec, knows: Callable[[str], bool]) -> tuple[str, ...]:
    words: list[str] = []
    for key, name in OPTION_FLAGS.items():
        text = spec.options.get(key)
        if text is None or key in ("llamacpp.mmap", "llamacpp.mlock"):
            continue
        value = _value(key, text)
        if value is not None:
            words += _bounded(key, name, value)
    return (*words, *_loading(spec, knows))


def _value(key: str, text: str) -> str | None:
    try:
        if key == "cloud.idle-timeout":
            seconds = values.duration(text)
            return None if seconds is None else str(seconds)
        if key == "cloud.cpu":
            return str(max(1, int(values.whole_range(text).high)))
    except ValueError as wrong:
        raise Rejected(f"{key} {wrong}") from None
    return text.replace(" ", "")


def _bounded(key: str, name: str, value: str) -> tuple[str, ...]:
    try:
        flags.catalog().allowed[name].check(value)
    except flags.Refusal as refusal:
        raise Rejected(f"{key}: {refusal}") from None
    return (name, value)


def _loading(spec: ModelSpec, knows: Callable[[str], bool]) -> tuple[str, ...]:
    """How the weights come into memory. Newer releases have one option with a mode, older ones two switches."""
    mmap, lock = (spec.options.get(key) for key in ("llamacpp.mmap", "llamacpp.mlock"))
    if mmap is None and lock is None:
        return ()
    mapped, locked = mmap is None or values.boolean(mmap), lock is not None and values.boolean(lock)
    if knows("--load-mode"):
        mode = {(True, True): "mmap+mlock", (True, False): "mmap", (False, True): "mlock", (False, False): "none"}
        return ("--load-mode", mode[mapped, locked])
    return (*(() if mapped else ("--no-mmap",)), *(("--mlock",) if locked else ()))


def _flags(spec: ModelSpec) -> tuple[str, ...]:
    try:
        return flags.arguments(spec.runtime_flags)
    except flags.Refusal as refusal:
        raise Rejected(f"runtime_flags: {refusal}") from None
