"""SageMaker in an account: the driver's contract, and the journey of the example, without a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drivers.contract import DriverContract
from tests.journeys.sagemaker import EXAMPLE, SageMakerJourney
from tests.live.ground import Ground
from tests.live.harness import SAGEMAKER_TYPE, LiveSageMaker
from tests.live.stage import Stage


@pytest.mark.bill(SAGEMAKER_TYPE, SAGEMAKER_TYPE, minutes=25)
class TestSageMaker(DriverContract):
    """Two endpoints at most at a time."""

    @pytest.fixture
    def harness(self, ground: Ground) -> LiveSageMaker:
        return LiveSageMaker(ground)


@pytest.mark.bill(*["aws-sagemaker/cpu"] * 4, minutes=60)
def test_the_example_from_its_first_plan_to_nothing_left(ground: Ground, tmp_path: Path) -> None:
    """Two instances, and as many new ones beside them during an update."""
    stage = Stage(ground, "aws-sagemaker")
    lab = stage.lab(tmp_path / "lab")
    lab.start_repository(EXAMPLE)
    journey = SageMakerJourney(stage, lab, patience=stage.patience)
    journey.plan()
    journey.apply()
    journey.update()
    journey.destroy()
