"""EC2 owes what every driver owes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drivers.contract import DriverContract
from tests.drivers.ec2s import Ec2s, Fleets


class TestEc2(DriverContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[Ec2s]:
        platform = Ec2s(tmp_path)
        yield platform
        platform.cloud.reset()


class TestFleet(DriverContract):
    """Two machines behind a load balancer."""

    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[Fleets]:
        platform = Fleets(tmp_path)
        yield platform
        platform.cloud.reset()
