"""What a GGUF file says about itself: enough to plan memory and to start a server, read from its first megabytes.

The file is a stranger's. Every length is checked against the file before it is believed, nothing larger than
`LONGEST_TEXT` is kept, and a file that contradicts itself is a ValueError that says how.
Format: docs/gguf.md in ggml-org/ggml. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, BinaryIO

from drivers.modelstore.ggml import FILE_TYPES
from drivers.modelstore.ggufreader import ArrayLength, Window, read_value
from drivers.modelstore.gguftensors import Tensors

MOST_TENSORS = 1 << 17
MOST_KEYS = 1 << 16
LONGEST_LABEL = 200
"""Characters of a name that are kept."""

_SPLIT = re.compile(r"(?P<stem>.+)-(?P<index>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf", re.IGNORECASE)
_EMBEDDING_ARCHITECTURES = frozenset(
    {"bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "jina-bert-v3"}
    | {"eurobert", "gemma-embedding", "t5encoder"}
)
_POOLS_TO_AN_EMBEDDING = frozenset({1, 2, 3})  # mean, cls, last; 0 is none, 4 ranks

PerLayer = int | tuple[int, ...]
"""One number for all layers, or one for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """What the metadata says. None where the file says nothing; sizes in bytes, lengths in tokens or elements."""

    version: int
    tensor_count: int
    architecture: str
    type: str = "model"
    """`model`, `adapter` or `mmproj`."""
    name: str | None = None
    quantization: str | None = None
    parameters: int = 0
    """How many weights the tensors have together."""
    weights_bytes: int = 0
    block_count: int | None = None
    embedding_length: int | None = None
    feed_forward_length: PerLayer | None = None
    head_count: PerLayer | None = None
    head_count_kv: PerLayer | None = None
    key_length: int | None = None
    value_length: int | None = None
    context_length: int | None = None
    """What the model was trained for."""
    sliding_window: int | None = None
    expert_count: int | None = None
    expert_used_count: int | None = None
    pooling: int | None = None
    """llama.cpp's pooling type: 0 none, 1 mean, 2 cls, 3 last, 4 rank."""
    is_embedding: bool = False
    is_reranker: bool = False
    has_chat_template: bool = False
    vocabulary_size: int | None = None
    split_index: int = 0
    split_count: int = 1
    """Into how many files the model is split; 1 for a whole one."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values; what equals its default is left away."""
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return {name: value for name, (value, default) in values.items() if value != default}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> GgufHeader:
        """The other way. Unknown names are ignored, so that an older release can read a newer index."""
        known = {field.name for field in fields(cls)}
        kept: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
        return cls(**kept)


def read_header(path: Path) -> GgufHeader:
    """The header of one file, of a split model that part's. ValueError where it is no sound GGUF; OSError as usual."""
    # Non-blocking, or opening a named pipe that somebody left here would wait for a writer for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path} is not a regular file")
        try:
            return parse_header(file, status.st_size)
        except ValueError as error:
            raise ValueError(f"{path.name} is not a usable GGUF file: {error}") from None


def read_model(paths: Sequence[Path]) -> GgufHeader:
    """The header of a whole model: the first part's, with the weights of all parts. ValueError, OSError as above."""
    headers = [read_header(path) for path in paths]
    first = headers[0]
    if first.split_count != len(paths):
        raise ValueError(f"{paths[0].name} is one of {first.split_count} parts, {len(paths)} are here")
    return replace(
        first,
        tensor_count=sum(header.tensor_count for header in headers),
        parameters=sum(header.parameters for header in headers),
        weights_bytes=sum(header.weights_bytes for header in headers),
        quantization=next((header.quantization for header in headers if header.quantization), None),
    )


def shard_names(name: str) -> tuple[str, ...]:
    """All file names of the split model that `name` is a part of, first part first; `(name,)` for a whole one."""
    match = _SPLIT.fullmatch(name)
    count = int(match["count"]) if match else 0
    if match is None or not 1 <= int(match["index"]) <= count:
        return (name,)
    return tuple(f"{match['stem']}-{index:05}-of-{count:05}{name[-5:]}" for index in range(1, count + 1))


