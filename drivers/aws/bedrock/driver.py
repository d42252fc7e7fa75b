"""The driver of `aws-bedrock`: one deployment is a model of AWS's under an id, and at most one thing of ours.

Where nothing is created, the handle alone says that a deployment was asked for: losing it costs nothing, because there
is nothing that could be left behind. Where something is, its name, its request token and its tags say so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from drivers.aws import check
from drivers.aws.bedrock import access
from drivers.aws.bedrock.answering import Answering, require_listed
from drivers.aws.bedrock.geography import NOWHERE, Target, target_of
from drivers.aws.bedrock.imports import REMOVED, Imports
from drivers.aws.bedrock.keys import Keys, wants_key
from drivers.aws.bedrock.looks import looks
from drivers.aws.bedrock.observing import (
    AGREEMENT,
    CREATED,
    MODE,
    MODEL,
    SENDS,
    UNSERVED,
    YES,
    View,
    absent,
    base,
    mode_remembered,
    observed,
)
from drivers.aws.bedrock.profiles import Profiles
from drivers.aws.bedrock.shelf import Shelf
from drivers.aws.bedrock.things import ARN, Kind, Owned, State, mark
from drivers.aws.bedrock.throughput import Throughputs
from drivers.aws.bedrock.wish import PLATFORM, Mode, Wish, wish_of
from drivers.aws.clients import Clients
from drivers.aws.everywhere import found_everywhere
from drivers.aws.patience import keeps_time
from drivers.aws.place import ACCOUNT, CREDENTIALS, REGION, Place, known_places, place_of
from drivers.aws.settings import AwsSettings
from drivers.aws.tags import deployment_from
from drivers.base import Capabilities, Deployment, Finding, Look, ModelSpec, Observation, Token, unknown
from drivers.errors import DriverError, Rejected, Taken, Unavailable

BEFORE_BUYING_S = 6.0
"""Seconds for a model's answer before it is bought: no answer is no reason not to, and the order needs its time."""
TOKEN_S = 3600
"""Seconds for which a token of `token` is good, unless the credentials it is made from end before."""


