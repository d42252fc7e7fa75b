"""The composition root: one object for each thing that several threads share."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import cast

from drivers.base import Driver
from reconciler.settings import default_settings
from reconciler.wiring import Drivers


class _Meeting(Drivers):
    """Makes drivers so slowly that every thread that may begin to make one does."""

    def __init__(self, folder: Path, threads: int) -> None:
        super().__init__(default_settings({"HOME": str(folder)}), {})
        self._all = threading.Barrier(threads)

    def _make(self, name: str) -> Driver:
        with suppress(threading.BrokenBarrierError):
            self._all.wait(0.2)
        return cast(Driver, object())


def test_threads_that_ask_at_once_get_the_same_driver(tmp_path: Path) -> None:
    """Two of them once each had their own, and each its own memory of pulls under way and servers being stopped."""
    drivers = _Meeting(tmp_path, 3)
    with ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(drivers, ["llamacpp"] * 3))) == 1


def test_a_driver_is_the_same_in_every_pass(tmp_path: Path) -> None:
    drivers = Drivers(default_settings({"HOME": str(tmp_path)}), {})
    assert drivers("llamacpp") is drivers("llamacpp")
