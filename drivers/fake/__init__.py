"""Platforms in memory with the manners of real ones, and their driver: for tests of what stands above drivers.

platform.py    what they share: one thing per name, time, faults, a price meter
flavours.py    where the real ones differ: names, tokens, operations, parts, processes of this host
driver.py      `drivers.base.Driver` on any of them
"""

from drivers.fake.driver import FakeDriver
from drivers.fake.flavours import (
    FLAVOURS,
    LocalPlatform,
    NamedPlatform,
    OperationPlatform,
    PartsPlatform,
    TokenPlatform,
)
from drivers.fake.platform import REFUSED_FLAG, FakePlatform, Thing

__all__ = [
    "FLAVOURS",
    "REFUSED_FLAG",
    "FakeDriver",
    "FakePlatform",
    "LocalPlatform",
    "NamedPlatform",
    "OperationPlatform",
    "PartsPlatform",
    "Thing",
    "TokenPlatform",
]
