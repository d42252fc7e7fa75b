"""The store on SQLite keeps the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.state.benches import SqliteBench
from tests.state.contract import StoreContract


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[SqliteBench]:
        bench = SqliteBench(tmp_path)
        yield bench
        bench.close()
