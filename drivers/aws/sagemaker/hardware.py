"""Cores and main memory of SageMaker's instance types, which AWS tells for those of EC2 only. Pure.

An `ml.` type has what the EC2 type of the same name has; sizes are regular but for those that are listed. A test
compares this with what EC2 says of every type that SageMaker knows.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_USUAL = ("xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge", "48xlarge")
_SMALL = ("large", *_USUAL)
_SIZES = {
    "g4dn": _USUAL[:6], "g5": _USUAL, "g6": _USUAL, "g6e": _USUAL,
    "g7": ("2xlarge", "4xlarge", "8xlarge", "12xlarge", "24xlarge", "48xlarge"),
    "g7e": ("2xlarge", "4xlarge", "8xlarge", "12xlarge", "24xlarge", "48xlarge"),
    "p4d": ("24xlarge",), "p4de": ("24xlarge",), "p5": ("4xlarge", "48xlarge"), "p5e": ("48xlarge",),
    "p5en": ("48xlarge",), "p6-b200": ("48xlarge",), "p6-b300": ("48xlarge",),
    "c7i": _SMALL, "m7i": _SMALL, "r7i": _SMALL,
}  # fmt: skip
"""Families that a size can be chosen of."""
_GIB_PER_CORE = {
    "g4dn": 4, "g5": 4, "g6": 4, "g6e": 8, "g7": 4, "g7e": 8, "p4d": 12, "p4de": 12, "p5": 32 / 3, "p5e": 32 / 3,
    "p5en": 32 / 3, "p6-b200": 32 / 3, "p6-b300": 64 / 3,
}  # fmt: skip
_PLAIN = {"c": 2, "m": 4, "r": 8}
"""GiB for each core of families without accelerators, by their first letter."""
_ODD = {
    "p5.4xlarge": 256.0, "g7e.12xlarge": 512.0, "g7e.24xlarge": 1024.0, "g7e.48xlarge": 2048.0,
}  # fmt: skip
"""GiB of sizes that have more or less of it than the rest of their family."""
_CORES = {"medium": 1, "large": 2, "xlarge": 4}


class Hardware(NamedTuple):
    """What an instance type has."""

    cores: int
    gib: float


def hardware(instance_type: str) -> Hardware | None:
    """Of a type such as `ml.g6.xlarge`; None where that is not known here."""
    name = instance_type.removeprefix("ml.")
    family, _, size = name.partition(".")
    found = re.fullmatch("([0-9]+)xlarge", size)
    cores = 4 * int(found[1]) if found else _CORES.get(size)
    # The fifth generation is the first one that is regular.
    plain = re.fullmatch(r"([cmr])[5-9][a-z]*", family)
    per_core = _GIB_PER_CORE.get(family) or (_PLAIN[plain[1]] if plain else None)
    if cores is None or per_core is None:
        return None
    return Hardware(cores, _ODD.get(name, cores * per_core))


def types_of(family: str) -> tuple[str, ...]:
    """The types of a family, the smallest first; none of a family that is not known here."""
    return tuple(f"ml.{family}.{size}" for size in _SIZES.get(family, ()))
