"""On which machines a spec may run: native instance types in order of preference, and what each of them is. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from drivers import catalog
from drivers.base import ModelSpec
from drivers.errors import Rejected
from drivers.values import Accelerator, Range, accelerators, comma_list, whole_range

PLATFORM = "aws-ec2"
STANDARD = "gpu-small"
"""What a spec gets that names neither a size nor an accelerator."""
_ARM = re.compile(r"[a-z]+[0-9]+g[a-z]*|p6e-gb[0-9]+")
_GPU = re.compile(r"(?:g|gr|p)[0-9]")
_GIB_TO_GB = 1.0737
_ROUNDING = 1.07
"""Vendors round: 24 GB is 22.4 GiB, and 80 GB is 80 GiB."""


class Gpus(NamedTuple):
    """The GPUs of one instance type."""

    name: str
    number: int
    gib: float
    """Of all of them together."""


def instance_types(spec: ModelSpec) -> tuple[str, ...]:
    """Native types in order of preference. Raises Rejected where the spec asks for what this platform does not have."""
    named = [word for word in comma_list(spec.options.get("cloud.instance-type", "")) if word != "auto"]
    if not named:
        return _fitting(spec, _everything()) if _asks_for_gpus(spec) else _natives(STANDARD)
    found = tuple(dict.fromkeys(native for word in named for native in _natives(word)))
    if not found:
        raise Rejected(f"cloud.instance-type: {PLATFORM} has no {' or '.join(named)}")
    for native in found:
        if is_arm(native):
            raise Rejected(f"cloud.instance-type: {native} is an ARM machine, and the engines' images are for x86")
    if len({has_gpu(native) for native in found}) > 1:
        raise Rejected("cloud.instance-type: machines with and without GPUs cannot stand in for each other")
    return _fitting(spec, found)


def gpus_of(native: str) -> Gpus | None:
    """What the catalogue knows of a type's GPUs; None for a type that it does not list."""
    family, _, size = native.partition(".")
    entry = catalog.sizes()["families"].get(family)
    if entry is None:
        return None
    count = int(entry.get("counts", {}).get(size, entry["count"]))
    return Gpus(str(entry["gpu"]), count, float(entry["gib"]) * count)


def has_gpu(native: str) -> bool:
    """Whether the type carries GPUs, by its family's name."""
    return _GPU.match(native) is not None


def is_arm(native: str) -> bool:
    """Whether the type is of the Graviton families (`c7g`, `g5g`) or a Grace one."""
    return _ARM.fullmatch(native.partition(".")[0]) is not None


def replicas(spec: ModelSpec) -> int:
    """How many machines. A range is refused in the plan (`options.py`)."""
    return int(whole_range(spec.options.get("cloud.replicas", "1")).low)


def markets(spec: ModelSpec) -> tuple[bool, ...]:
    """Whether to ask for spot capacity, one after the other."""
    return {"prefer": (True, False), "require": (True,)}.get(spec.options.get("cloud.spot", "never"), (False,))


def _natives(word: str) -> tuple[str, ...]:
    sizes = catalog.sizes()["sizes"]
    if word in sizes:
        return tuple(str(native) for native in sizes[word].get(PLATFORM, ()))
    pattern = catalog.platforms().platforms[PLATFORM].instance
    return (word,) if re.fullmatch(pattern, word) else ()


def _everything() -> tuple[str, ...]:
    """All types of the friendly sizes, the smallest first."""
    return tuple(dict.fromkeys(native for size in catalog.sizes()["sizes"] for native in _natives(size)))


def _asks_for_gpus(spec: ModelSpec) -> bool:
    return "cloud.accelerator" in spec.options or "cloud.accelerator-memory" in spec.options


def _fitting(spec: ModelSpec, natives: tuple[str, ...]) -> tuple[str, ...]:
    found = tuple(native for native in natives if not any(_conflicts(spec.options, gpus_of(native))))
    if not found:
        key = "cloud.accelerator" if "cloud.accelerator" in spec.options else "cloud.accelerator-memory"
        raise Rejected(f"{key}: none of {', '.join(natives)} has {spec.options[key]}")
    return found


def _conflicts(options: Mapping[str, str], gpus: Gpus | None) -> Iterator[str]:
    wanted = accelerators(options["cloud.accelerator"]) if "cloud.accelerator" in options else ()
    if wanted and (gpus is None or not any(_is(gpus, item) for item in wanted)):
        yield "cloud.accelerator"
    if "cloud.accelerator-memory" in options:
        memory = whole_range(options["cloud.accelerator-memory"])
        if gpus is None or not _is_within(gpus, memory):
            yield "cloud.accelerator-memory"


def _is(gpus: Gpus, wanted: Accelerator) -> bool:
    return _plain(gpus.name) == _plain(wanted.name) and gpus.number == wanted.count


def _is_within(gpus: Gpus, memory: Range) -> bool:
    return memory.low <= gpus.gib * _GIB_TO_GB * _ROUNDING and gpus.gib <= memory.high * 1.01


def _plain(name: str) -> str:
    """`nvidia-tesla-t4`, `NVIDIA_L4` and `A100-80GB` as `t4`, `l4`, `a100`."""
    word = name.lower().replace("_", "-").removeprefix("nvidia-").removeprefix("tesla-")
    head, dash, tail = word.rpartition("-")
    return (head if dash and tail.endswith("gb") else word).replace("-", "")
