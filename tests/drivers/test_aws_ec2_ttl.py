"""Promise: `cloud.ttl` ends what costs money also where nobody is left to delete it, and a changed one reaches it."""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.aws import check
from drivers.aws.ec2 import expiry, fleetstanding
from drivers.aws.ec2.driver import Ec2Driver
from drivers.aws.ec2.fleetplatform import FleetPlatform
from drivers.aws.tags import PIECE, as_mapping, tags_of
from drivers.base import Deployment, Handling, Phase
from drivers.errors import DriverError, Rejected
from drivers.manifest import honoured, is_inert
from drivers.naming import external_name, mint_id
from drivers.values import duration
from tests import builders
from tests.drivers.aws_clouds import backdoor, settings
from tests.drivers.aws_converge import Act, Reconciler, nothing, survived
from tests.drivers.ec2s import Ec2s, Fleets
from tests.drivers.test_aws_ec2_crashes import FLEET, ONE_SET, Bench, no_trace, rig

GRACE_S = expiry.GRACE.total_seconds()


def of_now(platform: Ec2s, ttl: str | None, number: int = 1, tags: str = "") -> Deployment:
    """A deployment whose id is minted by the cloud's clock."""
    given = {"cloud.ttl": ttl} if ttl is not None else {}
    made = platform.deployment(number, options=given | ({"cloud.tags": tags} if tags else {}))
    id = mint_id(platform.now(), lambda size: bytes([number]) * size)
    return replace(made, id=id, name=external_name(made.lineage, made.model, id))


def with_ttl(deployment: Deployment, ttl: str | None) -> Deployment:
    options = {key: value for key, value in deployment.spec.options.items() if key != "cloud.ttl"}
    spec = replace(deployment.spec, options=options | ({"cloud.ttl": ttl} if ttl is not None else {}))
    return replace(deployment, spec=spec)


def pass_by(platform: Ec2s, seconds: float) -> None:
    """Time goes by, and nobody looks: what is due happens at its time, not at the end."""
    for _ in range(20):
        platform.cloud.advance(seconds / 20)
    platform.cloud.advance(120)


@pytest.fixture(params=[Ec2s, Fleets])
def platform(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ec2s]:
    made: Ec2s = request.param(tmp_path)
    yield made
    made.cloud.reset()


def test_machines_go_at_their_time_although_nobody_deletes_them(platform: Ec2s) -> None:
    deployment, seen = platform.ready(deployment=of_now(platform, "2h"))
    assert seen.spec_digest == deployment.spec.digest
    pass_by(platform, 7200)
    assert platform.machines(deployment) != [], "the reconciler has its hour"
    pass_by(platform, GRACE_S)
    assert platform.machines() == []
    assert "ec2 instance" not in platform.books()


def test_machines_without_a_time_stay(platform: Ec2s) -> None:
    for number, ttl in ((1, None), (2, "off")):
        deployment, seen = platform.ready(deployment=of_now(platform, ttl, number))
        assert seen.spec_digest == deployment.spec.digest
        pass_by(platform, 90_000)
        assert platform.machines(deployment) != []


def test_what_ended_by_itself_has_failed_and_its_rest_can_be_removed(tmp_path: Path) -> None:
    platform = Ec2s(tmp_path)
    deployment, _ = platform.ready(deployment=of_now(platform, "2h"))
    pass_by(platform, 7200 + GRACE_S)
    seen = platform.driver.observe(deployment)
    assert (seen.phase, "the machine shut itself down" in seen.detail) == (Phase.FAILED, True)
    platform.until(platform.driver.delete, deployment, Phase.ABSENT)
    assert platform.books() == []
    platform.cloud.reset()


def test_a_fleet_that_ended_has_failed_also_where_its_time_is_made_longer_now(tmp_path: Path) -> None:
    """It was awaited for as long as a start may take, and services were pointed at an address without a machine."""
    fleets = Fleets(tmp_path)
    deployment, _ = fleets.ready(deployment=of_now(fleets, "2h"))
    pass_by(fleets, 7200 + GRACE_S)
    assert fleets.driver.observe(deployment).phase is Phase.FAILED
    longer = with_ttl(deployment, "9h")
    seen = fleets.driver.update(longer)
    assert (seen.phase, seen.detail) == (Phase.FAILED, fleetstanding.ENDED)
    fleets.until(fleets.driver.delete, longer, Phase.ABSENT)
    assert fleets.books() == []
    fleets.cloud.reset()


@pytest.mark.parametrize(("before", "after", "left"), [("2h", "5h", True), ("5h", "2h", False), ("2h", None, True),
                                                       (None, "2h", False), ("2h", "off", True)])  # fmt: skip
