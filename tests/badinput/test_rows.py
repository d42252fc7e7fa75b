"""Every row of the table of bad inputs has tests that run, or says which part of the project it waits for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

from tests.badinput.rows import ROWS, Row

PARTS_TO_COME = re.compile(r"gateway|webhook|cloud drivers|a user and a sandbox of their own")
_CASE = re.compile(r"(?P<file>[\w/]+)\.py::(?:(?P<group>\w+)\.)?(?P<test>test_\w+)(?:\[(?P<parameter>.+)\])?")


def test_the_table_has_all_54_rows_in_order() -> None:
    assert [row.number for row in ROWS] == list(range(1, 55))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.number} {row.about}")
def test_every_row_is_shown_or_says_what_it_waits_for(row: Row) -> None:
    assert row.cases or row.later
    assert not row.later or PARTS_TO_COME.match(row.later)
    for case in row.cases:
        assert_runs(case)


def assert_runs(case: str) -> None:
    """The test is there under that name, has that parameter, and nothing skips it."""
    named = _CASE.fullmatch(case)
    assert named is not None, case
    holder: Any = import_module(f"tests.{named['file'].replace('/', '.')}")
    if named["group"]:
        holder = getattr(holder, named["group"])
    test = getattr(holder, named["test"])
    marks = [mark.name for mark in getattr(test, "pytestmark", ())]
    assert not {"skip", "skipif", "xfail"} & set(marks), case
    if named["parameter"]:
        assert named["parameter"] in set(_parameters(test)), case


def _parameters(test: Callable[..., object]) -> Iterator[str]:
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == "parametrize":
            yield from (str(value) for value in mark.args[1])


@pytest.mark.parametrize("case", ["compose/test_bad_input.py::test_lost", "compose/test_lost.py::test_x", "x"])
def test_a_case_that_is_not_there_is_noticed(case: str) -> None:
    with pytest.raises((AssertionError, AttributeError, ModuleNotFoundError)):
        assert_runs(case)


def test_a_parameter_that_is_not_there_is_noticed() -> None:
    with pytest.raises(AssertionError):
        assert_runs("compose/test_bad_input.py::test_refused_with_a_place_and_a_reason[lost]")
