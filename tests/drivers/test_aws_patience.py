"""Promise: no method of AWS's drivers takes longer than thirty seconds, and what it left is done the next time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.endpoint
import pytest
from botocore.exceptions import ReadTimeoutError

from drivers import probe
from drivers.aws import patience
from drivers.aws.bedrock.driver import BedrockDriver
from drivers.aws.clients import Clients
from drivers.aws.ec2.driver import Ec2Driver
from drivers.aws.place import Place
from drivers.aws.sagemaker.driver import SageMakerDriver
from drivers.aws.settings import AwsSettings
from drivers.base import Deployment, Phase
from drivers.errors import DriverError, Unavailable
from drivers.naming import external_name
from infra.localaws.localaws import LocalAws
from tests import builders
from tests.drivers import aws_clouds

A_METHOD_S, SLOWEST_S = 30.0, patience.CONNECT_S + patience.READ_S
DRIVERS: tuple[tuple[type, str], ...] = (
    (SageMakerDriver, "ai/smollm2"), (Ec2Driver, "ai/smollm2"), (BedrockDriver, "ai/gpt-oss"),
)  # fmt: skip
METHODS = ("observe", "create", "update", "delete", "observe_many")
PLACES = 3


class Slow:
    """A clock that only requests move, each by as long as it takes. `silent`: none of them is answered."""

    def __init__(self) -> None:
        self.now_s, self.each_s, self.silent = 1000.0, 0.0, False
        self.answers_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def before_send(self, **_: Any) -> None:
        self.now_s += self.each_s
        if self.silent:
            raise ReadTimeoutError(endpoint_url="https://api.example.org")

    def completed(self, *given: Any, timeout_s: float, **named: Any) -> probe.Answer:
        """A model that takes all the time it is given, and says nothing."""
        self.now_s += timeout_s
        self.answers_s = timeout_s
        return probe.Answer(False, "silent")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    clock = Slow()
    monkeypatch.setattr(botocore.endpoint.time, "sleep", lambda seconds: None)  # between two attempts
    for name in ("complete", "embed", "rerank"):
        monkeypatch.setattr(probe, name, clock.completed)
    return clock


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> LocalAws:
    made = aws_clouds.fresh()
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


def settings(root: Path) -> AwsSettings:
    role = "arn:aws:iam::123456789012:role/models"
    return aws_clouds.settings(root, region="us-west-2", roles={"default": role}, instance_profile="machines")


def slowed(own: AwsSettings, slow: Slow) -> Clients:
    """The product's own clients, whose requests take as long as the clock says."""
    clients = Clients(own, slow)
    clients._session(Place(own.region, None)).register("before-send", slow.before_send)
    return clients


def driver_of(kind: Callable[..., Any], root: Path, slow: Slow) -> Any:
    own = settings(root)
    return kind(settings=own, clients=slowed(own, slow), clock=lambda: datetime.now(UTC))


def deployment(model: str, number: int = 1) -> Deployment:
    made = builders.deployment(number, spec=builders.model_spec(model=model))
    return replace(made, name=external_name(made.lineage, made.model, made.id))


@pytest.mark.parametrize(("kind", "model"), DRIVERS, ids=lambda each: getattr(each, "__name__", ""))
def test_no_method_takes_longer_than_thirty_seconds(
    cloud: LocalAws, tmp_path: Path, slow: Slow, kind: type, model: str
) -> None:
    """Three attempts of eleven seconds were more than thirty for a single read, and a create makes a dozen of them."""
    for silent, each_s in ((True, SLOWEST_S), (False, SLOWEST_S), (False, 4.0), (False, 1.0)):
        slow.silent, slow.each_s = silent, each_s
        driver, own = driver_of(kind, tmp_path, slow), [deployment(model, number) for number in range(1, 7)]
        for name in METHODS * 2:
            began_s = slow.now_s
            with suppress(DriverError):
                getattr(driver, name)(own if name == "observe_many" else own[0])
            assert slow.now_s - began_s <= A_METHOD_S, (name, silent, each_s)


