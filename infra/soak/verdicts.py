"""What must hold at every moment, and what it means that everything is well. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from drivers.base import Phase
from infra.soak.looks import Look
from infra.soak.wishes import Wish
from state.record import DeploymentRecord, Intent

MOST_PER_MODEL = 2
"""Servers that do their work, or may: one, and during a replacement its successor."""
MOST_RECORDED = 3
"""Deployments of a model in the record: the third only where one of them is dead."""
ORPHAN_S = 60.0
"""Seconds within which a server that the record does not know is adopted or gone."""


@dataclass(slots=True)
class Judge:
    """Holds looks against what must always hold; remembers what only time can tell."""

    hurt: set[str] = field(default_factory=set)
    """Deployments whose server we killed or stopped: that services point at those is no fault of the reconciler."""
    worst_orphan_s: float = 0.0
    _unknown_since: dict[str, float] = field(default_factory=dict)
    _url_of: dict[str, str] = field(default_factory=dict)

    def broken(self, look: Look) -> frozenset[str]:
        """What does not hold. The texts are the same for the same thing, so that two looks can be compared."""
        self._remember(look)
        return frozenset([*_doubles(look), *_crowds(look), *self._orphans(look), *self._dead_ends(look)])

    def _remember(self, look: Look) -> None:
        if look.recorded is None:
            return
        for id, record in look.recorded.deployments.items():
            if record.endpoint is not None:
                self._url_of[id] = record.endpoint.url
        strangers = {server.deployment for server in look.servers} - look.recorded.deployments.keys()
        self._unknown_since = {id: self._unknown_since.get(id, look.at_s) for id in strangers}
        longest = max((look.at_s - since for since in self._unknown_since.values()), default=0.0)
        self.worst_orphan_s = max(self.worst_orphan_s, longest)

    def _orphans(self, look: Look) -> Iterator[str]:
        for id, since in self._unknown_since.items():
            if look.at_s - since > ORPHAN_S:
                yield f"the server of {id} is in no record for more than {ORPHAN_S:g} s"

    def _dead_ends(self, look: Look) -> Iterator[str]:
        """Services are pointed at a server that we deleted: nothing lives that has the address, and nobody hurt it."""
        living = {server.deployment for server in look.servers}
        for model in look.wish.models:
            url = look.urls.get(model)
            known = {id for id, at in self._url_of.items() if at == url}
            if known and not known & living and not known & self.hurt:
                yield f"{model}: services are pointed at {url}, whose server was deleted"


def _doubles(look: Look) -> Iterator[str]:
    for id, count in Counter(server.deployment for server in look.servers).items():
        if count > 1:
            yield f"{count} servers carry the id of deployment {id}"


def _crowds(look: Look) -> Iterator[str]:
    at_work = Counter(server.model for server in look.servers if not server.stopped)
    for model, count in at_work.items():
        if count > MOST_PER_MODEL:
            yield f"{model} has {count} servers at once"
    for model in Counter(record.deployment.model for record in _records(look)):
        records = look.records_of(model)
        dead = [record for record in records if record.phase in (Phase.FAILED, Phase.ABSENT, Phase.DELETING)]
        if len(records) > (MOST_RECORDED if dead else MOST_PER_MODEL):
            yield f"{model} has {len(records)} deployments in the record, {len(dead)} of them dead"


def unsettled(look: Look) -> str:
    """Why not everything is well; empty when it is."""
    if look.recorded is None:
        return "the record cannot be read"
    if len(look.processes) < 2 or any(process.stopped for process in look.processes):
        return "a service is not running"
    if look.leader is None:
        return "nobody holds the lease"
    source = look.recorded.source
    if source is None or look.revision not in source.revision:
        return "the last commit was not read"
    reasons = (*(_unserved(look, model) for model in sorted(look.wish.models)), _left_over(look))
    return next(filter(None, reasons), "") or ("" if look.override_intact else "the override file is not whole")


def _unserved(look: Look, model: str) -> str:
    serving = [record for record in look.records_of(model) if record.active]
    if len(serving) != 1:
        return f"{model} is not served"
    record = serving[0]
    if record.deployment.spec.context_size != look.wish.models[model]:
        return f"{model} has not changed over yet"
    if not _is_well(record) or record.endpoint is None or look.urls.get(model) != record.endpoint.url:
        return f"{model} is {record.phase.value}"
    return ""


def _left_over(look: Look) -> str:
    """Deployments and servers beside the ones that serve."""
    serving = {record.deployment.id for record in _records(look) if record.active}
    for record in _records(look):
        if record.deployment.id not in serving or record.deployment.model not in look.wish.models:
            return f"a deployment of {record.deployment.model} is left over: {record.phase.value}"
    pids = Counter(server.deployment for server in look.servers if not server.stopped)
    return "" if pids == Counter(serving) else "the servers are not those of the record"


def _records(look: Look) -> tuple[DeploymentRecord, ...]:
    return tuple(look.recorded.deployments.values()) if look.recorded is not None else ()


def _is_well(record: DeploymentRecord) -> bool:
    return record.phase is Phase.READY and record.intent is Intent.CREATE


def unanswered(wish: Wish, answered_s: Mapping[str, float], since_s: float) -> str:
    """The model that has answered no request sent since then; empty where each has. `answered_s`: by model, when the
    last request that was answered was sent."""
    return next((f"{name} does not answer" for name in sorted(wish.models) if answered_s.get(name, -1) < since_s), "")
