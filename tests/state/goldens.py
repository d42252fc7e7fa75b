"""States as text: how the golden ones were written, and how they become databases again.

`python -m tests.state.goldens > tests/state/golden/schema-N.sql` writes the present form, once, when N is released.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drivers.base import Auth, Deployment, Endpoint, ModelSpec, Phase
from state.record import (
    Append,
    Change,
    DeploymentRecord,
    Event,
    Intent,
    ModelRecord,
    OutputRecord,
    PutDeployment,
    PutModel,
    PutOutput,
    PutSource,
    SourceRecord,
)
from state.schema import APPLICATION_ID
from state.sqlite import SqliteStore
from tests.state.contract import Hands

GOLDEN = Path(__file__).with_name("golden")

# Spelt out, without the builders: what a release has written does not change when a test's defaults do.
LINEAGE = "3f1d8c52-7f0e-4a57-9c0b-5a2b6b1f9d10"
START = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
IDS = ("01J00000000000000000000001", "01J00000000000000000000002")
EVENT = Event(at=START, kind="switched", model="llm", deployment=IDS[1], text="1 → 2, ü", revision="9fceb02")
SPEC = ModelSpec(
    model="ai/smollm2",
    context_size=4096,
    runtime_flags=("--temp", "0.1"),
    options={"cloud.platform": "aws-sagemaker"},
)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


LEAVING = DeploymentRecord(
    deployment=Deployment(
        id=IDS[0],
        lineage=LINEAGE,
        project="demo",
        model="llm",
        name="demo-llm-1",
        spec=SPEC,
        handle={"arn": "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/demo-llm-1"},
    ),
    driver="aws-sagemaker",
    naming_version=1,
    intent=Intent.DELETE,
    phase=Phase.DELETING,
    detail="being deleted",
    endpoint=Endpoint(url="https://runtime.example/v1/", model_id="m", auth=Auth.API_KEY, key_file="/keys/1"),
    adopted=True,
    created_at=START,
    phase_since=after(30),
    issued_at=after(31),
    ready_at=after(60),
    retired_at=after(120),
    failure="throttled",
    request_open=True,
    applied_digest=SPEC.digest,
    next_call_at=after(180),
    failed_calls=3,
)
SERVING = DeploymentRecord(
    deployment=Deployment(
        id=IDS[1], lineage=LINEAGE, project="demo", model="llm", name="demo-llm-2", spec=ModelSpec(model="ai/smollm2")
    ),
    driver="llamacpp",
    naming_version=1,
    intent=Intent.CREATE,
    phase=Phase.READY,
    endpoint=Endpoint(url="http://127.0.0.1:8080/v1/", model_id="ai/smollm2", on_this_host=True),
    active=True,
    created_at=START,
    phase_since=START,
)
MODEL = ModelRecord(
    key="llm",
    protected=True,
    attempts=2,
    attempts_digest="0123456789ab",
    next_try_at=after(1),
    halted="three attempts failed",
    missing_since=after(2),
    missing_reads=2,
    removal_confirmed_at=after(3),
)
SOURCE = SourceRecord(revision="9fceb02d", digest="0" * 64, read_at=START, models=("llm", "embed"))
OUTPUT = OutputRecord(path="/srv/compose.models.yaml", checksum="0" * 64, written_at=START, applied="1" * 64)

EVERYTHING: tuple[Change, ...] = (
    PutDeployment(LEAVING),
    PutDeployment(SERVING),
    PutModel(MODEL),
    PutSource(SOURCE),
    PutOutput(OUTPUT),
    Append(EVENT),
)


def make(path: Path) -> None:
    """A state with all of that, made by this release."""
    store = SqliteStore.create(path, lineage=LINEAGE, clock=Hands(started=START).clock())
    store.release(store.acquire("demo", "host-a/1", 60, floor=6))
    lease = store.acquire("demo", "host-a/1", 60)
    store.commit(lease, EVERYTHING)
    store.close()


def load_golden(version: int, path: Path) -> None:
    """The database that a release with this schema left."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript((GOLDEN / f"schema-{version}.sql").read_text(encoding="utf-8"))
    connection.close()
    path.chmod(0o600)


def dump(path: Path) -> str:
    """A database as SQL text, header included."""
    connection = sqlite3.connect(path)
    text = "\n".join([f"PRAGMA application_id={APPLICATION_ID};", *connection.iterdump()])
    connection.close()
    return text + "\n"


def content(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """The statements that made a database, and the rows of every table."""
    connection = sqlite3.connect(path)
    master = connection.execute(
        "SELECT name, type, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    ).fetchall()
    tables = [name for name, kind, _ in master if kind == "table"]
    rows = {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in tables}
    connection.close()
    return {"": master, **rows}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "state.db")
        sys.stdout.write(dump(Path(folder) / "state.db"))
