"""The contract of a driver where nothing is created for a deployment.

Some obligations have nothing to be about there. These tests say so and hold what is left of them: that there is really
nothing, neither ours nor anybody else's that was touched.
"""

from __future__ import annotations

from drivers.base import Phase
from tests.drivers.contract import DriverContract, Harness


class OnDemandContract(DriverContract):
    """What is left of the obligations."""

    def test_creating_twice_makes_one_thing(self, harness: Harness) -> None:
        """It makes none, however often."""
        deployment = harness.deployment()
        harness.driver.create(deployment)
        harness.driver.create(deployment)
        harness.until(harness.driver.observe, deployment, Phase.READY)
        assert harness.driver.create(deployment).phase is Phase.READY
        assert harness.things(deployment) == 0

    def test_a_create_after_a_crash_adopts_what_is_there(self, harness: Harness) -> None:
        """There is nothing: whoever forgot the create sees that it is absent and asks again, for free."""
        deployment = harness.deployment()
        harness.driver.create(deployment)
        second = harness.after_a_crash()
        assert second.observe(deployment).phase is Phase.ABSENT
        second.create(deployment)
        harness.until(second.observe, deployment, Phase.READY)
        assert harness.things(deployment) == 0

    def test_what_is_owned_is_found_by_its_tags_alone(self, harness: Harness) -> None:
        """Nothing exists, so nothing is owned, and none of it can be left behind."""
        deployment = harness.deployment()
        harness.driver.create(deployment)
        harness.until(harness.driver.observe, deployment, Phase.READY)
        assert list(harness.after_a_crash().owned(deployment.lineage)) == []

    def test_a_stranger_under_our_name_is_refused_and_left_alone(self, harness: Harness) -> None:
        """Our name names nothing on the platform, so nobody can have taken it; theirs is left alone all the same."""
        deployment = harness.deployment()
        is_untouched = harness.occupy(deployment)
        assert harness.driver.observe(deployment).phase is Phase.ABSENT
        harness.driver.create(deployment)
        harness.until(harness.driver.observe, deployment, Phase.READY)
        assert harness.driver.delete(deployment).phase is Phase.ABSENT
        assert is_untouched()
