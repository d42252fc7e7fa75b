"""A user's desk: a home of their own, a project folder, and the command run in this process or as a real one."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.cli import main
from state.open import open_store
from state.record import Change
from state.store import Store

COMPOSE = """\
name: demo
services:
  app:
    image: busybox
    models: [llm]
models:
  llm:
    model: ai/smollm2
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str


class Desk:
    """Everything lies below one folder: `home`, and the project in `work`, which is the current directory."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str] | None = None
    ) -> None:
        self.folder, self._capsys = folder, capsys
        self.home, self.work = folder / "home", folder / "work"
        self.home.mkdir()
        self.work.mkdir()
        for name in [name for name in os.environ if name.startswith(("XDG_", "RECONCILE_", "COMPOSE_"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(self.home))
        monkeypatch.chdir(self.work)

    @property
    def state(self) -> Path:
        return self.home / ".local/state/compose-model-reconciler/state.db"

    def compose(self, text: str = COMPOSE) -> Path:
        path = self.work / "compose.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    def reconcile(self, *arguments: str) -> Said:
        """Run the command in this process."""
        assert self._capsys is not None
        self._capsys.readouterr()
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        try:
            code = main(arguments)
        finally:  # `serve` logs to this test's standard error, which the next one does not have
            root.handlers[:] = handlers
            root.setLevel(level)
        said = self._capsys.readouterr()
        assert "Traceback" not in said.err
        return Said(code, said.out, said.err)

    def started(self, *arguments: str, feed: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
        """Run it as a process of its own."""
        return subprocess.run(
            self.command(*arguments), input=feed, env=os.environ | environment, capture_output=True, timeout=60
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "reconciler", *arguments]

    def store(self) -> Store:
        """The state, made where there is none; to be closed."""
        return open_store(f"sqlite://{self.state}", create=True)

    def record(self, *changes: Change, project: str = "demo") -> None:
        """Put changes into the state, as an earlier run would have."""
        with closing(self.store()) as store:
            lease = store.acquire(project, "an earlier run", 60.0)
            store.commit(lease, changes)
            store.release(lease)

    @property
    def lineage(self) -> str:
        with closing(self.store()) as store:
            return store.lineage

    def everything(self) -> Mapping[str, str]:
        """Every file and folder with mode, times and content; two equal ones prove that nothing was written."""
        return {str(path): _print(path) for path in sorted(self.folder.rglob("*"))}


def _print(path: Path) -> str:
    status = path.lstat()
    content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else ""
    return f"{status.st_mode} {status.st_mtime_ns} {status.st_size} {content}"
