"""The contract suite over real servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drivers.contract import DriverContract
from tests.drivers.llamas import Llamas, llamas

pytestmark = pytest.mark.llama


class TestLlamaCpp(DriverContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[Llamas]:
        with llamas(tmp_path) as platform:
            yield platform
