"""What every driver owes, as tests. A driver is done when its subclass of `DriverContract` passes.

A subclass gives a `harness` fixture: the driver on a platform of its own, and the few things that only the platform's
side can do (look behind the driver's back, let time pass, put something foreign in the way).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from drivers.base import Auth, Deployment, Driver, Handling, ModelSpec, Observation, Phase
from drivers.errors import Rejected
from tests import builders

OTHER_LINEAGE = "00000000-0000-4000-8000-00000000f00d"


class Harness(Protocol):
    """A driver, and the back door of its platform."""

    driver: Driver

    def deployment(self, number: int = 1) -> Deployment:
        """A deployment that the platform can serve; a new number is another one."""
        ...

    def refused_spec(self) -> ModelSpec:
        """A spec that the platform will never accept."""
        ...

    def after_a_crash(self) -> Driver:
        """Another driver on the same platform, as a reconciler has it that knows nothing of what the first one did."""
        ...

    def things(self, deployment: Deployment) -> int:
        """How many things on the platform carry this deployment's tags, counted without the driver."""
        ...

    def occupy(self, deployment: Deployment) -> Callable[[], bool]:
        """Put somebody else's thing under the deployment's name; the result says whether it is still untouched."""
        ...

    def until(self, ask: Callable[[Deployment], Observation], deployment: Deployment, *phases: Phase) -> Observation:
        """Ask again and again, letting time pass in between, until one of the phases is the answer."""
        ...


