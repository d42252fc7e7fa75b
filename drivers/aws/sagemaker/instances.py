"""Which instance types a spec comes to, in order of preference, and what the catalogue knows of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from drivers import catalog
from drivers.aws.sagemaker.hardware import hardware, types_of
from drivers.base import ModelSpec
from drivers.errors import Rejected
from drivers.values import Range, accelerators, comma_list, sizes, whole_range

MOST = 5
"""Pools of one variant (InstancePools)."""
DEFAULT_SIZE = "gpu-small"
_GPU_KEYS = ("cloud.accelerator", "cloud.accelerator-memory")
_HOST_KEYS = ("cloud.cpu", "cloud.memory")
_SHAPE = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9]+")
_SMALLEST = {
    "g4dn": "xlarge", "g6": "xlarge", "g5": "xlarge", "g6e": "xlarge", "g7": "2xlarge", "g7e": "2xlarge",
    "p4d": "24xlarge", "p4de": "24xlarge", "p5": "48xlarge", "p5e": "48xlarge", "p5en": "48xlarge",
    "p6-b200": "48xlarge", "p6-b300": "48xlarge",
}  # fmt: skip
"""Families with a GPU, cheapest first, and their smallest size (botocore's ProductionVariantInstanceType)."""


class Gpus(NamedTuple):
    """What an instance type brings."""

    kind: str
    number: int
    gib: float
    """Memory of all of them together, GiB."""


def instance_types(spec: ModelSpec) -> tuple[str, ...]:
    """At most five native types, the preferred one first. Raises Rejected, beginning with the option's key."""
    asked = spec.options.get("cloud.instance-type", "auto")
    if asked == "auto":
        return _by_accelerator(spec) or _of_size(spec, DEFAULT_SIZE)
    found = tuple(dict.fromkeys(each for name in comma_list(asked) for each in _named(spec, name)))[:MOST]
    if len({is_gpu(each) for each in found}) > 1:
        raise Rejected("cloud.instance-type: types with and without GPU need different containers; name one kind only")
    if len({is_arm(each) for each in found}) > 1:
        raise Rejected("cloud.instance-type: Graviton and other types need different containers; name one kind only")
    return _fitting(spec, found)


def gpus(instance_type: str) -> Gpus | None:
    """What GPUs it has, None for none. Types that the catalogue does not know have none."""
    family, _, size = instance_type.removeprefix("ml.").partition(".")
    entry = catalog.sizes()["families"].get(family)
    if entry is None:
        return None
    count = int(entry.get("counts", {}).get(size, entry["count"]))
    return Gpus(entry["gpu"], count, entry["gib"] * count)


def is_gpu(instance_type: str) -> bool:
    """Whether it has a GPU, also one of a family that the catalogue does not know yet."""
    return gpus(instance_type) is not None or instance_type.removeprefix("ml.")[:1] in ("g", "p")


def is_arm(instance_type: str) -> bool:
    """Whether it is one of AWS's own processors, `ml.c7g.xlarge`."""
    return re.fullmatch(r"ml\.[a-z]+[0-9]g[a-z]*\..+", instance_type) is not None


def has_own_disk(instance_type: str) -> bool:
    """Whether it brings a disk, so that no volume of a chosen size or key can be had with it."""
    family = instance_type.removeprefix("ml.").partition(".")[0]
    return is_gpu(instance_type) or re.fullmatch(r"[a-z]+[0-9][a-z]*d[a-z]*", family) is not None


def _named(spec: ModelSpec, name: str) -> tuple[str, ...]:
    if name in catalog.sizes()["sizes"]:
        return _of_size(spec, name)
    if not _SHAPE.fullmatch(name):
        raise Rejected(
            f"cloud.instance-type: '{name}' is none of SageMaker's types: they begin with ml., as in ml.g6.xlarge"
        )
    return (name,)


def _of_size(spec: ModelSpec, size: str) -> tuple[str, ...]:
    """The types of a friendly size, each with the cores and the memory that are asked for."""
    natives: list[str] = catalog.sizes()["sizes"][size]["aws-sagemaker"]
    key = _asked(spec, _HOST_KEYS)
    if not key:
        return tuple(natives)
    found = tuple(each for native in natives for each in _with_host(spec, native))
    if not found:
        families = " and ".join(native.rpartition(".")[0] for native in natives)
        raise Rejected(f"{key}: no size of {families} has that; name a type with cloud.instance-type")
    return found


def _with_host(spec: ModelSpec, native: str) -> tuple[str, ...]:
    """The smallest of the same family and GPUs that fits, if there is one."""
    family = native.removeprefix("ml.").partition(".")[0]
    alike = (each for each in types_of(family) if gpus(each) == gpus(native) and _fits_host(spec, each))
    return tuple(alike)[:1]


def _by_accelerator(spec: ModelSpec) -> tuple[str, ...]:
    """Types that have what `cloud.accelerator` and `cloud.accelerator-memory` ask for, the smallest first."""
    key = _asked(spec, _GPU_KEYS)
    if not key:
        return ()
    every_size = bool(_asked(spec, _HOST_KEYS))
    fitting = [each for each in _known(every_size) if _fits(spec, each) and _fits_host(spec, each)]
    if not fitting:
        raise Rejected(f"{key}: none of SageMaker's instance types has that; name one with cloud.instance-type")
    names = [wish.name for wish in accelerators(spec.options.get("cloud.accelerator", ""))]
    by_wish = sorted(fitting, key=lambda each: _place(each, names))
    return tuple(by_wish[: MOST if len(names) > 1 else 1])


def _fitting(spec: ModelSpec, types: tuple[str, ...]) -> tuple[str, ...]:
    """Without those that lack the accelerators asked for, as the plan shows it; all of them lacking is a conflict."""
    key = _asked(spec, _GPU_KEYS)
    found = tuple(each for each in types if not key or _fits(spec, each))
    if not found:
        raise Rejected(f"{key}: {types[0]} has {_said(types[0])}; leave one of the two options out")
    left = tuple(each for each in found if _fits_host(spec, each))
    if not left:
        key = _asked(spec, _HOST_KEYS)
        raise Rejected(f"{key}: {found[0]} has {_host_said(found[0])}; leave one of the two options out")
    return left


def _asked(spec: ModelSpec, keys: tuple[str, ...]) -> str:
    return next((key for key in keys if key in spec.options), "")


def _fits(spec: ModelSpec, instance_type: str) -> bool:
    found = gpus(instance_type)
    if found is None:
        return False
    wishes = accelerators(spec.options.get("cloud.accelerator", ""))
    if wishes and not any(_is(wish.name, found.kind) and wish.count == found.number for wish in wishes):
        return False
    memory: Range = whole_range(spec.options.get("cloud.accelerator-memory", "0..100000"))
    # Vendors round: 24 GB is 22.4 GiB, and 80 GB is 80 GiB.
    return memory.low * 0.93 <= found.gib * 1.0737 and found.gib <= memory.high * 1.01


def _fits_host(spec: ModelSpec, instance_type: str) -> bool:
    """Whether it has the cores and the main memory asked for. What is not known of a type, it has not."""
    if not _asked(spec, _HOST_KEYS):
        return True
    found = hardware(instance_type)
    if found is None:
        return False
    memory = sizes(spec.options.get("cloud.memory", "1MB..100TB"))
    # 64 GB is what people say of 64 GiB.
    has_memory = memory.low <= found.gib * 2**30 and found.gib * 10**9 <= memory.high
    return has_memory and found.cores in whole_range(spec.options.get("cloud.cpu", "0..100000"))


def _host_said(instance_type: str) -> str:
    found = hardware(instance_type)
    return f"{found.cores} cores and {found.gib:g} GiB" if found else "cores and memory that are not known here"


def _is(name: str, kind: str) -> bool:
    """Whether a name that a user wrote means this kind: `l4`, `nvidia-l4`, `nvidia-tesla-t4`, `A100-80GB`."""
    return _plain(name) == _plain(kind)


def _plain(name: str) -> str:
    word = re.sub("^(nvidia-)?(tesla-)?", "", name.lower().replace("_", "-"))
    return re.sub("-[0-9]+gb$", "", word).replace("-", "")


def _place(instance_type: str, names: list[str]) -> tuple[int, int]:
    """As the names stand in the file, then the fewest GPUs: one large one is simpler to use than four small ones."""
    found = gpus(instance_type)
    at = next((at for at, name in enumerate(names) if found and _is(name, found.kind)), len(names))
    return at, found.number if found else 0


def _known(every_size: bool) -> Iterator[str]:
    """One type for each number of GPUs of each family, the smallest of each; or all sizes of them."""
    families: dict[str, Any] = catalog.sizes()["families"]
    if every_size:
        yield from (each for family in _SMALLEST for each in types_of(family))
        return
    for family, smallest in _SMALLEST.items():
        entry = families[family]
        sizes = {entry["count"]: smallest}
        for size, count in entry.get("counts", {}).items():
            if size != "metal":
                sizes.setdefault(count, size)
        for _, size in sorted(sizes.items()):
            yield f"ml.{family}.{size}"


def _said(instance_type: str) -> str:
    found = gpus(instance_type)
    return f"{found.number} × {found.kind}" if found else "no GPU"
