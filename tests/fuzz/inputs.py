"""One input of the fuzzer: the files of a project and how it is asked for. The same seed always gives the same one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Input:
    """Paths are relative to the project's folder. `options` are fields of LoadRequest by name."""

    files: Mapping[str, bytes]
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(map(len, self.files.values()))

    def __str__(self) -> str:
        texts = "".join(f"--- {name}\n{text!r}\n" for name, text in self.files.items())
        return f"{dict(self.options)} {dict(self.environment)}\n{texts}"


def to_json(given: Input) -> str:
    """As a text that a person can read and `from_json` takes back, byte for byte."""
    files = {name: data.decode("utf-8", "surrogateescape") for name, data in given.files.items()}
    return json.dumps({"files": files, "options": given.options, "environment": given.environment}, indent=2) + "\n"


def from_json(text: str) -> Input:
    stored = json.loads(text)
    files = {name: data.encode("utf-8", "surrogateescape") for name, data in stored["files"].items()}
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in stored["options"].items()}
    return Input(files, options, stored["environment"])