class DriverContract:
    """The obligations of `drivers.base.Driver`, one test each."""

    def test_what_never_existed_is_absent(self, harness: Harness) -> None:
        deployment = harness.deployment()
        assert harness.driver.observe(deployment).phase is Phase.ABSENT
        assert harness.things(deployment) == 0

    def test_deleting_what_never_existed_is_success(self, harness: Harness) -> None:
        assert harness.driver.delete(harness.deployment()).phase is Phase.ABSENT

    def test_a_created_deployment_becomes_ready_at_an_endpoint(self, harness: Harness) -> None:
        deployment = harness.deployment()
        first = harness.driver.create(deployment)
        assert first.phase in (Phase.CREATING, Phase.READY)
        ready = harness.until(harness.driver.observe, deployment, Phase.READY)
        assert ready.endpoint is not None
        assert ready.endpoint.url.startswith("http")
        assert ready.endpoint.url.endswith("/v1/")
        assert ready.endpoint.model_id
        assert ready.spec_digest in (None, deployment.spec.digest)

    def test_a_ready_deployment_stays_the_same_when_looked_at(self, harness: Harness) -> None:
        deployment = harness.deployment()
        harness.driver.create(deployment)
        ready = harness.until(harness.driver.observe, deployment, Phase.READY)
        assert harness.driver.observe(deployment) == ready

    def test_creating_twice_makes_one_thing(self, harness: Harness) -> None:
        deployment = harness.deployment()
        harness.driver.create(deployment)
        harness.driver.create(deployment)
        harness.until(harness.driver.observe, deployment, Phase.READY)
        assert harness.driver.create(deployment).phase is Phase.READY
        assert harness.things(deployment) == 1

    def test_a_create_after_a_crash_adopts_what_is_there(self, harness: Harness) -> None:
        deployment = harness.deployment()
        harness.driver.create(deployment)
        second = harness.after_a_crash()
        second.create(deployment)
        harness.until(second.observe, deployment, Phase.READY)
        assert harness.things(deployment) == 1

    def test_a_delete_after_a_crash_removes_what_is_there(self, harness: Harness) -> None:
        deployment = harness.deployment()
        harness.driver.create(deployment)
        harness.until(harness.after_a_crash().delete, deployment, Phase.ABSENT)
        assert harness.things(deployment) == 0

    def test_a_deleted_deployment_leaves_nothing(self, harness: Harness) -> None:
        deployment = harness.deployment()
        harness.driver.create(deployment)
        harness.until(harness.driver.observe, deployment, Phase.READY)
        harness.until(harness.driver.delete, deployment, Phase.ABSENT)
        assert harness.things(deployment) == 0
        assert harness.driver.observe(deployment).phase is Phase.ABSENT
        assert harness.driver.delete(deployment).phase is Phase.ABSENT
        assert deployment.id not in {found.id for found in harness.driver.owned(deployment.lineage)}

    def test_a_deletion_that_was_begun_is_never_ready_again(self, harness: Harness) -> None:
        deployment = harness.deployment()
        harness.driver.create(deployment)
        harness.until(harness.driver.observe, deployment, Phase.READY)
        harness.driver.delete(deployment)
        assert harness.driver.observe(deployment).phase in (Phase.DELETING, Phase.ABSENT)

    def test_two_deployments_of_one_model_live_side_by_side(self, harness: Harness) -> None:
        old, new = harness.deployment(1), harness.deployment(2)
        for deployment in (old, new):
            harness.driver.create(deployment)
        endpoints = {harness.until(harness.driver.observe, one, Phase.READY).endpoint for one in (old, new)}
        assert len(endpoints) == 2
        harness.until(harness.driver.delete, old, Phase.ABSENT)
        assert harness.driver.observe(new).phase is Phase.READY

    def test_nobody_waits_for_an_answer_of_what_nobody_asked(self, harness: Harness) -> None:
        deployment = harness.deployment()
        assert harness.driver.in_flight(deployment) is None
        harness.driver.create(deployment)
        harness.until(harness.driver.observe, deployment, Phase.READY)
        assert harness.driver.in_flight(deployment) in (None, 0)

    def test_looking_at_many_says_what_looking_at_each_says(self, harness: Harness) -> None:
        there, not_there = harness.deployment(1), harness.deployment(2)
        harness.driver.create(there)
        harness.until(harness.driver.observe, there, Phase.READY)
        seen = harness.driver.observe_many((there, not_there))
        assert seen == {one.id: harness.driver.observe(one) for one in (there, not_there)}

    def test_what_is_owned_is_found_by_its_tags_alone(self, harness: Harness) -> None:
        deployment = harness.deployment()
        harness.driver.create(deployment)
        harness.until(harness.driver.observe, deployment, Phase.READY)
        (found,) = harness.after_a_crash().owned(deployment.lineage)
        assert replace(found, handle={}) == replace(deployment, handle={})

    def test_what_another_lineage_owns_is_not_listed(self, harness: Harness) -> None:
        harness.driver.create(harness.deployment())
        assert list(harness.driver.owned(OTHER_LINEAGE)) == []

    def test_a_stranger_under_our_name_is_refused_and_left_alone(self, harness: Harness) -> None:
        deployment = harness.deployment()
        is_untouched = harness.occupy(deployment)
        with pytest.raises(Rejected):
            harness.driver.create(deployment)
        assert harness.driver.observe(deployment).phase is Phase.ABSENT
        assert harness.driver.delete(deployment).phase is Phase.ABSENT
        assert is_untouched()

    def test_a_refused_spec_says_so_before_and_at_the_create(self, harness: Harness) -> None:
        deployment = replace(harness.deployment(), spec=harness.refused_spec())
        findings = harness.driver.check(deployment.spec)
        assert any(finding.handling is Handling.REJECTED and finding.detail for finding in findings)
        with pytest.raises(Rejected):
            harness.driver.create(deployment)
        assert harness.things(deployment) == 0

    def test_every_thing_in_a_spec_gets_one_finding_in_order(self, harness: Harness) -> None:
        spec = builders.model_spec(
            context_size=512,
            runtime_flags=("--no-prefill-assistant", "--temp=0.5"),
            options={"cloud.region": "us-west-2", "cloud.replicas": "2", "aws.inference-component": "true"},
        )
        keys = [finding.key for finding in harness.driver.check(spec)]
        flags = ["runtime_flags[0]", "runtime_flags[1]"]
        assert keys == ["model", "context_size", *flags, *spec.options]

    def test_a_key_lies_in_a_private_file_and_nowhere_else(self, harness: Harness) -> None:
        deployment = harness.deployment()
        harness.driver.create(deployment)
        ready = harness.until(harness.driver.observe, deployment, Phase.READY)
        assert ready.endpoint is not None
        if ready.endpoint.auth is Auth.API_KEY:
            assert ready.endpoint.key_file is not None
            file = Path(ready.endpoint.key_file)
            assert file.stat().st_mode & 0o777 == 0o600
            assert file.read_text().strip() not in repr(ready)

    def test_its_capabilities_are_plain_data(self, harness: Harness) -> None:
        assert harness.driver.name
        assert harness.driver.capabilities.settle_s >= 0
        assert harness.driver.capabilities.startup_timeout_s > 0
