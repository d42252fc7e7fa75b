"""Fixtures of the reconciler's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reconciler.desk import Desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A user's desk with nothing on it."""
    return Desk(tmp_path, monkeypatch, capsys)