@keeps_time
class BedrockDriver:
    """Models on Amazon Bedrock."""

    name = PLATFORM
    capabilities = Capabilities(
        updatable=frozenset({"cloud.tags", "cloud.name", "cloud.health-prompt", "cloud.account", access.EULA}),
        billable=True,
        # AWS takes no request that was signed more than five minutes ago.
        settle_s=300.0,
        startup_timeout_s=4 * 3600.0,  # an import of large weights; a model of AWS's own answers at once
    )

    def __init__(self, *, settings: AwsSettings, clients: Clients, clock: Callable[[], datetime]) -> None:
        self._settings, self._clients, self._clock = settings, clients, clock
        kinds: tuple[Kind, ...] = (Profiles(), Throughputs(), Imports(settings))
        self._keys = Keys(settings, clients)
        self._kinds: Mapping[Mode, Kind] = {kind.mode: kind for kind in kinds}

    def check(self, spec: ModelSpec) -> tuple[Finding, ...]:
        return check.check(spec, PLATFORM, self._settings)

    # -- looking -------------------------------------------------------------------------------------------------------

    def observe(self, deployment: Deployment) -> Observation:
        return self._look(self._view(deployment))

    def observe_many(self, deployments: Sequence[Deployment]) -> Mapping[str, Observation]:
        answering = self._answering()
        shelves: dict[Place, Shelf] = {}
        return {each.id: self._look_safely(shelves, each, answering) for each in deployments}

    def in_flight(self, deployment: Deployment) -> int | None:
        return None

    def _look_safely(self, shelves: dict[Place, Shelf], deployment: Deployment, answering: Answering) -> Observation:
        """One that cannot be looked at hides no other."""
        try:
            place = self._place(deployment)
            if place not in shelves:
                shelves[place] = self._shelf(place)
            return self._look(self._view_of(deployment, place, shelves[place], answering))
        except DriverError as error:
            return unknown(error)

    def _look(self, view: View) -> Observation:
        mode = mode_remembered(view.deployment)
        kind, by_tags = self._kinds.get(mode), REMOVED in view.deployment.handle
        seen = kind.find(view.shelf, view.deployment, by_tags=by_tags) if kind is not None else None
        return observed(view, mode, seen)

    # -- changing ------------------------------------------------------------------------------------------------------

    def create(self, deployment: Deployment) -> Observation:
        view, mode = self._prepared(deployment), mode_remembered(deployment)
        kind = self._kinds.get(mode)
        view.answering.door(deployment, view.place)  # nothing is made that nobody could reach
        if kind is not None:
            found = self._made(kind, view)
        elif deployment.handle.get(CREATED) == YES:
            found = deployment.handle  # the id that clients send was settled when it was first asked for
        else:
            wish = wish_of(deployment.spec, self._settings)
            target, agreement = self._target(view, wish)
            found = {CREATED: YES, MODEL: wish.model, SENDS: target.sends} | agreement
        handle = {key: value for key, value in found.items() if key != REMOVED} | base(view, mode)
        return self._look(self._afresh(view, handle))

    def _made(self, kind: Kind, view: View) -> Mapping[str, str]:
        """The deployment's own thing, asked for where it is not there; what is known of it already."""
        deployment = view.deployment
        seen = kind.find(view.shelf, deployment, by_tags=True)
        if seen.state is State.FOREIGN:
            raise Taken(f"creating {deployment.name}: {seen.detail}; it was left alone")
        if seen.state is not State.ABSENT:
            return {**deployment.handle, ARN: seen.arn}
        wish = replace(wish_of(deployment.spec, self._settings), mode=kind.mode)
        target, agreement = self._target(view, wish) if wish.model else (NOWHERE, {})
        if kind.mode is Mode.PROVISIONED:
            self._require_an_answer(view, wish)
        kind.make(view.shelf, deployment, target)
        return agreement

    def _require_an_answer(self, view: View, wish: Wish) -> None:
        """Before model units are paid for by the hour: whether clients could use them. Raises Rejected where AWS says
        that its URL does not serve the model; asked by the token, where it is sold like that too."""
        if "ON_DEMAND" not in view.shelf.models[wish.model].get("inferenceTypesSupported", ()):
            return
        answer = view.answering.ask(view.deployment, view.place, wish.model, BEFORE_BUYING_S)
        if any(words in answer.detail for words in UNSERVED):
            raise Rejected(f"{wish.model}: no model units were bought, because {answer.detail}")

    def _target(self, view: View, wish: Wish) -> tuple[Target, dict[str, str]]:
        """What answers, once AWS has said that it is there and that this account may use it; and what is to be
        remembered of an agreement that is still to come."""
        if wish.mantle:
            require_listed(wish.model, view.shelf.region, view.answering.listed(view.deployment, view.place))
            return NOWHERE._replace(sends=wish.model), {}
        shelf = view.shelf
        target = target_of(wish, shelf.region, shelf.models, shelf.profiles(wish.residency), view.now)
        is_coming = access.require(shelf, wish.model, access.accepts(view.deployment.spec))
        return target, {AGREEMENT: YES} if is_coming else {}

    def update(self, deployment: Deployment) -> Observation:
        view, mode = self._prepared(deployment), mode_remembered(deployment)
        kind = self._kinds.get(mode)
        seen = kind.find(view.shelf, deployment, by_tags=True) if kind is not None else None
        there = seen is not None and seen.state not in (State.ABSENT, State.FOREIGN)
        if seen is not None and there:
            mark(view.shelf, deployment, seen.arn)
            return self._look(self._afresh(view, deployment.handle))
        if deployment.handle.get(MODE) != Mode.ON_DEMAND.value:
            return absent(seen)  # what was updated is gone; a new one is another deployment
        try:
            return self.create(deployment)
        except Taken as taken:  # of an update, that must not be the end: it goes on serving under its old id
            raise Unavailable(str(taken)) from taken

    def delete(self, deployment: Deployment) -> Observation:
        view, mode = self._view(deployment)._replace(ask=False), mode_remembered(deployment)
        # Also where nothing was created: an update may have made a profile whose answer never came.
        kind = self._kinds.get(mode, self._kinds[Mode.PROFILE])
        seen = kind.find(view.shelf, deployment, by_tags=True)
        self._keys.forget(deployment)
        if seen.state in (State.ABSENT, State.FOREIGN):
            left = base(view, mode) | {REMOVED: YES}
            return replace(absent(seen if mode is kind.mode else None), handle=left)
        kind.remove(view.shelf, seen)
        gone = base(view, kind.mode) | {ARN: seen.arn, REMOVED: YES}
        return replace(self._look(self._afresh(view, gone)), handle=gone)

    # -- what commands ask for -----------------------------------------------------------------------------------------

    def owned(self, lineage: str) -> Iterable[Deployment]:
        return self.owned_at(lineage, ())

    def owned_at(self, lineage: str, specs: Collection[ModelSpec]) -> Iterable[Deployment]:
        return found_everywhere(self._clients, self._settings, specs, partial(self._owned_in, lineage))

    def destination(self, spec: ModelSpec) -> Mapping[str, str]:
        return self._clients.destination(spec)

    def _owned_in(self, lineage: str, place: Place) -> Iterator[Deployment]:
        shelf = self._shelf(place)
        where = {REGION: shelf.region, CREDENTIALS: place.credentials, ACCOUNT: self._clients.account(place)}
        for kind in self._kinds.values():
            for thing in kind.owned(shelf, lineage):
                deployment = _adopted(thing, kind.mode, where)
                if deployment is not None and deployment.lineage == lineage:
                    yield deployment

    def preflight(self) -> Iterable[Look]:
        for place in known_places(self._settings):
            yield from looks(self._clients, place, self._clock())

    def token(self, deployment: Deployment) -> Token:
        place = place_of(deployment, self._settings)
        return self._clients.token(place, "bedrock", TOKEN_S, self._clock())

    # -- the surroundings ----------------------------------------------------------------------------------------------

    def _prepared(self, deployment: Deployment) -> View:
        """Before anything is changed: the spec is one that can be served, the account the one that is meant."""
        check.refuse(deployment.spec, PLATFORM, self._settings)
        view = self._view(deployment)._replace(ask=False)
        if wants_key(deployment.spec):
            self._keys.renew(deployment, view.place)
        return view

    def _view(self, deployment: Deployment) -> View:
        place = self._place(deployment)
        return self._view_of(deployment, place, self._shelf(place), self._answering())

    def _view_of(self, deployment: Deployment, place: Place, shelf: Shelf, answering: Answering) -> View:
        return View(deployment, place, self._clients.account(place), shelf, answering, self._clock())

    def _place(self, deployment: Deployment) -> Place:
        """Where it is. Raises Denied where the credentials lead to another account."""
        place = place_of(deployment, self._settings)
        self._clients.guard(place, deployment)
        return place

    def _afresh(self, view: View, handle: Mapping[str, str]) -> View:
        """The same deployment after a change: what was listed before is old."""
        deployment = replace(view.deployment, handle=dict(handle))
        return view._replace(deployment=deployment, shelf=self._shelf(view.place))

    def _shelf(self, place: Place) -> Shelf:
        return Shelf(self._clients(place, "bedrock"))

    def _answering(self) -> Answering:
        return Answering(self._settings, self._clients, self._clock)


def _adopted(thing: Owned, mode: Mode, where: Mapping[str, str]) -> Deployment | None:
    deployment = deployment_from(thing.tags)
    if deployment is None:
        return None
    return replace(deployment, handle={**where, MODE: mode.value, CREATED: YES, ARN: thing.arn})
