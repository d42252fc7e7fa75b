"""The laboratory for the store on SQLite: a state in a folder, opened as often as a test likes, closed afterwards."""

from __future__ import annotations

from pathlib import Path

from state.place import Place
from state.sqlite import SqliteStore
from state.store import Store
from tests.builders import LINEAGE
from tests.state.contract import Hands


class SqliteBench:
    def __init__(self, folder: Path) -> None:
        self.hands = Hands()
        self.place = Place(folder / "state.db")
        self._opened: list[SqliteStore] = []
        SqliteStore.create(self.place.database, lineage=LINEAGE, clock=self.hands.clock()).close()

    def open(self) -> SqliteStore:
        store = SqliteStore.open(self.place.database, clock=self.hands.clock(), busy_timeout_s=0.0)
        self._opened.append(store)
        return store

    def kill(self, store: Store, holder: str) -> None:
        # To the kernel, closing a descriptor and dying with it are the same; a real kill -9 is in the fault tests.
        store.close()

    def close(self) -> None:
        for store in self._opened:
            store.close()
