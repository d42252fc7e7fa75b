"""Promise: whichever API call is lost, there is one whole set of everything afterwards, or nothing at all."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pytest

from drivers.aws.ec2 import names
from drivers.base import Deployment
from tests.drivers.aws_converge import Reconciler, nothing, survived
from tests.drivers.ec2s import Ec2s, Fleets

FLEET = {
    "autoscaling group": 1,
    "ec2 instance": 2,
    "ec2 launch template": 1,
    "ec2 security group": 1,
    "elbv2 load balancer": 1,
    "elbv2 target group": 1,
    "ssm parameter": 1,
}
ONE_SET = {"ec2 instance": 1, "ec2 launch template": 1, "ec2 security group": 1, "ssm parameter": 1}


class Bench:
    """Makes platforms, and knows the deployments that the acts are about."""

    def __init__(self, root: Path, lag_s: float = 0.0, kind: type[Ec2s] = Ec2s) -> None:
        self.root, self.lag_s, self.kind = root, lag_s, kind
        self.numbers = itertools.count(1)

    def __call__(self) -> Ec2s:
        made = self.kind(self.root / str(next(self.numbers)))
        made.cloud.perform("ec2-lag", seconds=self.lag_s)
        return made


def first(reconciler: Reconciler) -> Deployment:
    return rig(reconciler).deployment(1)


def second(reconciler: Reconciler) -> Deployment:
    return rig(reconciler).deployment(2, context_size=1024)


def rig(reconciler: Reconciler) -> Ec2s:
    assert isinstance(reconciler.rig, Ec2s)
    return reconciler.rig


def create(reconciler: Reconciler) -> None:
    reconciler.bring(first(reconciler))


def replace_it(reconciler: Reconciler) -> None:
    reconciler.bring(second(reconciler))
    reconciler.remove(first(reconciler))


def destroy(reconciler: Reconciler) -> None:
    reconciler.remove(first(reconciler))


def one_set(reconciler: Reconciler) -> None:
    wanted = FLEET if isinstance(reconciler.rig, Fleets) else ONE_SET
    assert Counter(rig(reconciler).books()) == wanted


def of_the_second(reconciler: Reconciler) -> None:
    one_set(reconciler)
    assert rig(reconciler).things(second(reconciler)) == 1


def no_trace(reconciler: Reconciler) -> None:
    assert rig(reconciler).books() == []
    assert not list((rig(reconciler).settings.key_root / "ec2").iterdir())


ACTS = {
    "create": (nothing, create, one_set),
    "replace": (create, replace_it, of_the_second),
    "destroy": (create, destroy, no_trace),
}


@pytest.mark.parametrize("act", ["create", "destroy", pytest.param("replace", marks=pytest.mark.slow)])
def test_every_lost_call_leaves_one_whole_set_or_nothing(
    act: str, tmp_path: Path, record_property: pytest.RecordProperty
) -> None:
    points = survived(Bench(tmp_path), *ACTS[act])
    record_property("crash points survived", points)
    print(f"aws-ec2 {act}: {points} crash points survived")
    assert points >= 20


@pytest.mark.slow
def test_the_same_while_two_zones_have_no_machine(tmp_path: Path) -> None:
    def scarce(reconciler: Reconciler) -> None:
        for zone in ("a", "b"):
            reconciler.rig.cloud.capacity(f"us-east-1{zone}/g6.xlarge", 0)

    def back_again(reconciler: Reconciler) -> None:
        """What was refused before is to be had again as soon as one request was lost: a second machine lies near."""
        create(reconciler)

    points = survived(Bench(tmp_path, lag_s=30.0), scarce, back_again, one_set)
    print(f"aws-ec2 create, two zones without capacity: {points} crash points survived")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("act", ACTS)
def test_a_fleet_is_whole_or_nothing_as_well(act: str, tmp_path: Path) -> None:
    points = survived(Bench(tmp_path, kind=Fleets), *ACTS[act])
    print(f"aws-ec2 {act}, two machines behind a load balancer: {points} crash points survived")


@pytest.mark.slow
def test_the_same_while_machines_are_shown_late(tmp_path: Path) -> None:
    """A listing of EC2 lags; only the client token keeps a second machine from being started."""
    points = survived(Bench(tmp_path, lag_s=100.0), *ACTS["create"])
    print(f"aws-ec2 create, machines shown 100 s late: {points} crash points survived")


def test_the_table_sees_a_driver_whose_tokens_are_made_up_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up = itertools.count()
    monkeypatch.setattr(names, "token", lambda *parts: f"token-{next(made_up)}")
    with pytest.raises(AssertionError, match="ec2 instance"):
        survived(Bench(tmp_path, lag_s=100.0), *ACTS["create"])
