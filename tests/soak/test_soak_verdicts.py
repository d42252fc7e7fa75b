"""What a soak calls broken, and what it calls well."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from drivers.base import Phase
from infra.soak.looks import Look, Process, Server
from infra.soak.verdicts import ORPHAN_S, Judge, unanswered, unsettled
from infra.soak.wishes import Wish
from state.record import DeploymentRecord, Intent
from tests.builders import REVISION, deployment_id, deployment_record, endpoint, model_spec, recorded, source_record

ALPHA, BETA = "http://127.0.0.1:8001/v1/", "http://127.0.0.1:8002/v1/"
WISH = Wish(MappingProxyType({"alpha": 512, "beta": 768}))


def served(number: int, model: str, size: int, url: str, **given: Any) -> DeploymentRecord:
    return deployment_record(number, model=model, spec=model_spec(context_size=size), endpoint=endpoint(url), **given)


FIRST, SECOND = served(1, "alpha", 512, ALPHA), served(2, "beta", 768, BETA)


def server(number: int, model: str = "alpha", **given: Any) -> Server:
    return Server(100 + number, deployment_id(number), model, **given)


def process(slot: str, *, leads: bool = False, **given: Any) -> Process:
    return Process(slot, 10 if leads else 11, 40_000_000, 12, 15, leads, **given)


def look(*records: DeploymentRecord, **given: Any) -> Look:
    """All is well, but for what is given."""
    values = {
        "at_s": 10.0,
        "wish": WISH,
        "revision": REVISION,
        "servers": (server(1), server(2, "beta")),
        "processes": (process("first", leads=True), process("second")),
        "recorded": recorded(*(records or (FIRST, SECOND)), source=source_record("alpha", "beta")),
        "urls": {"alpha": ALPHA, "beta": BETA},
        "override_intact": True,
    }
    return Look(**values | given)


def test_when_all_is_well_nothing_is_broken_and_nothing_is_waited_for() -> None:
    assert Judge().broken(look()) == frozenset()
    assert unsettled(look()) == ""


def test_two_servers_of_one_deployment_are_broken() -> None:
    twice = (server(1), replace(server(1), pid=200), server(2, "beta"))
    assert any("carry the id" in text for text in Judge().broken(look(servers=twice)))


def test_a_third_server_of_a_model_is_broken_unless_one_is_stopped() -> None:
    records = (FIRST, served(3, "alpha", 512, ALPHA, active=False), SECOND)
    two = (server(1), server(3), server(2, "beta"))
    assert Judge().broken(look(*records, servers=two)) == frozenset()
    third = served(4, "alpha", 512, ALPHA, active=False, phase=Phase.FAILED)
    assert Judge().broken(look(*records, third, servers=(*two, server(4, stopped=True)))) == frozenset()
    assert "alpha has 3 servers at once" in Judge().broken(look(*records, third, servers=(*two, server(4))))


def test_a_third_deployment_in_the_record_is_broken_unless_one_is_dead() -> None:
    more = [served(number, "alpha", 512, ALPHA, active=False) for number in (3, 4)]
    assert any("3 deployments in the record" in text for text in Judge().broken(look(FIRST, *more, SECOND)))
    dead = replace(more[0], phase=Phase.FAILED)
    assert Judge().broken(look(FIRST, dead, more[1], SECOND)) == frozenset()


def test_a_server_in_no_record_is_broken_when_its_time_is_over() -> None:
    judge = Judge()
    stranger = (server(1), server(2, "beta"), server(9))
    assert judge.broken(look(servers=stranger, at_s=10.0)) == frozenset()
    assert judge.broken(look(servers=stranger, at_s=10.0 + ORPHAN_S)) == frozenset()
    assert any("in no record" in text for text in judge.broken(look(servers=stranger, at_s=11.0 + ORPHAN_S)))
    assert judge.worst_orphan_s == pytest.approx(ORPHAN_S + 1)
    assert judge.broken(look(at_s=12.0 + ORPHAN_S)) == frozenset()


def test_a_record_that_cannot_be_read_makes_nobody_an_orphan() -> None:
    judge = Judge()
    judge.broken(look())
    assert judge.broken(look(recorded=None, at_s=500.0)) == frozenset()


def test_services_pointed_at_a_deleted_server_are_broken_but_not_at_one_that_we_killed() -> None:
    gone = look(servers=(server(2, "beta"),))
    assert any("was deleted" in text for text in Judge().broken(gone))
    assert Judge(hurt={deployment_id(1)}).broken(gone) == frozenset()


def test_a_successor_at_the_same_address_is_no_dead_end() -> None:
    successor = served(3, "alpha", 512, ALPHA)
    assert Judge().broken(look(successor, SECOND, servers=(server(3), server(2, "beta")))) == frozenset()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"recorded": None}, "the record cannot be read"),
        ({"processes": (process("first", leads=True),)}, "a service is not running"),
        ({"processes": (process("first", leads=True), process("second", stopped=True))}, "a service is not running"),
        ({"processes": (process("first"), process("second"))}, "nobody holds the lease"),
        ({"revision": "a" * 40}, "the last commit was not read"),
        ({"override_intact": False}, "the override file is not whole"),
        ({"servers": (server(1),)}, "the servers are not those of the record"),
        ({"servers": (server(1), server(2, "beta"), server(9))}, "the servers are not those of the record"),
        ({"servers": (server(1, stopped=True), server(2, "beta"))}, "the servers are not those of the record"),
        ({"urls": {"alpha": BETA, "beta": BETA}}, "alpha is ready"),
        ({"wish": Wish({"alpha": 1024, "beta": 768})}, "alpha has not changed over yet"),
        ({"wish": Wish({"alpha": 512})}, "a deployment of beta is left over: ready"),
        ({"wish": Wish({**WISH.models, "gamma": 512})}, "gamma is not served"),
    ],
)
def test_what_is_waited_for(given: dict[str, Any], reason: str) -> None:
    assert unsettled(look(**given)) == reason


def test_a_deployment_that_is_being_replaced_or_deleted_is_waited_for() -> None:
    assert unsettled(look(replace(FIRST, phase=Phase.DEGRADED), SECOND)) == "alpha is degraded"
    assert unsettled(look(replace(FIRST, intent=Intent.DELETE), SECOND)) == "alpha is ready"
    old = served(3, "alpha", 256, ALPHA, active=False)
    assert unsettled(look(FIRST, SECOND, old)) == "a deployment of alpha is left over: ready"


def test_a_model_must_have_answered_since() -> None:
    assert unanswered(WISH, {"alpha": 5.0, "beta": 4.0}, 4.0) == ""
    assert unanswered(WISH, {"alpha": 5.0, "beta": 3.9}, 4.0) == "beta does not answer"
    assert unanswered(WISH, {"beta": 5.0}, 4.0) == "alpha does not answer"
