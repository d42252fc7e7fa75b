"""The contract suite over Bedrock on the local cloud, once for every way in which a model is served there."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.aws.bedrock.wish import Mode
from drivers.aws.clients import Clients
from infra.localaws.localaws import LocalAws
from tests.drivers.bedrocks import Bedrocks, settings
from tests.drivers.contract import DriverContract
from tests.drivers.on_demand import OnDemandContract


class OnBedrock(DriverContract):
    mode: Mode

    @pytest.fixture
    def harness(self, aws: LocalAws, aws_clients: Clients, tmp_path: Path) -> Bedrocks:
        return Bedrocks(aws, aws_clients, settings(tmp_path), self.mode)


class TestInferenceProfile(OnBedrock):
    mode = Mode.PROFILE


class TestProvisionedThroughput(OnBedrock):
    mode = Mode.PROVISIONED


class TestCustomModelImport(OnBedrock):
    mode = Mode.IMPORT


class TestOnDemand(OnDemandContract, OnBedrock):
    mode = Mode.ON_DEMAND
