"""`cloud.schedule`: when a model is down, and what is done then."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from drivers.base import Capabilities
from drivers.values import read
from reconciler.compose.project import RawOption
from reconciler.diff import diff
from reconciler.moment import Moment, Rules
from reconciler.options import Level, Option, conflicts, read_options
from reconciler.plan import Action, Plan
from reconciler.timetable import down, wrong
from state.record import DeploymentRecord
from tests.builders import deployment_record, model_spec, place, recorded
from tests.reconciler.wishes import wish, wishes

OFFICE = "up@0 8 * * 1-5; down@0 20 * * 1-5; Europe/Berlin"
BERLIN = ZoneInfo("Europe/Berlin")


def _berlin(day: int, hour: int, minute: int = 0, *, month: int = 5) -> datetime:
    """In 2026, when May begins on a Friday."""
    return datetime(2026, month, day, hour, minute, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (_berlin(4, 7, 59), _berlin(4, 8)),
        (_berlin(4, 8), None),
        (_berlin(4, 19, 59), None),
        (_berlin(4, 20), _berlin(5, 8)),
        (_berlin(8, 21), _berlin(11, 8)),  # Friday night to Monday morning
        (_berlin(10, 12), _berlin(11, 8)),
    ],
)
def test_a_model_is_down_outside_its_hours(now: datetime, until: datetime | None) -> None:
    found = down(OFFICE, now.astimezone(ZoneInfo("UTC")))
    assert (found.until if found else None) == until


def test_it_is_said_since_when() -> None:
    found = down(OFFICE, _berlin(10, 12))
    assert found is not None
    assert found.since == _berlin(8, 20)


def test_summer_time_moves_the_hours_and_loses_none() -> None:
    nightly = "up@30 2 * * *; down@0 2 * * *; Europe/Berlin"
    assert down(nightly, _berlin(29, 1, 59, month=3)) is None
    assert down(nightly, _berlin(29, 3, 0, month=3)) is None, "half past two was left out: it came with three"
    assert down(OFFICE, _berlin(28, 7, 30, month=3)) is not None


def test_where_both_come_at_once_it_is_up() -> None:
    assert down("up@0 * * * *; down@0 * * * *; UTC", _berlin(4, 12)) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (OFFICE, ""),
        ("up@0 8 * * *; down@0 20 * * *; Europe/Berln", "there is no time zone 'Europe/Berln'"),
        ("up@0 8 * * *; down@0 20 * * *; Europe", "there is no time zone 'Europe'"),
        ("up@0 8 30 2 *; down@0 20 * * *", "'up@0 8 30 2 *' never comes"),
        ("up@0 8 * * *; down@0 8 31 4,6 *", "'down@0 8 31 4,6 *' never comes"),
    ],
)
def test_what_cannot_be_followed_is_said(text: str, why: str) -> None:
    assert wrong(text).startswith(why)
    assert bool(wrong(text)) == bool(why)
    found = read_options((RawOption("cloud.schedule", text, place()),), Level.MODEL, path="models.llm")
    assert [key for key, _ in conflicts(found.options, (), {})] == (["cloud.schedule"] if why else [])


# -- what is done ------------------------------------------------------------------------------------------------------


def _plan(now: datetime, *records: DeploymentRecord, driver: str = "llamacpp") -> Plan:
    spec = model_spec(options={"cloud.schedule": OFFICE})
    asked = Option("cloud.schedule", OFFICE, read("schedule", OFFICE), place(), Level.MODEL)
    rules = Rules(capabilities=Capabilities(), bake_s=120.0)
    moment = Moment(now=now, rules=dict.fromkeys(("llamacpp", "aws-bedrock", "aws-ec2"), rules))
    want = wish("llm", spec, driver=driver, options={"cloud.schedule": asked})
    return diff(wishes(want), recorded(*records), moment, "r1")


def _serving(driver: str = "llamacpp") -> DeploymentRecord:
    return deployment_record(spec=model_spec(options={"cloud.schedule": OFFICE}), driver=driver, active=True)


def test_what_is_down_goes_and_comes_back() -> None:
    said = "its schedule has it down until 2026-05-05 08:00 CEST"
    plan = _plan(_berlin(4, 20), _serving())
    assert [(step.action, step.cause) for step in plan.steps] == [(Action.DELETE, said)]
    assert plan.routes == {}
    away = _plan(_berlin(4, 21))
    assert [(step.action, step.cause, step.not_before) for step in away.steps] == [(Action.WAIT, said, None)]
    assert away.resting == ("llm",)
    assert [step.action for step in _plan(_berlin(5, 8)).steps] == [Action.CREATE]
    assert _plan(_berlin(4, 19), _serving()).steps == ()


def test_whoever_uses_it_gets_the_bake_time() -> None:
    late = _plan(_berlin(4, 20) + timedelta(seconds=120), _serving()).steps[0]
    assert (late.action, late.insists) == (Action.DELETE, True)


def test_a_model_can_be_taken_out_of_the_schedule_of_all() -> None:
    asked = Option("cloud.schedule", "off", read("schedule", "off"), place(), Level.MODEL)
    assert wish("llm", options={"cloud.schedule": asked}).schedule == ""


def test_where_time_costs_nothing_a_schedule_means_nothing() -> None:
    assert _plan(_berlin(4, 21), _serving("aws-bedrock"), driver="aws-bedrock").steps == ()
    assert [step.action for step in _plan(_berlin(4, 21), _serving("aws-ec2"), driver="aws-ec2").steps] == [
        Action.DELETE
    ]
