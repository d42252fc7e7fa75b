"""When platforms are asked what they have of ours, and what may not be done before they answered."""

from __future__ import annotations

from datetime import timedelta

from drivers.errors import Denied, Rejected, Unavailable
from reconciler.sweep import AGAIN_S, Sweeps, due, noted, settled, unlisted
from tests.builders import NOON, at, deployment_record

BEGAN = Sweeps(began_s=1000.0)
ALL = ("cloud", "local", "unused")
NEEDED = {"cloud", "local"}
HOUR = 3600.0


def test_a_lease_begins_with_asking_all_that_are_needed_and_no_others() -> None:
    assert due(BEGAN, NEEDED, ALL, 1000.0, HOUR) == ["cloud", "local"]


def test_one_that_told_is_asked_again_after_the_interval() -> None:
    told = noted(BEGAN, ["cloud", "local"], {}, 1000.0)
    assert due(told, NEEDED, ALL, 1000.0 + HOUR - 1, HOUR) == []
    assert due(told, NEEDED, ALL, 1000.0 + HOUR, HOUR) == ["cloud", "local", "unused"]


def test_one_that_is_needed_and_did_not_tell_is_asked_again_soon() -> None:
    failed = noted(BEGAN, ["cloud", "local"], {"cloud": Unavailable("throttled")}, 1000.0)
    assert due(failed, NEEDED, ALL, 1000.0 + AGAIN_S - 1, HOUR) == []
    assert due(failed, NEEDED, ALL, 1000.0 + AGAIN_S, HOUR) == ["cloud"]


def test_one_that_nobody_needs_is_asked_with_the_others_and_not_more_often_when_it_fails() -> None:
    failed = noted(BEGAN, ["unused"], {"unused": Denied("no credentials")}, 1000.0 + HOUR)
    assert due(failed, set(), ALL, 1000.0 + HOUR + AGAIN_S, HOUR) == ["cloud", "local"]
    assert due(failed, set(), ALL, 1000.0 + 2 * HOUR, HOUR) == ["cloud", "local", "unused"]


def test_one_that_becomes_needed_later_is_asked_at_once() -> None:
    told = noted(BEGAN, ["local"], {}, 1000.0)
    assert due(told, NEEDED, ALL, 1001.0, HOUR) == ["cloud"]


def test_what_did_not_tell_is_named_with_its_words_until_it_does() -> None:
    failed = noted(BEGAN, ["cloud", "local"], {"cloud": Unavailable("throttled")}, 1000.0)
    (name,) = found = unlisted(failed, NEEDED, NOON)
    assert (name, found[name].again_at) == ("cloud", NOON + timedelta(seconds=AGAIN_S))
    assert found[name].why == "cloud does not say what it has of ours: throttled"
    assert unlisted(noted(failed, ["cloud"], {}, 1010.0), NEEDED, NOON) == {}


def test_a_listing_from_before_the_doubts_have_settled_proves_nothing() -> None:
    """What was on its way when the record went back, or is not shown yet, is in no listing of the moment."""
    told = noted(BEGAN, ["cloud", "local"], {}, 1010.0)
    from_s = {"cloud": 1300.0, "local": 1005.0}
    (name,) = found = unlisted(told, NEEDED, NOON, 1200.0, from_s)
    assert (name, found[name].again_at) == ("cloud", NOON + timedelta(seconds=100))
    assert due(told, NEEDED, ALL, 1299.0, HOUR, from_s) == []
    assert due(told, NEEDED, ALL, 1300.0, HOUR, from_s) == ["cloud"]
    assert list(unlisted(told, NEEDED, NOON, 1300.0, from_s)) == ["cloud"]
    assert unlisted(noted(told, ["cloud"], {}, 1300.0), NEEDED, NOON, 1300.0, from_s) == {}


def test_a_listing_that_fails_when_the_doubts_have_settled_is_made_again_soon() -> None:
    from_s = {"cloud": 1300.0}
    failed = noted(noted(BEGAN, ["cloud"], {}, 1010.0), ["cloud"], {"cloud": Unavailable("throttled")}, 1300.0)
    assert due(failed, {"cloud"}, ALL, 1300.0 + AGAIN_S - 1, HOUR, from_s) == []
    assert due(failed, {"cloud"}, ALL, 1300.0 + AGAIN_S, HOUR, from_s) == ["cloud"]
    assert unlisted(failed, {"cloud"}, NOON, 1300.0, from_s)["cloud"].why.endswith("throttled")


def test_the_newest_doubt_counts_and_each_platform_settles_in_its_own_time() -> None:
    records = [deployment_record(number, doubted_at=at(-60.0 * number)) for number in (1, 2)]
    assert settled(records, {"cloud": 400.0, "local": 0.0}, NOON, 1000.0) == {"cloud": 1340.0, "local": 940.0}
    assert settled([deployment_record(3)], {"cloud": 400.0}, NOON, 1000.0) == {}


def test_what_told_once_counts_as_known_when_it_fails_later() -> None:
    told = noted(BEGAN, ["cloud"], {}, 1000.0)
    assert unlisted(noted(told, ["cloud"], {"cloud": Unavailable("throttled")}, 5000.0), NEEDED, NOON) == {}


def test_time_alone_does_not_help_where_a_person_must_act() -> None:
    failed = noted(BEGAN, ["cloud"], {"cloud": Denied("expired")}, 1000.0)
    assert unlisted(failed, NEEDED, NOON)["cloud"].again_at is None


def test_nobody_waits_for_a_platform_that_has_no_driver_here() -> None:
    failed = noted(BEGAN, ["cloud"], {"cloud": Rejected("its driver is not part of this release")}, 1000.0)
    assert unlisted(failed, NEEDED, NOON) == {}