def test_a_changed_time_reaches_what_is_there(
    platform: Ec2s, before: str | None, after: str | None, left: bool
) -> None:
    deployment, _ = platform.ready(deployment=of_now(platform, before))
    changed = with_ttl(deployment, after)
    machines = [one["InstanceId"] for one in platform.machines(deployment)]
    if duration(after or "off") != duration(before or "off"):
        assert platform.driver.observe(changed).spec_digest == expiry.UNSETTLED, "it is not done before it is done"
    seen = platform.driver.update(changed)
    assert (seen.phase, seen.spec_digest) == (Phase.READY, changed.spec.digest)
    assert [one["InstanceId"] for one in platform.machines(deployment)] == machines
    (found,) = platform.driver.owned(deployment.lineage)
    assert found.spec == changed.spec, "a lost record is read back with the new time"
    pass_by(platform, 7200 + GRACE_S)
    assert (platform.machines(deployment) != []) is left
    platform.until(platform.driver.delete, changed, Phase.ABSENT)
    assert platform.books() == []


@pytest.mark.parametrize("kind", [Ec2s, pytest.param(Fleets, marks=pytest.mark.slow)])
def test_whoever_asks_for_machines_and_is_never_seen_again_leaves_none(kind: type[Ec2s], tmp_path: Path) -> None:
    """Each call of a create is the last one of a reconciler, answered or not."""
    bench = Bench(tmp_path, kind=kind)
    platform, points = bench(), 0
    platform.driver.create(of_now(platform, "2h"))
    for number in range(1, len(platform.cloud.calls()) + 1):
        for fault in ("request-lost", "response-lost"):
            platform = bench()
            deployment = of_now(platform, "2h")
            platform.cloud.fault(fault, at=number)
            with contextlib.suppress(DriverError):
                platform.driver.create(deployment)
            pass_by(platform, 7200 + GRACE_S)
            assert platform.machines() == [], (fault, number)
            points += 1
    print(f"aws-ec2 create with an end, {kind.__name__}: {points} points at which a reconciler may vanish")
    assert points >= 20