@pytest.mark.parametrize(("kind", "each_s"), [(SageMakerDriver, 6.0), (Ec2Driver, 2.0)])
def test_a_listing_has_its_time_for_each_place(
    cloud: LocalAws, tmp_path: Path, slow: Slow, kind: type, each_s: float
) -> None:
    """It is complete or an error, and an operator may name many regions: together they may take longer. `each_s`: what
    a request may take where all of one place are to be answered."""
    slow.each_s = each_s
    own = replace(settings(tmp_path), regions=("us-west-2", "us-east-1", "eu-west-1"))
    driver = kind(settings=own, clients=slowed(own, slow), clock=lambda: datetime.now(UTC))
    began_s = slow.now_s
    assert driver.owned(builders.LINEAGE) == ()
    assert A_METHOD_S < slow.now_s - began_s <= PLACES * A_METHOD_S
    slow.silent, slow.each_s, began_s = True, SLOWEST_S, slow.now_s
    with pytest.raises(Unavailable):
        driver.owned(builders.LINEAGE)
    assert slow.now_s - began_s <= A_METHOD_S


def test_a_silent_read_is_repeated_as_long_as_there_is_time(cloud: LocalAws, tmp_path: Path, slow: Slow) -> None:
    slow.silent, slow.each_s = True, SLOWEST_S
    driver, began_s = driver_of(SageMakerDriver, tmp_path, slow), slow.now_s
    with pytest.raises(Unavailable, match="AWS answers slowly: GetCallerIdentity is left for the next time"):
        driver.observe(deployment("ai/smollm2"))
    assert slow.now_s - began_s == 2 * SLOWEST_S


def test_what_is_left_for_the_next_time_was_not_sent_and_is_done_then(
    cloud: LocalAws, tmp_path: Path, slow: Slow
) -> None:
    """A create that AWS answers in six seconds a call goes as far as it comes, and the next one goes on from there."""
    slow.each_s = 6.0
    driver, wanted = driver_of(SageMakerDriver, tmp_path, slow), deployment("ai/smollm2")
    with pytest.raises(Unavailable, match="CreateEndpoint is left"):
        driver.create(wanted)
    assert sorted(entry.kind for entry in cloud.books()) == ["endpoint config", "model"]
    slow.each_s = 1.0
    assert driver.create(wanted).phase is Phase.CREATING
    assert sorted(entry.kind for entry in cloud.books()) == ["endpoint", "endpoint config", "model"]


def test_a_model_is_asked_in_the_time_that_is_left(cloud: LocalAws, tmp_path: Path, slow: Slow) -> None:
    driver, wanted = driver_of(SageMakerDriver, tmp_path, slow), deployment("ai/smollm2")
    cloud.latencies(create_s=1.0)
    driver.create(wanted)
    cloud.advance(2.0)
    slow.each_s = 7.0
    assert driver.observe(wanted).detail == "the model does not answer yet: silent"
    assert slow.answers_s == patience.METHOD_S - 2 * 7.0


def test_threads_of_a_method_have_its_time_and_no_more() -> None:
    clock = Slow()
    with patience.method(clock), ThreadPoolExecutor(max_workers=2) as pool:
        clock.now_s += 20.0
        assert list(pool.map(patience.carried(patience.share_s), (20.0, 5.0))) == [9.0, 5.0]
        clock.now_s += 8.5
        with pytest.raises(Unavailable, match="the model is asked the next time"):
            list(pool.map(patience.carried(patience.share_s), (20.0,)))
    assert patience.share_s(20.0) == 20.0


def test_clients_that_the_sdk_makes_by_itself_keep_the_time_too(tmp_path: Path, cloud: LocalAws, slow: Slow) -> None:
    """Credentials of a profile with a role are got by a client of the session's own, for which a minute is usual."""
    own = settings(tmp_path)
    session = slowed(own, slow)._session(Place(own.region, None))
    client = session.create_client("sts", region_name="us-west-2")
    assert (client.meta.config.connect_timeout, client.meta.config.read_timeout) == (3.0, 8.0)
    with patience.method(slow):
        slow.now_s += 20.0
        with pytest.raises(Unavailable):
            client.get_caller_identity()
