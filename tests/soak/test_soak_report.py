"""What a soak's run comes to: figures, verdicts, text, JSON and a picture."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from infra.soak.figures import by_occasion, growths, times
from infra.soak.looks import Look, Process, Request, Server, Window
from infra.soak.picture import picture
from infra.soak.report import RECOVERY_S, Run, as_json, as_text, most_servers
from infra.soak.wishes import first_wish

SVG = "{http://www.w3.org/2000/svg}"


def look(at_s: float, *processes: Process, servers: tuple[Server, ...] = ()) -> Look:
    return Look(at_s=at_s, wish=first_wish(), revision="", processes=processes, servers=servers)


def process(pid: int = 10, *, resident: float = 40.0, descriptors: int = 12, leads: bool = True) -> Process:
    return Process("first", pid, int(resident * 1e6), descriptors, 15, leads)


def fault(began_s: float, ended_s: float | None, name: str = "a fault") -> Window:
    return Window(name, True, began_s, began_s, ended_s)


def commit(began_s: float, ended_s: float | None) -> Window:
    return Window("a commit", False, began_s, began_s, ended_s)


def run(**given: Any) -> Run:
    """A short run in which all went well, but for what is given."""
    values = {
        "seed": 7,
        "seconds": 300.0,
        "looks": [look(float(second), process()) for second in range(300)],
        "requests": [Request(float(second), "alpha", 0.05) for second in range(300)],
        "windows": [fault(60.0, 65.0), commit(100.0, 103.0)],
        "broken": [],
        "worst_orphan_s": 0.5,
    }
    return Run(**values | given)


def test_a_run_in_which_all_went_well_is_good() -> None:
    assert run().is_good
    assert "everything held" in as_text(run())


def test_a_request_belongs_to_the_fault_that_it_met_on_its_way() -> None:
    windows = [commit(10.0, 20.0), fault(18.0, 30.0)]
    requests = [Request(at_s, "alpha", 1.0) for at_s in (5.0, 9.5, 17.5, 29.0, 31.0)]
    found = {name: [one.at_s for one in those] for name, those in by_occasion(requests, windows).items()}
    assert found == {"calm": [5.0, 31.0], "switch": [9.5], "fault": [17.5, 29.0]}


def test_a_fault_that_never_ended_takes_every_later_request() -> None:
    assert len(by_occasion([Request(999.0, "alpha", 1.0)], [fault(10.0, None)])["fault"]) == 1


@pytest.mark.parametrize(("at_s", "good"), [(62.0, True), (101.0, False), (200.0, False)])
def test_requests_may_fail_during_faults_only(at_s: float, good: bool) -> None:
    failing = run(requests=[*run().requests, Request(at_s, "alpha", 0.1, "refused")])
    assert failing.is_good is good


def test_a_recovery_has_a_bound() -> None:
    assert run(windows=[fault(60.0, 60.0 + RECOVERY_S)]).is_good
    assert not run(windows=[fault(60.0, 61.0 + RECOVERY_S)]).is_good
    assert not run(windows=[fault(60.0, None)]).is_good
    assert run(windows=[fault(60.0, None)], interrupted=True).is_good


def test_recovery_counts_from_when_the_fault_was_undone() -> None:
    held = Window("frozen", True, 60.0, 120.0, 125.0)
    assert held.recovery_s == 5.0
    assert run(windows=[held]).is_good


def test_a_commit_amid_a_fault_is_not_counted_among_the_undisturbed() -> None:
    mixed = run(windows=[fault(60.0, 100.0), commit(70.0, 200.0), commit(210.0, 212.0)])
    assert mixed.is_good
    assert mixed.recoveries(faults=False).worst == 2.0
    assert mixed.recoveries(faults=True).worst == 40.0


@pytest.mark.parametrize(("leak", "good"), [(0.0, True), (0.03, True), (0.2, False)])
def test_memory_may_not_grow_beyond_its_bound(leak: float, good: bool) -> None:
    looks = [look(float(second), process(resident=40 + leak * second)) for second in range(300)]
    assert run(looks=looks).is_good is good


def test_descriptors_may_not_grow_beyond_their_bound() -> None:
    looks = [look(float(second), process(descriptors=12 + second // 10)) for second in range(300)]
    assert any("file descriptors" in verdict for verdict in run(looks=looks).verdicts())


def test_what_a_process_takes_at_its_start_or_as_the_leader_is_no_leak() -> None:
    starting = [look(float(second), process(resident=10.0 if second < 10 else 60.0)) for second in range(100)]
    leading = [look(100.0 + second, process(resident=60.0, leads=False)) for second in range(100)]
    taken_over = [look(200.0 + second, process(resident=90.0)) for second in range(100)]
    found = {one.measure: one for one in growths([*starting, *leading, *taken_over])}
    assert found["resident MB"].after - found["resident MB"].before == 0.0


def test_a_life_that_was_too_short_says_nothing() -> None:
    assert growths([look(float(second), process(pid=second // 30)) for second in range(300)]) == ()


def test_times_of_nothing_are_no_numbers_and_null_in_json() -> None:
    assert times([]).median != times([]).median
    assert json.loads(json.dumps(as_json(run(windows=[])), allow_nan=False))["recovery_s"]["faults"]["worst"] is None
    assert times([3.0, 1.0, 2.0]) == (2.0, 3.0, 3.0)


def test_the_most_servers_of_one_model_are_counted_at_one_moment() -> None:
    two = (Server(1, "a", "alpha"), Server(2, "b", "alpha"), Server(3, "c", "beta"))
    assert most_servers([look(0.0), look(1.0, servers=two), look(2.0, servers=two[1:])]) == 2


def test_the_document_has_every_figure() -> None:
    failed = Request(62.0, "alpha", 0.1, "refused")
    document = as_json(run(requests=[*run().requests, failed], broken=["at 5.0 s: two of one"]))
    assert document["good"] is False
    assert document["verdicts"] == ["at 5.0 s: two of one"]
    assert document["requests"]["fault"]["failed"] == 1  # type: ignore[index]
    assert document["failures"] == [{"at_s": 62.0, "took_s": 0.1, "model": "alpha", "error": "refused"}]
    assert document["faults"] == [{"name": "a fault", "began_s": 60.0, "recovery_s": 5.0}]
    assert document["peak"] == {"resident MB": 40.0, "file descriptors": 12.0, "threads": 15.0}


def test_the_text_says_what_each_fault_cost() -> None:
    failed = [Request(62.0, "alpha", 0.1, "refused"), Request(63.0, "alpha", 0.1, "refused")]
    said = as_text(run(requests=[*run().requests, *failed], windows=[fault(60.0, 65.0, "kill -9"), commit(1.0, 2.0)]))
    lines = said.splitlines()
    at = next(at for at, line in enumerate(lines) if "kill -9" in line)
    assert lines[at + 1].strip() == "2 × alpha: refused"
    assert lines[at].split() == ["1", "60.0", "s", "5.0", "s", "2", "failed", "kill", "-9"]


def test_the_picture_is_an_svg_with_axes_units_and_marks() -> None:
    windows = [fault(60.0, 65.0, "<a> & b"), fault(120.0, None), commit(100.0, 103.0)]
    failed = Request(62.0, "alpha", 0.1, "refused")
    root = ElementTree.fromstring(picture(run(windows=windows, requests=[*run().requests, failed])))
    texts = [text.text or "" for text in root.iter(f"{SVG}text")]
    for unit in ("resident memory of each service, MB", "time to an answer, ms (crosses: failed requests)", "5 min"):
        assert unit in texts
    assert sum(text == "×" for text in texts) == 1
    assert any("<a> & b" in text for text in texts)
    bands = [rect for rect in root.iter(f"{SVG}rect") if rect.get("opacity")]
    assert len(bands) == 5 * 2
    assert all(float(band.get("x", 0)) + float(band.get("width", 0)) <= 1071 for band in bands)


def test_a_picture_of_nothing_is_still_one() -> None:
    ElementTree.fromstring(picture(run(looks=[], requests=[], windows=[], seconds=0.4)))
