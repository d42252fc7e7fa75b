"""From the text of `--state` to a store, with nothing imported or written that is not needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from state.connect import create_database
from state.memory import MemoryStore
from state.open import open_store, state_path
from state.place import Place
from state.readonly import ReadOnlyStore
from state.sqlite import SqliteStore
from state.store import StateError, StateLost, StateMissing
from tests.builders import LINEAGE
from tests.parts import CHECKOUT
from tests.state.contract import TTL_S


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///var/lib/state.db", "/var/lib/state.db"),
        ("sqlite:/var/lib/state.db", "/var/lib/state.db"),
        ("SQLite:state.db", "state.db"),
        ("sqlite:deep/er/state.db", "deep/er/state.db"),
        ("/var/lib/state.db", "/var/lib/state.db"),
        ("state.db", "state.db"),
        ("./a:b.db", "a:b.db"),
        ("~/state.db", "/home/me/state.db"),
        ("sqlite:~/state.db", "/home/me/state.db"),
    ],
)
def test_url_names_a_file(monkeypatch: pytest.MonkeyPatch, url: str, path: str) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert state_path(url) == Path(path)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://db/state", "PostgreSQL state is not in this release"),
        ("mysql://db/state", "unknown kind of state 'mysql'"),
        ("sqlite://host/state.db", "names a host"),
        ("sqlite:", "names no file"),
        ("", "names no file"),
        ("/var/lib/", "names no file"),
        ("a\0b", "NUL"),
    ],
)
def test_other_urls_are_refused_with_advice(url: str, words: str) -> None:
    with pytest.raises(StateError, match=words):
        open_store(url, create=True)


def test_state_is_made_only_when_asked_for(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/sub/state.db"
    with pytest.raises(StateMissing):
        open_store(url)
    assert list(tmp_path.iterdir()) == []
    made = open_store(url, create=True)
    assert isinstance(made, SqliteStore)
    lineage = made.lineage
    made.close()
    again = open_store(url, create=True)
    assert again.lineage == lineage
    again.close()


def test_two_that_begin_together_share_what_the_quicker_one_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two services started at once on no state, one ended with an error: it looked before the other's was made."""
    path, looked = tmp_path / "state.db", []
    really_open = SqliteStore.open

    def open_too_early(at: Path, **given: Any) -> SqliteStore:
        if not looked:
            looked.append(at)
            create_database(Place(path), LINEAGE)
            raise StateMissing("nothing was there when we looked")
        return really_open(at, **given)

    monkeypatch.setattr(SqliteStore, "open", open_too_early)
    store = open_store(str(path), create=True)
    assert looked
    assert store.lineage == LINEAGE
    store.close()


def test_something_that_is_no_state_is_not_made_a_state(tmp_path: Path) -> None:
    (tmp_path / "state.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(StateError, match="already something"):
        open_store(str(tmp_path / "state.db"), create=True)


def test_lost_state_is_not_made_anew_even_when_asked_for(tmp_path: Path) -> None:
    open_store(str(tmp_path / "state.db"), create=True).close()
    (tmp_path / "state.db").unlink()
    with pytest.raises(StateLost):
        open_store(str(tmp_path / "state.db"), create=True)
    (tmp_path / "state.db").touch()
    with pytest.raises(StateError):
        open_store(str(tmp_path / "state.db"), create=True)


def test_readonly_opens_for_looking(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    open_store(str(path), create=True).close()
    assert isinstance(open_store(str(path), readonly=True), ReadOnlyStore)
    with pytest.raises(StateMissing):
        open_store(str(tmp_path / "absent.db"), readonly=True, create=True)


def test_memory_states_are_apart() -> None:
    one, two = open_store("memory:"), open_store("memory:")
    assert isinstance(one, MemoryStore)
    assert one.lineage != two.lineage
    assert one.acquire("demo", "a", TTL_S).epoch == 1


def test_dry_run_without_a_state_imports_no_sqlite(tmp_path: Path) -> None:
    program = """
import sys
from state.open import open_store
from state.store import StateMissing
try:
    open_store(sys.argv[1], readonly=True)
except StateMissing:
    print(sorted({"sqlite3", "uuid", "threading", "tempfile"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "state.db")],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
