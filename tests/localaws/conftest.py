"""One local cloud per process, as new for every test. Its clients are made once: each costs a tenth of a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.config import Config

from infra.localaws.localaws import LocalAws
from tests.localaws.hosting import ROLE, VARIANT, make_endpoint, make_model

Clients = Callable[[str], Any]
ONE_TRY = Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=10)


@pytest.fixture(scope="session")
def running() -> Iterator[LocalAws]:
    with LocalAws() as cloud:
        yield cloud


@pytest.fixture
def cloud(running: LocalAws) -> LocalAws:
    running.reset()
    return running


@pytest.fixture(scope="session")
def clients(running: LocalAws) -> Clients:
    """Clients by service, which try everything once only: what a test sees is what the cloud said."""

    @cache
    def client(service: str) -> Any:
        return boto3.client(service, config=ONE_TRY, **running.credentials)

    return client


@pytest.fixture
def sagemaker(cloud: LocalAws, clients: Clients) -> Any:
    return clients("sagemaker")


@pytest.fixture
def hosted(cloud: LocalAws, sagemaker: Any) -> LocalAws:
    """The endpoint `e1` for components, in service, which may go down to no instance and up to three."""
    variant = {
        "VariantName": VARIANT,
        "InstanceType": "ml.g6.xlarge",
        "InitialInstanceCount": 1,
        "ManagedInstanceScaling": {"Status": "ENABLED", "MinInstanceCount": 0, "MaxInstanceCount": 3},
        "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
    }
    sagemaker.create_endpoint_config(EndpointConfigName="c1", ProductionVariants=[variant], ExecutionRoleArn=ROLE)
    make_endpoint(sagemaker)
    make_model(sagemaker)
    cloud.advance(300)
    return cloud
