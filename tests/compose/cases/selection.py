"""Profiles and project names."""

# ruff: noqa: E501 - a project is easier to read in one line

from __future__ import annotations

from collections.abc import Iterator

from tests.compose.cases.builders import APP, LLM, one, two
from tests.compose.oracle import Case


def cases() -> Iterator[Case]:
    text = "services:\n  always: {image: x}\n  a: {image: x, profiles: [p], models: [ma]}\n  b: {image: x, profiles: [q, r], models: [mb]}\nmodels: {ma: {model: a}, mb: {model: b}, unused: {model: u}}\n"
    for profiles in ((), ("p",), ("q",), ("p", "r"), ("*",), ("none",), ("",)):
        yield one("profile", text, options={"profiles": profiles})
        yield one("profile", text, environment={"COMPOSE_PROFILES": ",".join(profiles)})
    yield one("profile", text, environment={"COMPOSE_PROFILES": " p , q "})
    yield one("option wins", text, options={"profiles": ("p",)}, environment={"COMPOSE_PROFILES": "q"})
    yield one("empty profile", "services: {a: {image: x, profiles: ['']}}\n")
    yield one("no profiles", "services: {a: {image: x, profiles: [], models: [m]}}\nmodels: {m: {model: a}}\n")
    yield one("inactive is free", "services: {a: {image: x}, b: {profiles: [p], models: [lost]}}\n")
    yield one(
        "inactive is not",
        "services: {a: {image: x}, b: {profiles: [p], models: [lost]}}\n",
        options={"profiles": ("p",)},
    )
    yield one("depends on inactive", "services: {a: {image: x, depends_on: [b]}, b: {image: y, profiles: [p]}}\n")
    yield one(
        "not required",
        "services: {a: {image: x, depends_on: {b: {condition: service_started, required: false}}}, b: {image: y, profiles: [p]}}\n",
    )
    for name in ("ok", "Upper", "_x", "a b", "", "0", "a-b_c", "-a"):
        yield one("-p", APP + LLM, options={"project_name": name})
        yield one("COMPOSE_PROJECT_NAME", APP + LLM, environment={"COMPOSE_PROJECT_NAME": name})
        yield one("name:", f"name: '{name}'\n" + APP + LLM)
    yield two("last name", "name: first\n" + APP + LLM, "name: second\n")
    yield two("last name", "name: first\n" + APP + LLM, "name: ''\n")
    yield one("name in second document", APP + LLM + "---\nname: late\n")
    yield one(
        "all", "name: file\n" + APP + LLM, options={"project_name": "opt"}, environment={"COMPOSE_PROJECT_NAME": "env"}
    )
    yield Case(
        files={"My Dir.X_1/compose.yaml": APP + LLM}, options={"files": ("My Dir.X_1/compose.yaml",)}, note="directory"
    )
    yield Case(files={"___/compose.yaml": APP + LLM}, options={"files": ("___/compose.yaml",)}, note="nothing left")
    yield Case(
        files={"compose.yaml": APP + LLM, "p/x": ""}, options={"project_directory": "p"}, note="project directory"
    )
    yield one("x- models", APP + LLM + "  x-note: {model: not, foo: 1}\n")
    yield one("x- models", APP + LLM + "  x-note: {model: fine}\n")
