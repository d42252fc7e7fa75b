"""Bedrock in an account: the driver's contract, and the journey of the example."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drivers.contract import DriverContract
from tests.drivers.on_demand import OnDemandContract
from tests.journeys.bedrock import BedrockJourney
from tests.live.ground import Ground
from tests.live.harness import LiveBedrock
from tests.live.stage import Stage


@pytest.mark.bill(minutes=10)
class TestOnDemand(OnDemandContract):
    """A token costs something, nothing else."""

    @pytest.fixture
    def harness(self, ground: Ground) -> LiveBedrock:
        return LiveBedrock(ground, {})


@pytest.mark.bill(minutes=10)
class TestInferenceProfile(DriverContract):
    """The same through profiles of one's own, which cost nothing."""

    @pytest.fixture
    def harness(self, ground: Ground) -> LiveBedrock:
        return LiveBedrock(ground, {"cloud.tags": "purpose:live-test"})


@pytest.mark.bill(minutes=15)
def test_the_example_from_its_doctor_to_nothing_left(ground: Ground, tmp_path: Path) -> None:
    stage = Stage(ground, "aws-bedrock")
    journey = BedrockJourney(stage, stage.lab(tmp_path / "lab"), stage.settings())
    journey.doctor()
    journey.apply()
    journey.tag()
    journey.replace()
    journey.destroy()
