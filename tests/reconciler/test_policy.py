"""Guards over a plan: what is refused, what is blocked by it, and what goes on all the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from drivers.base import Capabilities, Phase
from reconciler.desired import Desired, DesiredModel
from reconciler.diff import diff
from reconciler.leaving import GONE
from reconciler.moment import Moment, Removals, Rules
from reconciler.options import Level, Option
from reconciler.plan import Action, Plan
from reconciler.policy import Policy, guard
from reconciler.requests import Request, decide
from state.record import Intent, Recorded
from tests.builders import NOON, deployment_record, model_record, model_spec, place, recorded
from tests.reconciler.wishes import wish, wishes
from tests.reconciler.world import SMALL, World

LETTERS = "abcdefgh"
RULES = {name: Rules(capabilities=Capabilities()) for name in ("llamacpp", "aws-ec2", "aws-bedrock", "gcp-vertex")}


def _known(keys: Collection[str], **given: Any) -> Recorded:
    return recorded(*(deployment_record(n, model=key) for n, key in enumerate(keys, 1)), **given)


def _guarded(
    desired: Desired,
    known: Recorded,
    policy: Policy | None = None,
    *,
    busy: Mapping[str, str] | None = None,
    forced: bool = False,
) -> Plan:
    """The plan as the one-shot command makes it after a yes."""
    moment = Moment(now=NOON, rules=RULES, removals=Removals.CONFIRMED, busy=busy or {})
    return guard(diff(desired, known, moment, "r1"), desired, known, policy or Policy(), forced=forced)


def _remaining(had: int, kept: int, policy: Policy | None = None, **given: Any) -> Plan:
    desired = wishes(*(wish(key) for key in LETTERS[:kept]))
    return _guarded(desired, _known(LETTERS[:had]), policy, **given)


def _deleted(plan: Plan) -> list[str]:
    return [step.model for step in plan.steps if step.action is Action.DELETE]


# -- mass delete ------------------------------------------------------------------------------------------------------

#        had, kept: allowed
TABLE = {
    (1, 0): False,  # the last one
    (2, 1): True,  # one of several may always go
    (2, 0): False,
    (3, 2): True,
    (3, 1): False,  # two of three: more than a third
    (3, 0): False,
    (4, 3): True,
    (4, 2): False,
    (4, 1): False,
    (5, 4): True,
    (5, 3): False,
    (5, 2): False,
    (6, 4): True,  # two of six: a third
    (8, 5): False,  # more than two, whatever the share
}


@pytest.mark.parametrize(("had", "kept"), TABLE)
def test_many_at_once_are_refused_and_one_of_several_is_not(had: int, kept: int) -> None:
    plan = _remaining(had, kept)
    allowed = TABLE[had, kept]
    assert [verdict.guard for verdict in plan.refusals] == ([] if allowed else ["mass-delete"])
    assert _deleted(plan) == (list(LETTERS[kept:had]) if allowed else [])


@pytest.mark.parametrize(("had", "kept"), TABLE)
def test_what_may_not_be_deleted_keeps_its_address(had: int, kept: int) -> None:
    """The guard once stopped the delete and let the services lose the model all the same."""
    plan = _remaining(had, kept)
    assert set(plan.routes) == set(LETTERS[: kept if TABLE[had, kept] else had])


def test_a_person_who_insists_gets_it_and_it_stays_visible() -> None:
    plan = _remaining(5, 0, forced=True)
    assert plan.refusals == ()
    assert [verdict.text for verdict in plan.guards] == [
        "the plan removes 5 of 5 models (a, b, c, d, e): allowed by --force"
    ]
    assert len(_deleted(plan)) == 5


def test_the_operator_may_set_other_limits() -> None:
    assert _deleted(_remaining(5, 2, Policy(max_removals=3, max_removed_fraction=0.6))) == ["c", "d", "e"]
    assert _deleted(_remaining(1, 0, Policy(allow_empty=True))) == ["a"]
    assert _deleted(_remaining(5, 4, Policy(max_removals=0))) == []


def test_removals_that_come_one_by_one_are_one_accident() -> None:
    """Services hold three of four: the first alone looked harmless, and then the next, and the next."""
    known = _known("abcd")
    _, _, *held = known.deployments
    plan = _guarded(wishes(wish("a")), known, busy=dict.fromkeys(held, "service app still runs with its address"))
    assert _deleted(plan) == []
    assert [verdict.guard for verdict in plan.refusals] == ["mass-delete"]


def test_models_that_are_leaving_already_do_not_block_the_next() -> None:
    records = [deployment_record(n, model=key) for n, key in enumerate("abcde", 1)]
    leaving = deployment_record(5, model="e", intent=Intent.DELETE, phase=Phase.DELETING, active=False)
    plan = _guarded(wishes(*(wish(key) for key in "abc")), recorded(*records[:4], leaving))
    assert "d" in _deleted(plan)


def test_a_protected_model_does_not_count() -> None:
    known = _known("abc", models=(model_record("b", protected=True),))
    assert _deleted(_guarded(wishes(wish("a")), known)) == ["c"]


def test_what_a_person_confirmed_goes_and_the_rest_is_judged_without_it() -> None:
    """The guard's only way out was once a --force that nobody can give a service."""
    meant = model_record("a", removal_confirmed_at=NOON)
    assert _deleted(_guarded(wishes(), _known("a", models=(meant,)))) == ["a"]
    known = _known("abcde", models=(model_record("d", removal_confirmed_at=NOON), model_record("e")))
    plan = _guarded(wishes(wish("a")), known)
    assert _deleted(plan) == ["d"]
    assert set(plan.routes) == {"a", "b", "c", "e"}
    assert [verdict.text.split(":")[0] for verdict in plan.refusals] == ["the plan removes 3 of 5 models (b, c, e)"]


