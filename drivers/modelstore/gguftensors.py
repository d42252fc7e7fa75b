"""The tensor table of a GGUF file, summed up: how many weights, how many bytes, and whether the file can hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivers.modelstore.ggml import TENSOR_TYPES
from drivers.modelstore.ggufreader import Window

LARGEST_ALIGNMENT = 1 << 20


@dataclass(slots=True)
class Tensors:
    """The tensor table, summed up as it is read: the table itself is never kept."""

    count: int = 0
    parameters: int = 0
    bytes: int = 0
    furthest: int = 0
    offset_bits: int = 0
    unknown_type: bool = False
    bytes_by_type: dict[str, int] | None = None

    @classmethod
    def read(cls, window: Window, count: int) -> Tensors:
        tensors = cls(count=count, bytes_by_type={})
        for _ in range(count):
            name = window.short_text("a tensor's name")
            dimensions = window.u32()
            if not 0 <= dimensions <= 4:
                raise ValueError(f"tensor {name!r} has {dimensions} dimensions")
            tensors._add(name, window.u64s(dimensions), window.u32(), window.u64())
        return tensors

    def _add(self, name: str, shape: tuple[int, ...], type_number: int, offset: int) -> None:
        elements = 1
        for extent in shape:
            elements *= extent
        self.parameters += elements
        self.offset_bits |= offset
        kind = TENSOR_TYPES.get(type_number)
        if kind is None:
            self.unknown_type = True
            self.furthest = max(self.furthest, offset)
            return
        if shape and shape[0] % kind.weights:
            raise ValueError(f"tensor {name!r} of type {kind.name} has rows of {shape[0]} elements")
        size = elements // kind.weights * kind.bytes
        self.bytes += size
        self.furthest = max(self.furthest, offset + size)
        assert self.bytes_by_type is not None
        self.bytes_by_type[kind.name] = self.bytes_by_type.get(kind.name, 0) + size

    def check(self, metadata: Mapping[str, Any], header_end: int, size: int) -> None:
        """The data that the table promises must lie in the file: a half-downloaded file is found out here."""
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 1 <= alignment <= LARGEST_ALIGNMENT or alignment & (alignment - 1):
            raise ValueError(f"its alignment is {alignment!r}, not a small power of two")
        if self.offset_bits & (alignment - 1):
            raise ValueError(f"a tensor's offset is no multiple of {alignment}")
        data = size - (header_end + -header_end % alignment)
        if self.furthest > max(data, 0):
            raise ValueError(f"its tensors need {self.furthest} bytes after the header, {max(data, 0)} are there")
        if self.bytes > max(data, 0):
            raise ValueError("its tensors overlap")
        if self.unknown_type:
            self.bytes = max(data, 0)

    def dominant(self) -> str | None:
        sizes = self.bytes_by_type or {}
        return max(sizes, key=lambda name: sizes[name]) if sizes and not self.unknown_type else None
