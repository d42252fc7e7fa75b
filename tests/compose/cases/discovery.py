"""Which files are read."""

from __future__ import annotations

from collections.abc import Iterator

from tests.compose.cases.builders import APP, LLM
from tests.compose.oracle import Case


def cases() -> Iterator[Case]:
    names = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
    for first in names:
        for second in names:
            yield Case(
                files={
                    first: APP + "models: {llm: {model: first}}\n",
                    second: APP + f"models: {{llm: {{model: {second}}}}}\n",
                },
                note="which",
            )
    for name in (
        "compose.override.yml",
        "compose.override.yaml",
        "docker-compose.override.yml",
        "docker-compose.override.yaml",
        "override.yaml",
    ):
        yield Case(files={"compose.yml": APP + LLM, name: "models: {llm: {model: over}}\n"}, note="override")
    yield Case(
        files={
            "compose.yaml": APP + LLM,
            "compose.override.yml": "models: {llm: {model: yml}}\n",
            "compose.override.yaml": "models: {llm: {model: yaml}}\n",
        },
        note="overrides",
    )
    yield Case(files={"compose.yaml": APP + LLM, "a/b/x": ""}, cwd="a/b", note="upwards")
    yield Case(
        files={"compose.yaml": APP + LLM, "a/compose.override.yaml": "models: {}\n"}, cwd="a", note="override alone"
    )
    yield Case(
        files={"a.yaml": APP + LLM, "compose.override.yaml": "models: {llm: {model: over}}\n"},
        options={"files": ("a.yaml",)},
        note="-f takes no override",
    )
    for value in ("a.yaml", "a.yaml:b.yaml", "b.yaml", "lost.yaml", ""):
        files = {
            "a.yaml": APP + LLM,
            "b.yaml": "models: {llm: {model: b}}\n",
            "compose.yaml": APP + "models: {llm: {model: default}}\n",
        }
        yield Case(files=files, environment={"COMPOSE_FILE": value}, note="COMPOSE_FILE")
        yield Case(files={**files, ".env": f"COMPOSE_FILE={value}\n"}, note="COMPOSE_FILE in .env")
        yield Case(
            files=files, environment={"COMPOSE_FILE": value}, options={"files": ("compose.yaml",)}, note="-f wins"
        )
    yield Case(
        files={"a.yaml": APP + LLM, "b.yaml": "models: {llm: {model: b}}\n"},
        environment={"COMPOSE_FILE": "a.yaml;b.yaml", "COMPOSE_PATH_SEPARATOR": ";"},
        note="separator",
    )
    yield Case(
        files={"sub/a.yaml": APP + LLM, "sub/.env": ""}, options={"files": ("sub/a.yaml",)}, note="name from directory"
    )
    yield Case(files={"x": ""}, options={"files": ("-",), "stdin": (APP + LLM).encode()}, note="stdin")
    yield Case(
        files={"a.yaml": APP + LLM},
        options={"files": ("a.yaml", "-"), "stdin": b"models: {llm: {model: stdin}}\n"},
        note="stdin second",
    )
    yield Case(
        files={"s/a.yaml": APP + LLM},
        options={"files": ("-", "s/a.yaml"), "stdin": b"models: {llm: {model: stdin}}\n"},
        note="stdin first",
    )
    yield Case(files={"x": ""}, options={"files": ("lost.yaml",)}, note="lost")
    yield Case(files={"sub/x": ""}, options={"files": ("sub",)}, note="directory")
    yield Case(files={"compose.yaml": APP + LLM}, options={"files": ("./compose.yaml",)}, note="dotted")
