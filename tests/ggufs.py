"""Tiny valid GGUF files, written with the standard library, for tests that need many or need broken ones."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from drivers.modelstore.ggml import TENSOR_TYPES

LLAMA: Mapping[str, Any] = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "general.file_type": 0,
    "llama.block_count": 2,
    "llama.context_length": 512,
    "llama.embedding_length": 64,
    "llama.feed_forward_length": 128,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.tokens": ["<s>", "</s>", "a", "b"],
    "tokenizer.chat_template": "{{ messages }}",
}


class Tensor(NamedTuple):
    """A tensor of zeros. `offset` overrides the right one, to write a broken file."""

    name: str
    shape: tuple[int, ...]
    type: int = 0
    offset: int | None = None


def gguf(
    metadata: Mapping[str, Any] = LLAMA, tensors: Sequence[Tensor] = (Tensor("token_embd.weight", (64, 4)),)
) -> bytes:
    """A whole file. Texts, numbers and lists of them become the GGUF types that converters use."""
    head = preamble(len(tensors), len(metadata)) + b"".join(text(k) + value(v) for k, v in metadata.items())
    table, data = b"", b""
    for tensor in tensors:
        offset = len(data) if tensor.offset is None else tensor.offset
        table += text(tensor.name) + struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
        table += struct.pack("<IQ", tensor.type, offset)
        data += bytes(_padded(_size(tensor)))
    header = head + table
    return header.ljust(_padded(len(header)), b"\0") + data


def write_gguf(
    path: Path, metadata: Mapping[str, Any] = LLAMA, tensors: Sequence[Tensor] = (Tensor("token_embd.weight", (64, 4)),)
) -> Path:
    """`gguf` in a file."""
    path.write_bytes(gguf(metadata, tensors))
    return path


def preamble(tensors: int, keys: int, *, magic: bytes = b"GGUF", version: int = 3) -> bytes:
    """The first 24 bytes."""
    return magic + struct.pack("<IQQ", version, tensors, keys)


def text(value: str) -> bytes:
    """A string: its length in 64 bits, then its bytes."""
    return struct.pack("<Q", len(value.encode())) + value.encode()


def value(given: Any) -> bytes:
    """A typed value."""
    if isinstance(given, list | tuple):
        items = [value(item) for item in given]
        kind = items[0][:4] if items else struct.pack("<I", 4)
        return struct.pack("<I", 9) + kind + struct.pack("<Q", len(items)) + b"".join(item[4:] for item in items)
    if isinstance(given, bool):
        return struct.pack("<I?", 7, given)
    if isinstance(given, int):
        return struct.pack("<II", 4, given) if 0 <= given < 1 << 32 else struct.pack("<Iq", 11, given)
    if isinstance(given, float):
        return struct.pack("<If", 6, given)
    return struct.pack("<I", 8) + text(given)


def _size(tensor: Tensor) -> int:
    elements = 1
    for extent in tensor.shape:
        elements *= extent
    kind = TENSOR_TYPES[tensor.type]
    return elements // kind.weights * kind.bytes


def _padded(size: int) -> int:
    return size + -size % 32
