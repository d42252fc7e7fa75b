"""Promise: whichever API call is lost, there is one whole set of everything afterwards, or nothing at all."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from drivers.aws.sagemaker import driver as module
from drivers.aws.sagemaker.api import Api
from drivers.aws.sagemaker.names import revision
from drivers.base import Deployment, ModelSpec, Phase
from drivers.errors import DriverError
from tests import builders
from tests.drivers.aws_converge import KINDS, Act, Reconciler, nothing, survived
from tests.drivers.sagemakers import STEP_S, SageMakers, remembering

SMALL = builders.model_spec(options={"cloud.instance-type": "ml.g6.xlarge"})
LARGE = builders.model_spec(context_size=4096, options={"cloud.instance-type": "gpu-medium", "cloud.replicas": "2"})
SCALED = builders.model_spec(context_size=2048, options={"cloud.replicas": "1..3", "cloud.tags": "team:search"})
ELASTIC = builders.model_spec(options={"cloud.replicas": "0..2", "cloud.idle-timeout": "15m"})
BAD = builders.model_spec(context_size=8192, options={"cloud.instance-type": "ml.g6.xlarge"})
OTHER = replace(SMALL, model="ai/smollm3")
CALLS_OF_A_CREATE = 12


class Journey(NamedTuple):
    """What is there before the faults begin, what is done then, and which deployment should be there in the end."""

    prepare: Act
    act: Act
    left: tuple[int, ModelSpec] | None


def rig(reconciler: Reconciler) -> SageMakers:
    assert isinstance(reconciler.rig, SageMakers)
    return reconciler.rig


def bring(spec: ModelSpec, number: int = 1) -> Act:
    """Create it, or update it, until nothing is left to do."""

    def act(reconciler: Reconciler) -> None:
        deployment = rig(reconciler).deployment(number, spec)
        known = reconciler.recorded.get(deployment.id)
        reconciler.bring(deployment if known is None else replace(deployment, handle=known.handle))
        reconciler.change(deployment)

    return act


def remove(spec: ModelSpec) -> Act:
    return lambda reconciler: reconciler.remove(rig(reconciler).deployment(1, spec))


def begin_update(to: ModelSpec, of: ModelSpec) -> Act:
    """The endpoint, and an update under way."""

    def act(reconciler: Reconciler) -> None:
        bring(of)(reconciler)
        (known,) = reconciler.recorded.values()
        reconciler.recorded[known.id] = replace(known, spec=to)
        reconciler._call("update", known.id)

    return act


def replace_by(new: ModelSpec, old: ModelSpec) -> Act:
    def act(reconciler: Reconciler) -> None:
        bring(new, 2)(reconciler)
        remove(old)(reconciler)

    return act


def try_badly(new: ModelSpec, old: ModelSpec) -> Act:
    """Update to what answers everything with 500, see it rolled back, and go back to what was there."""

    def act(reconciler: Reconciler) -> None:
        world = rig(reconciler)
        known = reconciler.recorded[world.deployment(1).id]
        reconciler.recorded[known.id] = replace(known, spec=new)
        world.serve_badly('"SM_LLAMA_CPP_CTX_SIZE": "8192"')
        while not any("was rolled back" in error for error in reconciler.errors):
            reconciler._call("update", known.id)
            world.ask(known)
            world.cloud.advance(STEP_S)
            reconciler._call("observe", known.id)
        bring(old)(reconciler)

    return act


JOURNEYS: Mapping[str, Journey] = {
    "create": Journey(nothing, bring(SMALL), (1, SMALL)),
    "create, scaled": Journey(nothing, bring(SCALED), (1, SCALED)),
    "create, down to zero": Journey(nothing, bring(ELASTIC), (1, ELASTIC)),
    "update": Journey(bring(SMALL), bring(LARGE), (1, LARGE)),
    "update, to scaled": Journey(bring(LARGE), bring(SCALED), (1, SCALED)),
    "update, from scaled": Journey(bring(SCALED), bring(SMALL), (1, SMALL)),
    "update, rolled back": Journey(bring(SMALL), try_badly(BAD, SMALL), (1, SMALL)),
    "replace": Journey(bring(SMALL), replace_by(OTHER, SMALL), (2, OTHER)),
    "destroy": Journey(bring(SMALL), remove(SMALL), None),
    "destroy, scaled": Journey(bring(SCALED), remove(SCALED), None),
    "destroy, amid an update": Journey(begin_update(LARGE, SMALL), remove(LARGE), None),
    "destroy, down to zero": Journey(bring(ELASTIC), remove(ELASTIC), None),
}


def books_have(left: tuple[int, ModelSpec] | None) -> Act:
    """Exactly what belongs to this deployment is there."""

    def check(reconciler: Reconciler) -> None:
        wanted = () if left is None else whole_set(rig(reconciler).deployment(*left))
        assert rig(reconciler).names() == wanted

    return check


def whole_set(deployment: Deployment) -> tuple[str, ...]:
    name, own = deployment.name, revision(deployment)
    found = [f"endpoint {name}", f"endpoint config {own}", f"model {own}"]
    if deployment.spec == SCALED:
        target = f"endpoint/{name}/variant/model"
        found += [f"scalable target {target}", f"policy {target}/{name}-load"]
    if deployment.spec == ELASTIC:
        target = f"inference-component/{name}"
        found += [f"inference component {name}", f"scalable target {target}"]
        found += [f"policy {target}/{name}-{kind}" for kind in ("load", "sleep", "wake")]
        found += [f"alarm {name}-{kind}" for kind in ("sleep", "wake")]
    return tuple(sorted(found))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if "," in name else name for name in JOURNEYS]
)
def test_a_crash_at_any_call_leaves_one_whole_set_or_nothing(tmp_path: Path, name: str) -> None:
    journey = JOURNEYS[name]
    points = survived(lambda: SageMakers(tmp_path), journey.prepare, journey.act, books_have(journey.left))
    print(f"aws-sagemaker, {name}: {points} of {points} crash points survived")


def test_a_destroy_in_the_middle_of_a_create_leaves_nothing(tmp_path: Path) -> None:
    for number in range(1, CALLS_OF_A_CREATE + 1):
        for kind in KINDS:
            sagemakers = SageMakers(tmp_path)
            half = sagemakers.deployment(spec=SMALL)
            sagemakers.cloud.fault(kind, at=number)
            for step in (sagemakers.driver.observe, sagemakers.driver.create):
                try:
                    step(half)
                except DriverError:
                    break
            sagemakers.cloud.clear_faults()
            Reconciler(sagemakers).remove(half)
            assert sagemakers.names() == (), (number, kind)


def test_a_destroy_while_the_endpoint_is_still_coming_is_never_taken_for_its_end(tmp_path: Path) -> None:
    """An endpoint without its component was ABSENT, "create it again": whoever deletes would have forgotten it then,
    and its instance would have gone on costing money."""
    sagemakers = SageMakers(tmp_path)
    half = sagemakers.deployment(spec=ELASTIC)
    sagemakers.driver.create(half)
    while sagemakers.driver.delete(half).phase is not Phase.ABSENT:
        sagemakers.advance()
        seen = sagemakers.driver.observe(half)
        assert seen.phase is not Phase.ABSENT or sagemakers.names() == ()
    assert sagemakers.names() == ()


def test_what_scaled_an_endpoint_goes_also_when_somebody_else_deleted_that(tmp_path: Path) -> None:
    sagemakers = SageMakers(tmp_path)
    ready, client = sagemakers.settled(sagemakers.deployment(spec=ELASTIC)), sagemakers.client("sagemaker")
    client.delete_inference_component(InferenceComponentName=ready.name)
    sagemakers.advance()
    client.delete_endpoint(EndpointName=ready.name)
    sagemakers.advance()
    Reconciler(sagemakers).remove(ready)
    assert sagemakers.names() == ()


def test_a_driver_whose_names_are_not_its_tokens_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: a model under another name at each attempt is one too many after a crash."""
    fresh = iter(range(1000))
    monkeypatch.setattr(module.names, "revision", lambda deployment: f"{deployment.name}-{next(fresh)}")

    def one_of_each(reconciler: Reconciler) -> None:
        assert len(rig(reconciler).names()) == 3

    def only_bring(reconciler: Reconciler) -> None:
        reconciler.bring(rig(reconciler).deployment(spec=SMALL))

    with pytest.raises(AssertionError, match="response-lost at call"):
        survived(lambda: SageMakers(tmp_path), nothing, only_bring, one_of_each)