def test_confirmed_models_do_not_make_the_others_look_few() -> None:
    """Two of four that nobody spoke of are half of them, whatever else goes."""
    confirmed = tuple(model_record(key, removal_confirmed_at=NOON) for key in "efgh")
    plan = _guarded(wishes(wish("a"), wish("b")), _known("abcdefgh", models=confirmed))
    assert _deleted(plan) == list("efgh")
    assert [verdict.guard for verdict in plan.refusals] == ["mass-delete"]


def test_more_models_than_a_line_takes_are_confirmed_all_at_once() -> None:
    (verdict,) = _remaining(8, 1).refusals
    assert "`reconcile confirm --all`" in verdict.text


def test_a_refused_model_is_still_in_the_file() -> None:
    plan = _guarded(wishes(refused={"a": "unknown option"}), _known("a"))
    assert _deleted(plan) == []
    assert [verdict.guard for verdict in plan.refusals] == ["options"]


def test_other_deletes_are_not_this_guards_business() -> None:
    known = recorded(*(deployment_record(n, model=key, phase=Phase.FAILED, active=False) for n, key in enumerate("ab")))
    plan = _guarded(wishes(wish("a"), wish("b")), known)
    assert _deleted(plan) == ["a", "b"]
    assert plan.refusals == ()


def test_a_refused_removal_says_why_in_its_step() -> None:
    (step,) = (step for step in _remaining(1, 0).steps if step.model == "a")
    assert step.action is Action.WAIT
    assert step.cause == (
        "refused by the guard 'mass-delete': the plan removes 1 of 1 models (a): "
        "check the file, then `reconcile confirm a` (works while a service runs), or allow it with --force"
    )
    assert step.cause != GONE


def test_the_service_keeps_every_address_of_a_refused_removal() -> None:
    world = World(llm=SMALL)
    world.passes()
    world.commit()
    world.passes()
    assert set(world.files.written) == {"llm"}
    assert world.live == ["llm"]


def test_the_service_goes_on_after_a_persons_word_and_only_then() -> None:
    world = World(llm=SMALL, other=SMALL, third=SMALL)
    world.passes()
    world.commit()
    world.passes()
    world.later(600.0)
    assert world.engine.run_once().plan.refusals  # type: ignore[union-attr]
    assert world.live == ["llm", "other", "third"]
    tenure = world.engine.tenure
    assert tenure is not None
    for model in ("llm", "other", "third"):
        decision = decide(Request("confirm", model), world.store.load("demo"), world.clock.now())
        world.store.commit(tenure.lease, decision.changes)
    world.passes()
    assert world.live == []
    assert world.files.written == {}


# -- the operator's limits --------------------------------------------------------------------------------------------


def _wish(
    driver: str = "llamacpp", *, registry: str = "docker.io", natives: tuple[str, ...] = (), **options: str
) -> Any:
    texts = {f"cloud.{key.replace('_', '-')}": text for key, text in options.items()}
    return wish("llm", model_spec(options=texts), driver=driver, registry=registry, instance_types=natives)


def _refusals(model: DesiredModel, policy: Policy) -> list[str]:
    plan = _guarded(wishes(model), recorded(), policy)
    assert bool(plan.refusals) == (not any(step.action is Action.CREATE for step in plan.steps))
    return [verdict.text for verdict in plan.refusals]


