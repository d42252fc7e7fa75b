"""What is said of a deployment, and remembered of it, once AWS was asked.

What is remembered (the handle) decides three things that must not change behind anybody's back: where the deployment
lives, the id that clients send, and whether that id has answered: READY costs one completion, not one each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from drivers.aws.bedrock import access
from drivers.aws.bedrock.answering import LOOK_S, VIA, Answering
from drivers.aws.bedrock.doors import Door
from drivers.aws.bedrock.geography import end_of, notice_of
from drivers.aws.bedrock.imports import REMOVED
from drivers.aws.bedrock.shelf import Shelf
from drivers.aws.bedrock.things import ARN, Seen, State
from drivers.aws.bedrock.wish import API, MANTLE, Mode, mode_of
from drivers.aws.place import ACCOUNT, CREDENTIALS, REGION, Place
from drivers.base import Deployment, Endpoint, Observation, Phase
from drivers.probe import Answer

MODE, CREATED, MODEL, SENDS, ANSWERED = "mode", "created", "model", "sends", "answered"
AGREEMENT = "agreement"
"""That the account was not subscribed to the model when it was asked for: to come, and then asked for by a request."""
YES, ASKED = "yes", "asked"
NOT_ASKED = Answer(False, "the model has not been asked yet")
_STARTING_S = 30.0
_NEVER = frozenset({400, 404})
"""What the URL answers for a model that it does not serve: not every model of AWS's speaks its OpenAI-compatible API,
and no list says which (docs.aws.amazon.com/bedrock/latest/userguide/models-api-compatibility.html does, for people).
Of something that was only just made, the same may mean that it is not known everywhere yet."""
UNSERVED = ("is not supported on this API", "isn't supported on this route", "does not support the")
"""AWS's words for a model that its URL does not serve, whatever it is asked for under."""


class View(NamedTuple):
    """One deployment being looked at."""

    deployment: Deployment
    place: Place
    account: str
    shelf: Shelf
    answering: Answering
    now: datetime
    ask: bool = True
    """Whether the model may be asked; not right after a change, which answers at once."""


def mode_remembered(deployment: Deployment) -> Mode:
    """How it is served: as it was created, but that an update may ask for a profile and never takes one away."""
    wanted, written = mode_of(deployment.spec), deployment.handle.get(MODE)
    if written is None or (written == Mode.ON_DEMAND.value and wanted is Mode.PROFILE):
        return wanted
    return Mode(written)


def base(view: View, mode: Mode) -> dict[str, str]:
    """What every handle has."""
    where = {REGION: view.shelf.region, CREDENTIALS: view.place.credentials, ACCOUNT: view.account}
    return where | {MODE: mode.value}


def observed(view: View, mode: Mode, seen: Seen | None) -> Observation:
    """What is said. `seen` is the deployment's own thing, None where there is none by design."""
    handle = view.deployment.handle
    there = seen is not None and seen.state not in (State.ABSENT, State.FOREIGN)
    if seen is not None and there:
        return _removed(seen) if REMOVED in handle else _own(view, mode, seen)
    if handle.get(MODE) == Mode.ON_DEMAND.value and handle.get(CREATED) == YES:
        return _served(view, handle, handle[SENDS])
    return absent(seen)


def absent(seen: Seen | None) -> Observation:
    """Nothing of ours; but perhaps something else is in its place."""
    if seen is None or seen.state is State.ABSENT:
        return Observation(phase=Phase.ABSENT)
    return Observation(phase=Phase.ABSENT, detail=seen.detail, foreign=True)


def _removed(seen: Seen) -> Observation:
    under_way = seen.state is State.STARTING
    detail = "an import cannot be stopped; its model is deleted when it is there" if under_way else "AWS is deleting it"
    return Observation(phase=Phase.DELETING, detail=detail, look_again_s=_STARTING_S)


def _own(view: View, mode: Mode, seen: Seen) -> Observation:
    handle = {**base(view, mode), CREATED: YES, ARN: seen.arn}
    if seen.model:
        handle[MODEL] = seen.model
    handle |= {key: view.deployment.handle[key] for key in (AGREEMENT, ANSWERED, VIA) if key in view.deployment.handle}
    if seen.state is State.STARTING:
        return Observation(phase=Phase.CREATING, detail=seen.detail, handle=handle, look_again_s=_STARTING_S)
    if seen.state is not State.ACTIVE:
        phase = Phase.FAILED if seen.state is State.FAILED else Phase.UNKNOWN
        return Observation(phase=phase, detail=seen.detail, handle=handle)
    return _served(view, handle, seen.arn)