def test_a_driver_that_forgets_the_rest_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one: a deletion that believes in the endpoint alone leaves the rest."""
    monkeypatch.setattr(module.removal, "delete_rest", lambda *given, **named: True)
    monkeypatch.setattr(module.pieces, "remains", lambda *given: False)
    journey = JOURNEYS["destroy"]
    with pytest.raises(AssertionError):
        survived(lambda: SageMakers(tmp_path), journey.prepare, journey.act, books_have(None))


def test_a_driver_that_updates_before_it_looks_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that clears the old configuration away before the update is over has it rolled back."""
    made = Api.make

    def hasty(self: Api, kind: str, request: Mapping[str, object], deployment: Deployment) -> None:
        made(self, kind, request, deployment)
        if kind == "endpoint_config":
            for name in self.named(kind, deployment.name):
                if name != next(iter(request.values())):
                    self.remove(kind, name)

    monkeypatch.setattr(Api, "make", hasty)
    journey = JOURNEYS["update"]
    with pytest.raises(AssertionError):
        survived(lambda: SageMakers(tmp_path), journey.prepare, journey.act, books_have(journey.left))


@pytest.mark.parametrize("seed", range(6))
def test_a_walk_through_wishes_and_faults_ends_in_what_was_wished_for_last(tmp_path: Path, seed: int) -> None:
    """Wishes that change at any moment, calls that are lost at random, types that run short; then calm."""
    dice, reconciler = random.Random(seed), Reconciler(SageMakers(tmp_path), step_s=STEP_S)
    world, wishes = rig(reconciler), (SMALL, LARGE, SCALED)
    deployment, type = world.deployment(spec=dice.choice(wishes)), "ml.g6e.xlarge"
    for _ in range(20):
        if dice.random() < 0.3:
            world.cloud.fault(dice.choice(KINDS), skip=dice.randint(0, 6))
        if dice.random() < 0.1:
            world.cloud.capacity(type, dice.choice((0, None)))
        if dice.random() < 0.3:
            deployment = replace(deployment, spec=dice.choice(wishes))
        deployment = one_pass(world, deployment)
        world.cloud.clear_faults()
        world.cloud.advance(dice.choice((0.0, 3.0, STEP_S)))
    world.cloud.capacity(type, None)
    last = SCALED if deployment.spec is LARGE else LARGE  # what was rolled back for want of instances is not tried anew
    for spec in (SMALL, last):
        reconciler.recorded.clear()
        reconciler.bring(replace(deployment, spec=spec))
        reconciler.change(replace(deployment, spec=spec))
        deployment = reconciler.recorded[deployment.id]
    assert world.names() == whole_set(deployment)
    assert [found.spec for found in world.driver.owned(deployment.lineage)] == [last]


def one_pass(world: SageMakers, deployment: Deployment) -> Deployment:
    """Look, and take the step that this asks for; the deployment as it is recorded afterwards."""
    driver = world.after_a_crash()
    try:
        seen = driver.observe(deployment)
        deployment = remembering(deployment, seen)
        if seen.phase is Phase.ABSENT:
            deployment = remembering(deployment, driver.create(deployment))
        elif seen.phase is Phase.READY and seen.spec_digest != deployment.spec.digest:
            deployment = remembering(deployment, driver.update(deployment))
        elif seen.phase is Phase.FAILED:
            driver.delete(deployment)
    except DriverError:
        return deployment
    return deployment
