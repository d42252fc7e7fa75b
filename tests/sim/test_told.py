"""Promise: also in stories that nobody thought of, no rule is broken. Hypothesis shrinks what breaks one."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.faults import PROFILES, ByChance
from tests.sim.run import tell
from tests.sim.told import Deed, stories, told


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(row=stories, seed=st.integers(0, 2**32 - 1), profile=st.sampled_from(("calm", "rough")))
def test_no_told_story_breaks_a_rule(row: Sequence[Deed], seed: int, profile: str) -> None:
    outcome = tell("told", told(row), seed, ByChance(PROFILES[profile], random.Random(seed)))
    assert not outcome.violations