def _served(view: View, handle: Mapping[str, str], sends: str) -> Observation:
    """What a model is like that should answer under an id."""
    door = view.answering.door(view.deployment, view.place)
    answered = handle.get(ANSWERED) == sends and view.deployment.handle.get(VIA, "") == door.host
    handle = {**handle, SENDS: sends} | ({VIA: door.host} if door.host else {})
    view = view._replace(deployment=replace(view.deployment, handle=handle))
    endpoint = _endpoint(view, sends) if answered else None
    ended, lost = _trouble(view, handle, sends)
    lost = lost or door.missing
    if ended or (lost and not answered):
        return Observation(phase=Phase.FAILED, detail=ended or lost, handle=handle, endpoint=endpoint)
    if lost:
        return Observation(phase=Phase.DEGRADED, detail=lost, handle=handle, endpoint=endpoint)
    if handle.get(AGREEMENT) == ASKED and (subscribing := _subscribing(view, handle)):
        return subscribing
    answer = Answer(True) if answered else _ask(view, sends)
    if not answer.ok:
        return _unanswered(answer, handle, door)
    if handle.get(AGREEMENT) == YES:
        asked, detail = {**handle, AGREEMENT: ASKED}, access.under_way(handle[MODEL])
        return Observation(phase=Phase.CREATING, detail=detail, handle=asked, look_again_s=LOOK_S)
    model = view.shelf.models.get(handle.get(MODEL, "")) if _is_listed(view, handle) else None
    return Observation(
        phase=Phase.READY,
        detail=notice_of(model) if model is not None else "",
        endpoint=endpoint or _endpoint(view, sends),
        handle={key: value for key, value in handle.items() if key != AGREEMENT} | {ANSWERED: sends},
    )


def _subscribing(view: View, handle: Mapping[str, str]) -> Observation | None:
    """What is said until the agreement is made; None when it is. AWS answers for a while before that, also where it is
    not going to be made: then the model is asked anew, which is what begins it."""
    missing = access.missing_for(view.shelf, handle[MODEL])
    if not missing:
        return None
    kept = handle if missing == access.under_way(handle[MODEL]) else {**handle, AGREEMENT: YES}
    return Observation(phase=Phase.CREATING, detail=missing, handle=kept, look_again_s=LOOK_S)


def _unanswered(answer: Answer, handle: Mapping[str, str], door: Door) -> Observation:
    """Whether it may still come to answer."""
    if answer is NOT_ASKED:
        return Observation(phase=Phase.CREATING, detail=answer.detail, handle=handle, look_again_s=1.0)
    is_unknown = handle[MODE] == Mode.ON_DEMAND.value and answer.status in _NEVER
    if is_unknown or any(words in answer.detail for words in UNSERVED):
        return Observation(phase=Phase.FAILED, detail=f"AWS does not serve it there: {answer.detail}", handle=handle)
    detail = answer.detail
    if door.host and answer.status is None:
        detail += f"; it was asked through {door.host}, which can be reached from its own network only"
    return Observation(phase=Phase.CREATING, detail=detail, handle=handle, look_again_s=LOOK_S)


def _trouble(view: View, handle: Mapping[str, str], sends: str) -> tuple[str, str]:
    """Why the model answers nobody for good, and why it may not: AWS ended it, or does not list it."""
    if not _is_listed(view, handle):
        return "", ""
    id, region = handle[MODEL], view.shelf.region
    model = view.shelf.models.get(id)
    if model is None:
        return "", f"AWS does not list {id} in {region} any more"
    if sends not in (id, handle.get(ARN)) and sends not in view.shelf.profiles(sends):
        return "", f"AWS does not list the inference profile {sends} in {region} any more"
    return end_of(model, view.now), ""


def _is_listed(view: View, handle: Mapping[str, str]) -> bool:
    """Whether the model is one of those in AWS's list: imports and bedrock-mantle's are not."""
    return bool(handle.get(MODEL)) and view.deployment.spec.options.get(API) != MANTLE


def _ask(view: View, sends: str) -> Answer:
    return view.answering.ask(view.deployment, view.place, sends) if view.ask else NOT_ASKED


def _endpoint(view: View, sends: str) -> Endpoint:
    return view.answering.endpoint(view.deployment, view.place, sends)