def test_a_fleet_that_gets_its_machines_before_its_end_is_seen_to_leave_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail."""
    monkeypatch.setattr(FleetPlatform, "schedule_ending", lambda *given: None)
    with pytest.raises(AssertionError):
        test_whoever_asks_for_machines_and_is_never_seen_again_leaves_none(Fleets, tmp_path)


def timed(ttl: str | None) -> Act:
    """Bring a deployment about, or have the one that is there end at another time."""

    def act(reconciler: Reconciler) -> None:
        if reconciler.recorded:
            (known,) = reconciler.recorded.values()
            reconciler.change(with_ttl(known, ttl))
        else:
            reconciler.bring(of_now(rig(reconciler), ttl))

    return act


def removed(reconciler: Reconciler) -> None:
    (known,) = reconciler.recorded.values()
    reconciler.remove(known)


def ends(at: str | None) -> Act:
    """One whole set, which will end so long after it was minted."""

    def check(reconciler: Reconciler) -> None:
        (known,) = reconciler.recorded.values()
        wanted = expiry.expiry(with_ttl(known, at))
        platform = rig(reconciler)
        books = Counter(platform.books())
        assert books.pop("autoscaling scheduled action", 0) == (isinstance(platform, Fleets) and at is not None)
        assert books == (FLEET if isinstance(platform, Fleets) else ONE_SET)
        assert told(platform, known) == wanted
        (found,) = platform.driver.owned(known.lineage)
        assert found.spec == with_ttl(known, at).spec

    return check


def told(platform: Ec2s, deployment: Deployment) -> str:
    """The moment that AWS was told."""
    if isinstance(platform, Fleets):
        name = deployment.name
        found = backdoor("autoscaling").describe_scheduled_actions(AutoScalingGroupName=name)
        return "".join(expiry.text_of(one["StartTime"]) for one in found["ScheduledUpdateGroupActions"])
    (machine,) = platform.machines(deployment)
    return as_mapping(machine["Tags"]).get(expiry.EXPIRES, "")


@pytest.mark.parametrize("kind", [Ec2s, pytest.param(Fleets, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("prepare", "act", "check"),
    [
        pytest.param(nothing, timed("2h"), ends("2h"), id="create", marks=pytest.mark.slow),
        pytest.param(timed("2h"), timed("5h"), ends("5h"), id="another time"),
        pytest.param(timed(None), timed("5h"), ends("5h"), id="a time"),
        pytest.param(timed("2h"), timed(None), ends(None), id="no time"),
        pytest.param(timed("2h"), removed, no_trace, id="destroy", marks=pytest.mark.slow),
    ],
)
def test_every_lost_call_of_what_has_an_end_leaves_one_whole_set_with_it_or_nothing(
    kind: type[Ec2s], prepare: Act, act: Act, check: Act, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    points = survived(Bench(tmp_path, kind=kind), prepare, act, check)
    print(f"aws-ec2 {request.node.callspec.id}: {points} crash points survived")
    assert points >= 4


@pytest.mark.parametrize("ttl", ["5h", None])
def test_a_machine_shows_another_time_than_its_spec_until_it_is_changed(platform: Ec2s, ttl: str | None) -> None:
    """What a record says is no proof: the update may never have arrived."""
    deployment, _ = platform.ready(deployment=of_now(platform, "2h"))
    changed = with_ttl(deployment, ttl)
    for known in (changed, replace(changed, handle={})):
        seen = platform.driver.observe_many([known])[known.id]
        assert (seen.phase, seen.spec_digest) == (Phase.READY, expiry.UNSETTLED)


def test_a_shorter_spec_can_be_read_at_every_moment_of_its_coming(tmp_path: Path) -> None:
    """Its tags are fewer: what is left of the longer one is never read as part of it."""
    platform = Ec2s(tmp_path)
    words = "".join(hashlib.sha256(bytes([number])).hexdigest() for number in range(4))
    for length in range(1, 256):
        deployment = of_now(platform, "2h", tags=f"a:{words[:length]}")
        shorter = with_ttl(deployment, None)
        if len(_pieces(shorter)) < len(_pieces(deployment)):
            break
    assert len(_pieces(shorter)) < len(_pieces(deployment))
    platform.ready(deployment=deployment)
    platform.cloud.fault("request-lost", operation="DeleteTags", times=2)
    with pytest.raises(DriverError):
        platform.driver.update(shorter)
    (found,) = platform.driver.owned(deployment.lineage)
    assert found.spec == shorter.spec
    platform.cloud.reset()


def _pieces(deployment: Deployment) -> list[str]:
    return [key for key in tags_of(deployment) if key.startswith(PIECE)]


def test_an_end_that_was_missed_comes_soon(tmp_path: Path) -> None:
    """AWS schedules nothing in the past."""
    fleets = Fleets(tmp_path)
    deployment, _ = fleets.ready(deployment=of_now(fleets, "9h"))
    pass_by(fleets, 7200 + GRACE_S)
    fleets.driver.update(with_ttl(deployment, "1h"))
    assert fleets.machines() != []
    pass_by(fleets, 300)
    assert fleets.machines() == []
    fleets.cloud.reset()


def test_tags_that_hide_a_machines_end_from_it_are_refused_where_it_has_one(tmp_path: Path) -> None:
    platform = Ec2s(tmp_path)
    hidden = of_now(platform, "2h", tags="Cost Center:12")
    (found,) = [one for one in check.check(hidden.spec, "aws-ec2", platform.settings) if one.key == "cloud.ttl"]
    assert (found.handling, "cloud.tags" in found.detail) == (Handling.REJECTED, True)
    for refused in (platform.driver.create, platform.driver.update):
        with pytest.raises(Rejected, match=r"cloud\.ttl"):
            refused(hidden)
    platform.ready(deployment=of_now(platform, None, 2, tags="Cost Center:12"))
    (machine,) = platform.machines()
    assert machine["MetadataOptions"]["InstanceMetadataTags"] == "disabled", "else AWS would not have started it"
    platform.cloud.reset()


def test_the_plan_says_who_ends_it(tmp_path: Path) -> None:
    for replicas, words in (("1", "the machine ends itself"), ("2", "the load balancer stays")):
        spec = builders.model_spec(options={"cloud.ttl": "2h", "cloud.replicas": replicas})
        found = {one.key: one for one in check.check(spec, "aws-ec2", settings(tmp_path))}["cloud.ttl"]
        assert found.handling is Handling.TRANSLATED, "a plan shows what is done otherwise"
        assert words in found.detail


def test_a_change_of_the_time_is_the_platforms_business_where_it_has_a_guard() -> None:
    """It was the reconciler's alone: a changed time would not have reached the machine."""
    assert not is_inert("cloud.ttl", "aws-ec2", honoured("aws-ec2"))
    assert is_inert("cloud.ttl", "aws-sagemaker", honoured("aws-sagemaker"))
    assert Ec2Driver.capabilities.updatable == frozenset({"cloud.ttl"})


def test_an_id_that_is_not_ours_holds_no_time() -> None:
    foreign = builders.deployment(spec=builders.model_spec(options={"cloud.ttl": "2h"}))
    assert expiry.expiry(foreign) != ""
    assert expiry.expiry(replace(foreign, id="mine")) == ""
    late = replace(foreign, id=mint_id(datetime(2026, 11, 28, 12, tzinfo=UTC), bytes))
    assert expiry.expiry(late) == "2026-11-28T15:00:00Z"