@pytest.mark.parametrize(
    ("model", "policy", "refused"),
    [
        (_wish(), Policy(), ""),
        (_wish(), Policy(allowed_platforms=("llamacpp",)), ""),
        (_wish("aws-ec2"), Policy(allowed_platforms=("llamacpp",)), "the platform 'aws-ec2'"),
        (_wish("aws-ec2", region="us-west-2"), Policy(allowed_regions=("us-west-2",)), ""),
        (
            _wish("aws-ec2", region="us-west-2,eu-west-1"),
            Policy(allowed_regions=("us-west-2",)),
            "'cloud.region=eu-west",
        ),
        (_wish("aws-ec2"), Policy(allowed_regions=("us-west-2",)), "no 'cloud.region' is given"),
        (_wish(), Policy(allowed_regions=("us-west-2",)), ""),
        (_wish("aws-ec2", instance_type="gpu-small"), Policy(allowed_instance_types=("gpu-small",)), ""),
        (
            _wish("aws-ec2", instance_type="gpu-small", natives=("g6.xlarge",)),
            Policy(allowed_instance_types=("g6.xlarge",)),
            "",
        ),
        (
            _wish("aws-ec2", instance_type="gpu-small", natives=("g6.xlarge", "p5.48xlarge")),
            Policy(allowed_instance_types=("g6.xlarge",)),
            "'cloud.instance-type=gpu-small'",
        ),
        (_wish(), Policy(allowed_registries=("docker.io",)), ""),
        (_wish(registry="huggingface.co"), Policy(allowed_registries=("hf.co",)), ""),
        (_wish(registry="evil.example"), Policy(allowed_registries=("docker.io",)), "models from 'evil.example'"),
        (_wish(registry=""), Policy(allowed_registries=("docker.io",)), "models from 'file'"),
        (_wish(registry=""), Policy(allowed_registries=("file",)), ""),
        (_wish(model_source="oci://evil.example/x"), Policy(allowed_registries=("docker.io",)), "'evil.example'"),
        (_wish(model_source="hf://org/x"), Policy(allowed_registries=("docker.io",)), "'huggingface.co'"),
        (_wish(model_source="s3://bucket/x"), Policy(allowed_registries=("s3://bucket",)), ""),
        (_wish(model_source="file:///etc/x"), Policy(allowed_registries=("docker.io",)), "'file'"),
        (_wish(model_id="evil.example/x/y"), Policy(allowed_registries=("docker.io",)), "'evil.example'"),
        (_wish("aws-bedrock", model_id="meta.llama3"), Policy(allowed_registries=("docker.io",)), ""),
    ],
)
def test_nothing_is_made_beyond_what_the_operator_allows(model: DesiredModel, policy: Policy, refused: str) -> None:
    texts = _refusals(model, policy)
    assert len(texts) == (1 if refused else 0)
    assert all(refused in text for text in texts)


def test_no_more_models_than_the_operator_allows() -> None:
    policy = Policy(max_models=2)
    desired = wishes(*(wish(key) for key in "abc"))
    plan = _guarded(desired, _known("ab"), policy)
    assert [(verdict.model, verdict.text) for verdict in plan.refusals] == [
        ("c", "3 models are asked for, the operator allows 2")
    ]
    assert not plan.changes
    assert _guarded(desired, _known("abc"), policy).refusals == ()


def test_what_goes_first_stays_where_the_operator_would_not_let_it_come_back() -> None:
    """It was deleted, and then it was one more than allowed."""
    first = Option("cloud.update-strategy", "recreate", "recreate", place(), Level.MODEL)
    desired = wishes(wish("a", model_spec(context_size=2048), options={first.key: first}), wish("b"), wish("c"))
    plan = _guarded(desired, _known("ab"), Policy(max_models=2))
    assert not plan.changes
    assert set(plan.routes) == {"a", "b"}
    assert _deleted(_guarded(desired, _known("ab"), Policy(max_models=3))) == ["a"]


def test_a_limit_that_comes_later_deletes_nothing() -> None:
    plan = _guarded(wishes(wish("a")), _known("a"), Policy(allowed_platforms=("aws-ec2",)))
    assert plan.refusals
    assert not plan.changes
    assert set(plan.routes) == {"a"}


def test_one_refused_model_blocks_no_other() -> None:
    desired = wishes(_wish(registry="evil.example"), wish("other", registry="docker.io"))
    plan = _guarded(desired, recorded(), Policy(allowed_registries=("docker.io",)))
    assert [step.model for step in plan.changes] == ["other"]


def test_a_platform_without_a_driver_is_said_and_nothing_is_made() -> None:
    plan = _guarded(wishes(wish(driver="aws-ec2", absence="install the extra 'aws'")), recorded())
    assert [(verdict.guard, verdict.text) for verdict in plan.refusals] == [("platform", "install the extra 'aws'")]
    assert not plan.changes
