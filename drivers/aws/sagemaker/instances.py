"""Which instance types a spec comes to, in order of preference, and what the catalogue knows of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from drivers import catalog
from drivers.base import ModelSpec
from drivers.errors import Rejected
from drivers.values import Range, accelerators, comma_list, whole_range

MOST = 5
"""Pools of one variant (InstancePools)."""
DEFAULT_SIZE = "gpu-small"
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
        return _by_accelerator(spec) or _of_size(DEFAULT_SIZE)
    found = tuple(dict.fromkeys(each for name in comma_list(asked) for each in _named(name)))[:MOST]
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


def _named(name: str) -> tuple[str, ...]:
    if name in catalog.sizes()["sizes"]:
        return _of_size(name)
    if not _SHAPE.fullmatch(name):
        raise Rejected(
            f"cloud.instance-type: '{name}' is none of SageMaker's types: they begin with ml., as in ml.g6.xlarge"
        )
    return (name,)


def _of_size(size: str) -> tuple[str, ...]:
    return tuple(catalog.sizes()["sizes"][size]["aws-sagemaker"])


def _by_accelerator(spec: ModelSpec) -> tuple[str, ...]:
    """Types that have what `cloud.accelerator` and `cloud.accelerator-memory` ask for, the smallest first."""
    if not _asks(spec):
        return ()
    fitting = [each for each in _known() if _fits(spec, each)]
    if not fitting:
        raise Rejected(f"{_asks(spec)}: none of SageMaker's instance types has that; name one with cloud.instance-type")
    names = [wish.name for wish in accelerators(spec.options.get("cloud.accelerator", ""))]
    by_wish = sorted(fitting, key=lambda each: _place(each, names))
    return tuple(by_wish[: MOST if len(names) > 1 else 1])


def _fitting(spec: ModelSpec, types: tuple[str, ...]) -> tuple[str, ...]:
    """Without those that lack the accelerators asked for, as the plan shows it; all of them lacking is a conflict."""
    key = _asks(spec)
    found = tuple(each for each in types if not key or _fits(spec, each))
    if not found:
        raise Rejected(f"{key}: {types[0]} has {_said(types[0])}; leave one of the two options out")
    return found


def _asks(spec: ModelSpec) -> str:
    return next((key for key in ("cloud.accelerator", "cloud.accelerator-memory") if key in spec.options), "")


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


def _known() -> Iterator[str]:
    """One type for each number of GPUs of each family, the smallest of each."""
    families: dict[str, Any] = catalog.sizes()["families"]
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
