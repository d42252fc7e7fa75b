"""Typed values out of a configuration mapping: what is taken, what is refused, what is left over."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.compose.reader import read_documents
from reconciler.errors import InputError
from reconciler.sections import Section

BASE = Path("/etc")


def _section(text: str) -> Section:
    (document,) = read_documents(text.encode(), "a.yaml")
    return Section(document.root)


def test_what_is_not_there_and_what_is_left_empty_is_the_default() -> None:
    for section in (Section(None), _section("a:\nb: null\n")):
        assert section.text("a") is None
        assert section.boolean("b", True) is True
        assert section.integer("c", 3) == 3
        assert section.integer("d", None) is None
        assert section.number("e", 0.5, most=1) == 0.5
        assert section.seconds("f", 7.0) == 7.0
        assert section.texts("g") == ()
        assert section.paths("h", BASE) == ()
        assert section.path("i", BASE) is None
        assert section.mapping("j") == {}
        assert list(section.sections("k")) == []
        section.end()


def test_one_text_is_a_list_of_one() -> None:
    assert _section("a: x").texts("a") == ("x",)
    assert _section("a: [x, y]").texts("a") == ("x", "y")


def test_scalars_of_a_mapping_come_as_written() -> None:
    """`1e3` and `0x10` must not reach a driver as 1000.0 and 16."""
    assert _section("a: {x: 010, y: 1e3, z: 'true', n: true}").mapping("a") == {
        "x": "010",
        "y": "1e3",
        "z": "true",
        "n": "true",
    }


def test_paths_are_relative_to_the_base_and_know_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert _section("a: [x, /y, ~/z]").paths("a", BASE) == (Path("/etc/x"), Path("/y"), Path("/home/ada/z"))


def test_what_nobody_asked_for_is_refused_with_the_nearest_name() -> None:
    section = _section("regoin: x")
    section.text("region")
    with pytest.raises(InputError, match=r"a\.yaml:1:1: unknown setting 'regoin' \(did you mean 'region'\?\)"):
        section.end()


def test_without_a_nearest_name_all_known_ones_are_listed() -> None:
    section = _section("zzz: x")
    section.text("region")
    section.text("bind")
    with pytest.raises(InputError, match=r"\(known here: region, bind\)"):
        section.end()


def test_a_mistake_deep_inside_names_the_way_there() -> None:
    (project,) = _section("projects:\n  - policy:\n      max: many\n").sections("projects")
    with pytest.raises(InputError, match=r"a\.yaml:3:12: projects\[0\]\.policy\.max: must be a whole number"):
        project.section("policy").integer("max", 1)
