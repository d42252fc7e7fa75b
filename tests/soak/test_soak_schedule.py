"""What a soak does and when: from a seed, and nothing else."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest

from infra.soak.schedule import Fault, schedule
from infra.soak.wishes import FEWEST, MOST, changed, first_wish
from tests.compose.memory import project


def test_the_same_seed_has_the_same_faults_at_the_same_moments() -> None:
    assert schedule(7, 600, tuple(Fault)) == schedule(7, 600, tuple(Fault))
    assert schedule(7, 600, tuple(Fault)) != schedule(8, 600, tuple(Fault))


@pytest.mark.parametrize("seed", range(20))
def test_a_fault_a_minute_and_every_kind_before_any_comes_twice(seed: int) -> None:
    moments = schedule(seed, 1800, tuple(Fault))
    faults = [moment for moment in moments if moment.fault is not None]
    assert [round(later.at_s - sooner.at_s) for sooner, later in pairwise(faults)] == [60] * 29
    kinds = [moment.fault for moment in faults]
    assert len(set(kinds[: len(Fault)])) == len(Fault)
    assert max(Counter(kinds).values()) == 3
    commits = len(moments) - len(faults)
    assert len(faults) <= commits <= 2 * len(faults)


@pytest.mark.parametrize("seconds", [20.0, 45.0, 600.0])
def test_nothing_begins_after_the_end_and_the_last_fault_leaves_time(seconds: float) -> None:
    moments = schedule(1, seconds, tuple(Fault), every_s=10.0)
    assert all(moment.at_s < seconds for moment in moments)
    assert max(moment.at_s for moment in moments if moment.fault is not None) <= seconds - 5.0


def test_without_faults_to_choose_from_nothing_is_due() -> None:
    with pytest.raises(ValueError, match="no fault"):
        schedule(1, 600, ())


@pytest.mark.parametrize("seed", range(10))
def test_every_commit_changes_one_model_and_leaves_a_file_that_can_be_read(seed: int) -> None:
    chance = random.Random(seed)
    wish, ways = first_wish(), set[str]()
    for _ in range(60):
        following, message = changed(wish, chance)
        before, after = set(wish.models.items()), set(following.models.items())
        assert 1 <= len(before ^ after) <= 2
        assert FEWEST <= len(following.models) <= MOST
        read = project(following.as_compose())
        assert {key: model.context_size for key, model in read.models.items()} == following.models
        assert {binding.model for binding in read.services["app"].bindings} == following.models.keys()
        ways |= {way for way in ("context_size", "added", "removed", "renamed") if way in message}
        wish = following
    assert len(ways) == 4
