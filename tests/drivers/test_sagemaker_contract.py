"""The contract suite over SageMaker on the local cloud."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drivers.contract import DriverContract
from tests.drivers.sagemakers import SageMakers


class TestSageMaker(DriverContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> SageMakers:
        return SageMakers(tmp_path)
