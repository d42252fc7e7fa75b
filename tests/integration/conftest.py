"""Worlds to run the reconciler in, with the real llama-server and the real SmolLM2, and nothing left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.lab import Lab
from tests import parts

QUICKSTART = parts.CHECKOUT / "examples" / "quickstart"
TIMING = {"poll_interval": "1s", "local_bake": "1s", "local_removal_grace": "1s"}
"""Short, so that a test does not wait for the operator's patience."""


class Labs:
    """Makes labs below one folder, and ends whatever of them still runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[Lab] = []

    def make(self, name: str = "lab", *, settings: dict[str, Any] | None = None, **project: Any) -> Lab:
        """A lab with the quickstart's repository and its model imported."""
        base = dict(os.environ) | {"RECONCILE_LLAMA_SERVER": str(parts.llama_server())}
        model = parts.smollm2()
        # Loopback unless a test wants containers to reach its models.
        chosen = {"timing": TIMING, "llamacpp": {"bind": "127.0.0.1"}} | (settings or {})
        lab = Lab(self._folder / name, base, settings=chosen, **project)
        self._made.append(lab)
        lab.start_repository(QUICKSTART)
        done = lab.reconcile("--config", str(lab.configuration), "models", "import", str(model), "--as", "ai/smollm2")
        assert done.returncode == 0, done.stderr
        return lab

    def clean_up(self) -> None:
        for lab in self._made:
            lab.clean_up()


@pytest.fixture
def labs(tmp_path: Path) -> Iterator[Labs]:
    made = Labs(tmp_path)
    yield made
    made.clean_up()
