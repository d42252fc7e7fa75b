"""EC2 in an account: the driver's contract, and the journey of the example, without a GPU. Whoever runs it must reach
the machines: it runs in their network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.drivers.contract import DriverContract
from tests.journeys.ec2 import EXAMPLE, Ec2Journey
from tests.live.ground import Ground
from tests.live.harness import EC2_TYPE, LiveEc2
from tests.live.stage import Stage


@pytest.mark.bill(EC2_TYPE, EC2_TYPE, minutes=25)
class TestEc2(DriverContract):
    """Two machines at most at a time."""

    @pytest.fixture
    def harness(self, ground: Ground) -> LiveEc2:
        return LiveEc2(ground)


@pytest.mark.bill(*["aws-ec2/cpu"] * 3, "balancer", minutes=60)
def test_the_example_from_its_first_plan_to_nothing_left(ground: Ground, tmp_path: Path) -> None:
    """One machine, another one beside it, and then two."""
    stage = Stage(ground, "aws-ec2")
    lab = stage.lab(tmp_path / "lab")
    lab.start_repository(EXAMPLE)
    profile = str(ground.account.settings.instance_profile).rpartition("/")[2]
    journey = Ec2Journey(stage, lab, profile=profile, patience=stage.patience)
    journey.plan()
    journey.apply()
    journey.replace()
    journey.multiply()
    journey.destroy()
