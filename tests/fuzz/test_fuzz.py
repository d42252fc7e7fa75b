"""Promise: whatever is written in a Compose project is refused with a place or accepted, soon and in little memory.

Here some thousand inputs, always the same; `make fuzz` looks at a million. The rest of the tests is about the fuzzer:
it must notice what it looks for.
"""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from random import Random

import pytest

from tests.fuzz.corpus import corpus, sound
from tests.fuzz.inputs import Input, from_json, to_json
from tests.fuzz.judge import judge
from tests.fuzz.minimise import minimise
from tests.fuzz.mutate import by_seed
from tests.fuzz.path import follow
from tests.fuzz.workers import Bounds, Figures, alone, run

INPUTS, BATCH = 6_000, 1_000


@pytest.mark.parametrize("first", range(0, INPUTS, BATCH))
def test_nothing_but_our_own_errors_comes_out(first: int) -> None:
    found = {seed: judge(by_seed(seed), follow) for seed in range(first, first + BATCH)}
    bad = [f"--seed {seed}: {verdict.finding}\n{verdict.trace}" for seed, verdict in found.items() if verdict.finding]
    assert not bad, "\n".join(bad)
    accepted = sum(not verdict.place for verdict in found.values())
    assert 0.1 * BATCH < accepted < 0.6 * BATCH, "inputs that are all right, or all wrong, prove nothing"
    assert len({verdict.place for verdict in found.values()}) > 40


def test_a_seed_gives_one_input_and_its_file_gives_it_back() -> None:
    for seed in range(200):
        given = by_seed(seed)
        assert given == by_seed(seed)
        assert from_json(to_json(given)) == given


def test_mutations_begin_with_what_is_accepted_and_with_what_is_not() -> None:
    assert len(corpus()) > 1_000
    assert 0.3 * len(corpus()) < len(sound()) < 0.9 * len(corpus())


# -- the fuzzer itself ------------------------------------------------------------------------------------------------


def _numbered(seed: int) -> Input:
    return Input({"compose.yaml": str(seed).encode()})


def _number(given: Input) -> int:
    return int(given.files["compose.yaml"])


def _raising(given: Input) -> str:
    if _number(given) % 10 == 3:
        raise KeyError("planted")
    return "here"


def _hanging(given: Input) -> str:
    while _number(given) == 7:
        pass
    return "here"


def _stuck(given: Input) -> str:
    """In a place where no signal is looked for."""
    if _number(given) == 7:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPROF})
        signal.pause()
    return "here"


def _dying(given: Input) -> str:
    if _number(given) in (4, 11):
        os.kill(os.getpid(), signal.SIGKILL)
    return "here"


def _leaving(given: Input) -> str:
    if _number(given) == 5:
        os._exit(3)
    return ""


def _greedy(given: Input) -> str:
    return "here" if _number(given) != 9 else str(len(bytearray(1 << 30)))


def _names(figures: Figures) -> dict[int, str]:
    return {finding.seed: finding.name for finding in figures.findings}


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_that_is_not_ours_is_found(jobs: int) -> None:
    figures = run(0, 40, jobs, _numbered, _raising)
    assert _names(figures) == dict.fromkeys((3, 13, 23, 33), "KeyError in tests/fuzz/test_fuzz.py:_raising")
    assert figures.inputs == 40
    assert "planted" in figures.findings[0].trace


def test_an_input_that_takes_too_long_is_found_and_the_others_go_on() -> None:
    figures = run(0, 20, 2, _numbered, _hanging, bounds=Bounds(cpu_s=0.05))
    assert _names(figures) == {7: "longer than 0.05 s"}
    assert figures.inputs == 20


def test_a_process_that_is_stuck_is_ended_and_its_input_kept() -> None:
    figures = run(0, 20, 1, _numbered, _stuck, bounds=Bounds(stuck_s=0.3))
    assert _names(figures) == {7: "stuck for 0.3 s"}
    assert figures.inputs == 20


def test_a_process_that_dies_leaves_its_input_and_is_replaced() -> None:
    figures = run(0, 20, 2, _numbered, _dying)
    assert _names(figures) == dict.fromkeys((4, 11), "ended with signal SIGKILL")
    assert figures.inputs == 20
    assert _names(run(0, 20, 1, _numbered, _leaving)) == {5: "ended with status 3"}


def test_memory_is_bounded() -> None:
    figures = run(0, 20, 1, _numbered, _greedy, bounds=Bounds(memory=256 << 20))
    assert _names(figures) == {9: "MemoryError in tests/fuzz/test_fuzz.py:_greedy"}


def test_what_does_not_hold_is_a_finding() -> None:
    def without_place(given: Input) -> str:
        raise AssertionError("an error without a place")

    verdict = judge(_numbered(1), without_place)
    assert verdict.finding.endswith("without_place: an error without a place")


def test_a_finding_becomes_small() -> None:
    base = replace(by_seed(1), environment={"A": "b"})
    given = replace(base, files={**base.files, "x.yaml": b"one: 1\nmodels: {boom: 1}\ntwo: 2\n" * 3})
    smallest = minimise(given, lambda less: b"boom" in less.files.get("x.yaml", b""))
    assert smallest == Input({"x.yaml": b"boom"})


def test_minimising_has_an_end_of_its_own() -> None:
    times = iter(range(1_000))
    given = Input({"x": bytes(Random(1).randbytes(400))})
    assert minimise(given, lambda less: True, within_s=2, clock=lambda: float(next(times))).size > 50


def test_one_input_is_judged_in_a_process_of_its_own() -> None:
    assert alone(_numbered(4), _dying).finding == "ended with signal SIGKILL"
    assert alone(Input({"compose.yaml": b"["}), follow).place.startswith("reader.py:")
