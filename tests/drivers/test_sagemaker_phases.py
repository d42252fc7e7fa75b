"""What an endpoint's state means: total, and an update that AWS gave up is told from one that has not begun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import pytest

from drivers.aws.sagemaker import phases
from drivers.aws.sagemaker.facts import Seen
from drivers.aws.sagemaker.names import LEAVING, SETTLED, revision
from drivers.aws.tags import tags_of
from drivers.base import Deployment, Phase
from tests import builders

OLD, BEFORE, AFTER = "the-old-one", "2026-05-04 10:00:00", "2026-05-04 10:20:00"
STATUSES = (
    "OutOfService", "Creating", "Updating", "SystemUpdating", "RollingBack", "InService", "Deleting", "Failed",
    "UpdateRollbackFailed", "SomethingNew",
)  # fmt: skip
NO_CAPACITY = "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error."


def deployment(**options: str) -> Deployment:
    given = {f"cloud.{name.replace('_', '-')}": text for name, text in options.items()}
    return builders.deployment(spec=builders.model_spec(options=given))


def endpoint(of: Deployment, tags: Mapping[str, str] | None = None, **given: object) -> Seen:
    """In service on what it had before, since a moment ago."""
    usual = {"status": "InService", "config": OLD, "desired": 1, "modified": AFTER} | given
    return Seen(name=of.name, arn="arn", tags=tags_of(of) if tags is None else tags, **usual)  # type: ignore[arg-type]


def tried(of: Deployment, step: str = "", modified: str = BEFORE) -> Deployment:
    """Asked for when the endpoint was last changed at `modified`."""
    return replace(of, handle={phases.TRIED: f"{step or revision(of)}@{modified}"})


def test_every_state_means_something() -> None:
    fixed, elastic = deployment(), deployment(replicas="0..1")
    for of, status, config, failure, settled, leaving in product(
        (fixed, elastic, tried(fixed)), STATUSES, (OLD, "of-the-spec"), ("", NO_CAPACITY), (True, False), (True, False)
    ):
        tags = tags_of(of) | ({SETTLED: of.spec.digest} if settled else {}) | ({LEAVING: "true"} if leaving else {})
        found = revision(of) if config == "of-the-spec" else config
        seen = endpoint(of, tags, status=status, config=found, failure=failure)
        about = phases.standing(of, seen)
        assert (about.phase is Phase.UNKNOWN) == (status == "SomethingNew" and not phases.needs_another(of, seen))
        assert bool(about.serves) or about.phase is not Phase.READY
        assert phases.with_component(of, seen, None).phase is not Phase.READY


def test_an_update_that_has_not_begun_is_not_given_up() -> None:
    """What AWS shows may be older than the request; an earlier failure may be in it."""
    asked = tried(deployment(), modified=AFTER)
    assert not phases.was_given_up(asked, endpoint(asked))
    assert not phases.was_given_up(asked, endpoint(asked, failure=NO_CAPACITY))
    assert phases.was_given_up(tried(deployment()), endpoint(asked))


def test_each_step_of_an_update_is_given_up_by_itself() -> None:
    """Instances are exchanged, then counted: when the first is over, nobody gave the second one up."""
    two = deployment(replicas="2")
    exchanged = endpoint(two, config=revision(two))
    assert not phases.was_given_up(tried(two), exchanged)
    counted = tried(two, f"{revision(two)}*2")
    assert phases.was_given_up(counted, exchanged)
    assert not phases.was_given_up(counted, replace(exchanged, desired=2))


@pytest.mark.parametrize(
    ("reason", "phase", "words"),
    [
        (NO_CAPACITY, Phase.DEGRADED, "name more instance types"),
        ("The account-level service limit 'ml.g6.xlarge for endpoint usage' is 1 Instances", Phase.DEGRADED, "ask for"),
        ("The primary container did not pass the ping health check.", Phase.DEGRADED, "reconcile logs"),
        ("Alarm chat-1-errors went off during the deployment.", Phase.READY, "reconcile logs"),
        ("The role is not allowed cloudwatch:DescribeAlarms.", Phase.READY, "sagemaker-endpoint.json"),
        ("Something of AWS's own.", Phase.READY, "Something of AWS's own."),
        ("", Phase.READY, "AWS gives no reason"),
    ],
)
def test_another_endpoint_is_tried_only_where_it_may_do_better(reason: str, phase: Phase, words: str) -> None:
    """DEGRADED has it replaced; what an alarm rolled back would become ready again, and be switched to."""
    asked = tried(deployment())
    about = phases.standing(asked, endpoint(asked, failure=reason))
    assert (about.phase, about.serves, about.digest) == (phase, OLD, phases.UNSETTLED)
    assert words in about.detail
