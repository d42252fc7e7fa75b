"""desired + known + now → plan: the decision table. Pure and total; read `TABLE` first.

A model has one deployment, during a replacement two, never three. Each known deployment of a model stands in one
relation to what is desired, has one phase, and gets one answer from the table. What the answers mean in detail (how
long to wait, what must be true before a delete) is in `answers.py` and `leaving.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum

from drivers.base import Phase
from reconciler import answers, leaving
from reconciler.case import Case
from reconciler.desired import Desired
from reconciler.moment import Moment
from reconciler.plan import Action, Plan, Step
from state.record import DeploymentRecord, Intent, ModelRecord, Recorded


class Relation(Enum):
    """How a known deployment stands to what is desired."""

    UNWANTED = "the model is gone from the file"
    KEPT = "the model is in the file, but what it says was refused"
    LEAVING = "its deletion was begun"
    RESTING = "it is to be away: its time is up, or its schedule says so"
    SAME = "it is what the file asks for"
    OTHER = "the file asks for something else"


class Answer(Enum):
    """What to do about one deployment; each is a function of the same name in `answers.py` or `leaving.py`."""

    NOTHING = "nothing"
    WAIT = "wait"
    SEE_OUT = "see_out"
    FORGET = "forget"
    REMOVE = "remove"
    FINISH = "finish"
    ISSUE_AGAIN = "issue_again"
    BE_PATIENT = "be_patient"
    SERVE = "serve"
    GIVE_GRACE = "give_grace"
    TRY_ANEW = "try_anew"
    SUPERSEDE = "supersede"
    LAY_DOWN = "lay_down"


_A = Answer
_PHASES = (
    Phase.ABSENT, Phase.CREATING, Phase.READY, Phase.DEGRADED, Phase.FAILED, Phase.DELETING, Phase.UNKNOWN,
)  # fmt: skip
_ROWS: Mapping[Relation, tuple[Answer, ...]] = {
    #                    ABSENT          CREATING       READY         DEGRADED       FAILED        DELETING    UNKNOWN
    Relation.UNWANTED: (_A.REMOVE,      _A.REMOVE,     _A.REMOVE,    _A.REMOVE,     _A.REMOVE,    _A.SEE_OUT, _A.WAIT),
    Relation.KEPT:     (_A.NOTHING,     _A.NOTHING,    _A.NOTHING,   _A.NOTHING,    _A.NOTHING,   _A.SEE_OUT, _A.WAIT),
    Relation.LEAVING:  (_A.FORGET,      _A.FINISH,     _A.FINISH,    _A.FINISH,     _A.FINISH,    _A.FINISH,  _A.WAIT),
    Relation.RESTING:  (_A.LAY_DOWN,    _A.LAY_DOWN,   _A.LAY_DOWN,  _A.LAY_DOWN,   _A.LAY_DOWN,  _A.SEE_OUT, _A.WAIT),
    Relation.SAME:     (_A.ISSUE_AGAIN, _A.BE_PATIENT, _A.SERVE,     _A.GIVE_GRACE, _A.TRY_ANEW,  _A.SEE_OUT, _A.WAIT),
    Relation.OTHER:    (_A.SUPERSEDE,   _A.SUPERSEDE,  _A.SUPERSEDE, _A.SUPERSEDE,  _A.SUPERSEDE, _A.SEE_OUT, _A.WAIT),
}  # fmt: skip
TABLE: Mapping[tuple[Relation, Phase], Answer] = {
    (relation, phase): answer for relation, row in _ROWS.items() for phase, answer in zip(_PHASES, row, strict=True)
}


def diff(desired: Desired, known: Recorded, moment: Moment, revision: str) -> Plan:
    """The plan for one project. `known` is the refreshed record; models in `desired.refused` stay as they are."""
    own: dict[str, list[DeploymentRecord]] = {key: [] for key in (*desired.models, *desired.refused)}
    for record in known.deployments.values():
        own.setdefault(record.deployment.model, []).append(record)
    steps: list[Step] = []
    routes: dict[str, str] = {}
    resting: list[str] = []
    for key in sorted(own):
        kept = _kept(desired, key)
        case = Case(
            key=key,
            want=None if kept else desired.models.get(key),
            judged=desired.judged.get(key),
            kept=kept,
            records=sorted(own[key], key=lambda record: record.deployment.id),
            book=known.models.get(key) or ModelRecord(key=key),
            moment=moment,
        )
        own_steps = tuple(_steps(case))
        steps.extend(own_steps)
        route = _route(case, own_steps)
        if route is not None:
            routes[key] = route
        if key in desired.models and (case.kept or (case.rest and not case.records)):
            resting.append(key)
    moving = {step.model for step in steps}
    return Plan(
        project=known.project,
        revision=revision,
        steps=tuple(steps),
        routes=routes,
        unchanged=tuple(key for key in sorted(desired.models) if key not in moving),
        resting=tuple(resting),
    )


_ANSWERS: Mapping[Answer, Callable[[Case, DeploymentRecord], Iterator[Step]]] = {
    answer: (vars(leaving) | vars(answers))[answer.value] for answer in Answer
}


def _steps(case: Case) -> Iterator[Step]:
    for record in case.records:
        yield from _ANSWERS[TABLE[relation(case, record), record.phase]](case, record)
    if case.kept:
        yield case.hold(None, case.kept)
    if case.want is not None and case.same is None:
        yield from answers.begin(case, case.want)


def _kept(desired: Desired, key: str) -> str:
    if key in desired.refused:
        return "what the file says of it was refused; it stays as it is"
    suspended = key in desired.models and desired.models[key].suspended
    return "the file suspends it; it stays as it is" if suspended else ""


def relation(case: Case, record: DeploymentRecord) -> Relation:
    """How one of a case's deployments stands to what is desired."""
    if record.intent is Intent.DELETE:
        return Relation.LEAVING
    if case.rests(record) is not None:
        return Relation.RESTING
    if case.kept:
        return Relation.KEPT
    if case.want is None:
        return Relation.UNWANTED
    return Relation.SAME if record is case.same else Relation.OTHER


def _route(case: Case, steps: Sequence[Step]) -> str | None:
    """The deployment that services should be pointed at from now on; None leaves the model without an endpoint."""
    serving = case.same if case.same is not None and case.same.phase is Phase.READY else case.active
    if serving is None:
        return None
    stands = relation(case, serving)
    if stands is Relation.RESTING:
        return serving.deployment.id if case.book.protected else None
    if stands is Relation.UNWANTED and serving.adopted:
        return None
    if any(step.makes_way and step.deployment == serving.deployment.id for step in steps):
        return None
    going = {step.deployment for step in steps if step.action in (Action.DELETE, Action.FORGET)}
    return None if case.want is None and serving.deployment.id in going else serving.deployment.id
