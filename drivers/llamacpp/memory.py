"""Whether a model fits, from what its file says: weights, the cache for the context, working memory. Pure.

An estimate from below: a model that might fit is let through, since the server itself has the last word; one that
cannot fit is refused before it pushes a host into swapping or gets something else killed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from drivers.modelstore.gguf import GgufHeader

_CELL_BYTES = {
    "f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 34 / 32, "q5_1": 24 / 32, "q5_0": 22 / 32,
    "q4_1": 20 / 32, "q4_0": 18 / 32, "iq4_nl": 18 / 32,
}  # fmt: skip
_BASE = 48 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Bytes."""

    weights: int
    cache: int
    """Keys and values of the whole context."""
    work: int

    @property
    def total(self) -> int:
        return self.weights + self.cache + self.work

    def share(self, fraction: float) -> Need:
        """That part of the model which lies on some device: layers carry their weights and their cache."""
        return Need(weights=int(self.weights * fraction), cache=int(self.cache * fraction), work=self.work)


def need(header: GgufHeader, context: int, *, cache_k: str = "f16", cache_v: str = "f16", ubatch: int = 512) -> Need:
    """What a model takes with a context of so many tokens in all slots together."""
    return Need(
        weights=header.weights_bytes,
        cache=_cache(header, context, cache_k, cache_v),
        work=_BASE + ubatch * (header.embedding_length or 0) * 4 * 16,
    )


def shortage(wanted: Need, free: int, where: str, *, context: int) -> str:
    """Why it does not fit, with the numbers and what to lower; empty where it fits. `free` in bytes."""
    if wanted.total <= free:
        return ""
    parts = f"weights {_gb(wanted.weights)}, context of {context} tokens {_gb(wanted.cache)}, work {_gb(wanted.work)}"
    advice = "choose a model with fewer or smaller weights"
    if wanted.cache > wanted.weights // 4:
        advice = f"lower context_size, cloud.replicas or llamacpp.cache-type-k and -v, or {advice}"
    return f"it needs about {_gb(wanted.total)} ({parts}) and {where} has {_gb(free)} free: {advice}"


def layers_on_devices(header: GgufHeader, asked: str | None) -> float:
    """The share of the model that `llamacpp.gpu-layers` puts on the devices; None and `all` mean everything."""
    if asked is None or asked == "all":
        return 1.0
    layers = (header.block_count or 0) + 1  # the output layer counts as one
    return min(1.0, int(asked) / layers) if asked != "auto" else 0.0


def usable(free: Sequence[int], split: Sequence[float]) -> int:
    """How much the devices can take together. With a tensor split, the one that is full first sets the limit."""
    parts = list(split)[: len(free)]
    if not parts or sum(parts) <= 0:
        return sum(free)
    whole = sum(parts)
    return int(min(bytes_ * whole / part for bytes_, part in zip(free, parts, strict=False) if part > 0))


def _cache(header: GgufHeader, context: int, cache_k: str, cache_v: str) -> int:
    layers = header.block_count or 0
    heads = _per_layer(header.head_count, layers) or (0,) * layers
    kv_heads = _per_layer(header.head_count_kv, layers) or heads
    usual = (header.embedding_length or 0) // (max(heads, default=0) or 1)
    per_head = (header.key_length or usual) * _CELL_BYTES.get(cache_k, 2.0) + (
        header.value_length or usual
    ) * _CELL_BYTES.get(cache_v, 2.0)
    cells = sum(count * _tokens(header, layer, context) for layer, count in enumerate(kv_heads))
    return ceil(cells * per_head)


def _tokens(header: GgufHeader, layer: int, context: int) -> int:
    """How many tokens a layer keeps. Of a model with a sliding window most layers keep the window only; which ones is
    not in the file, and one in six is the smallest share of full layers in use (Gemma 3)."""
    if header.sliding_window is None or layer % 6 == 5:
        return context
    return min(context, header.sliding_window)


def _per_layer(value: int | tuple[int, ...] | None, layers: int) -> tuple[int, ...]:
    if value is None or isinstance(value, tuple):
        return (value or ())[:layers]
    return (value,) * layers


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
