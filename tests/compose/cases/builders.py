"""How a case is written down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.compose.oracle import Case

APP = "services:\n  app:\n    image: x\n    models: [llm]\n"
LLM = "models:\n  llm:\n    model: ai/smollm2\n"


def one(note: str, text: str, **rest: Any) -> Case:
    """A project of one file."""
    return Case(files={"compose.yaml": text}, note=note, **rest)


def two(note: str, base: str, over: str, **rest: Any) -> Case:
    """A project with an override file."""
    return Case(files={"compose.yaml": base, "compose.override.yaml": over}, note=note, **rest)


def model(body: str) -> str:
    """A project whose only model has this body."""
    return f"{APP}models:\n  llm: {body}\n"


def listed(text: str) -> Iterator[str]:
    """What stands between bars, line by line."""
    for line in text.strip("\n").splitlines():
        yield from (part for part in line.strip().split(" | ") if part)