def parse_header(file: BinaryIO, size: int) -> GgufHeader:
    """The header in a seekable file of `size` bytes. ValueError, without the file's name, where it is unsound."""
    window = Window(file, size)
    version, tensor_count, key_count = _preamble(window)
    metadata = _metadata(window, key_count)
    tensors = Tensors.read(window, tensor_count)
    tensors.check(metadata, window.position, size)
    return _header(version, metadata, tensors)


def _preamble(window: Window) -> tuple[int, int, int]:
    if window.size < 24 or window.take(4) != b"GGUF":
        raise ValueError("it does not begin with 'GGUF'")
    version = window.u32()
    if version & 0xFFFF == 0:
        raise ValueError("it is big-endian, which llama-server on this machine cannot load")
    if version not in (2, 3):
        raise ValueError(f"it has format version {version}; 2 and 3 are known")
    tensor_count, key_count = window.u64(), window.u64()
    if tensor_count > MOST_TENSORS or key_count > MOST_KEYS:
        raise ValueError(f"it claims {tensor_count} tensors and {key_count} keys")
    return version, tensor_count, key_count


def _metadata(window: Window, key_count: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for _ in range(key_count):
        key = window.short_text("a key")
        if key in metadata:
            raise ValueError(f"the key {key!r} is there twice")
        metadata[key] = read_value(window, window.u32())
    return metadata


def _header(version: int, metadata: Mapping[str, Any], tensors: Tensors) -> GgufHeader:
    architecture = _text(metadata, "general.architecture")
    split_index, split_count = _number(metadata, "split.no") or 0, _number(metadata, "split.count") or 1
    if architecture is None:
        if split_count == 1 or split_index == 0:
            raise ValueError("it does not name its architecture")
        architecture = ""  # only the first part of a split model says it
    pooling = _number(metadata, f"{architecture}.pooling_type")
    embeds = architecture in _EMBEDDING_ARCHITECTURES or pooling in _POOLS_TO_AN_EMBEDDING
    tokens = metadata.get("tokenizer.ggml.tokens")
    return GgufHeader(
        version=version,
        tensor_count=tensors.count,
        architecture=architecture,
        type=_text(metadata, "general.type") or ("mmproj" if architecture == "clip" else "model"),
        name=_text(metadata, "general.name"),
        quantization=FILE_TYPES.get(_number(metadata, "general.file_type") or 0)
        if "general.file_type" in metadata
        else tensors.dominant(),
        parameters=tensors.parameters,
        weights_bytes=tensors.bytes,
        block_count=_number(metadata, f"{architecture}.block_count"),
        embedding_length=_number(metadata, f"{architecture}.embedding_length"),
        feed_forward_length=_per_layer(metadata, f"{architecture}.feed_forward_length"),
        head_count=_per_layer(metadata, f"{architecture}.attention.head_count"),
        head_count_kv=_per_layer(metadata, f"{architecture}.attention.head_count_kv"),
        key_length=_number(metadata, f"{architecture}.attention.key_length"),
        value_length=_number(metadata, f"{architecture}.attention.value_length"),
        context_length=_number(metadata, f"{architecture}.context_length"),
        sliding_window=_number(metadata, f"{architecture}.attention.sliding_window"),
        expert_count=_number(metadata, f"{architecture}.expert_count"),
        expert_used_count=_number(metadata, f"{architecture}.expert_used_count"),
        pooling=pooling,
        is_embedding=embeds and pooling != 4,
        is_reranker=pooling == 4,
        has_chat_template="tokenizer.chat_template" in metadata,
        vocabulary_size=len(tokens) if isinstance(tokens, ArrayLength | tuple) else None,
        split_index=split_index,
        split_count=split_count,
    )


def _text(metadata: Mapping[str, Any], key: str) -> str | None:
    """A name that a stranger wrote and a terminal will show: printable, and no longer than a line or two."""
    value = metadata.get(key)
    return "".join(filter(str.isprintable, value[:LONGEST_LABEL])) or None if isinstance(value, str) else None


def _number(metadata: Mapping[str, Any], key: str) -> int | None:
    value = metadata.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _per_layer(metadata: Mapping[str, Any], key: str) -> PerLayer | None:
    value = metadata.get(key)
    if isinstance(value, tuple) and value and all(isinstance(item, int) and item >= 0 for item in value):
        return value
    return _number(metadata, key)
