"""Records survive being written down; what is not understood is refused, never dropped."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.base import Auth, Deployment, Endpoint, ModelSpec, Phase
from state.codec import FORMAT_VERSION, decode, encode
from state.record import DeploymentRecord, Event, Intent, ModelRecord, OutputRecord, SourceRecord
from state.store import StateDamaged
from tests.builders import NOON, deployment_record, model_record, source_record

# File names and platforms' messages hold anything, lone surrogates included.
TEXTS = st.text(st.characters(), max_size=20)
TIMES = st.datetimes(
    datetime(1970, 1, 2),
    datetime(9999, 12, 30),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)
MAPPINGS = st.dictionaries(TEXTS, TEXTS, max_size=3)
SPECS = st.builds(
    ModelSpec,
    model=TEXTS,
    context_size=st.none() | st.integers(),
    runtime_flags=st.lists(TEXTS, max_size=3).map(tuple),
    options=MAPPINGS,
)
DEPLOYMENTS = st.builds(
    Deployment, id=TEXTS, lineage=TEXTS, project=TEXTS, model=TEXTS, name=TEXTS, spec=SPECS, handle=MAPPINGS
)
ENDPOINTS = st.builds(
    Endpoint,
    url=TEXTS,
    model_id=TEXTS,
    auth=st.sampled_from(Auth),
    key_file=st.none() | TEXTS,
    on_this_host=st.booleans(),
)
RECORDS = st.builds(
    DeploymentRecord,
    deployment=DEPLOYMENTS,
    driver=TEXTS,
    naming_version=st.integers(),
    intent=st.sampled_from(Intent),
    phase=st.sampled_from(Phase),
    endpoint=st.none() | ENDPOINTS,
    active=st.booleans(),
    adopted=st.booleans(),
    created_at=TIMES,
    phase_since=TIMES,
    issued_at=st.none() | TIMES,
    ready_at=st.none() | TIMES,
    retired_at=st.none() | TIMES,
    next_call_at=st.none() | TIMES,
    failure=TEXTS,
    request_open=st.booleans(),
    failed_calls=st.integers(0, 99),
)


@given(RECORDS)
@settings(max_examples=150, deadline=None)
def test_deployment_comes_back_as_it_was(record: DeploymentRecord) -> None:
    assert decode(DeploymentRecord, encode(record)) == record


@given(
    st.builds(ModelRecord, key=TEXTS, protected=st.booleans(), next_try_at=st.none() | TIMES)
    | st.builds(SourceRecord, revision=TEXTS, digest=TEXTS, read_at=TIMES, models=st.lists(TEXTS).map(tuple))
    | st.builds(OutputRecord, path=TEXTS, checksum=TEXTS, written_at=TIMES, applied=TEXTS)
    | st.builds(Event, at=TIMES, kind=TEXTS, model=TEXTS, deployment=TEXTS, text=TEXTS, revision=TEXTS)
)
@settings(max_examples=100, deadline=None)
def test_other_records_come_back_as_they_were(record: Any) -> None:
    assert decode(type(record), encode(record)) == record


def test_text_is_ascii_on_one_line() -> None:
    text = encode(model_record(halted="ü\n\u2028\udcff"))
    assert text.isascii()
    assert "\n" not in text


def test_times_are_stored_in_utc() -> None:
    summer = datetime(2026, 5, 4, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    stored = json.loads(encode(model_record(next_try_at=summer)))
    assert stored["next_try_at"] == "2026-05-04T12:00:00+00:00"


def test_defaults_are_left_out() -> None:
    assert json.loads(encode(ModelRecord(key="llm"))) == {"v": FORMAT_VERSION, "key": "llm"}


def test_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        encode(model_record(next_try_at=datetime(2026, 5, 4)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"v": FORMAT_VERSION + 1}, "newer release"),
        ({"colour": "red"}, "newer release.*'colour'"),
        ({"phase": "dreaming"}, "'dreaming' is no Phase; it may come from a newer release"),
    ],
)
def test_what_a_newer_release_wrote_is_refused(change: dict[str, Any], words: str) -> None:
    text = json.dumps(json.loads(encode(deployment_record())) | change)
    with pytest.raises(StateDamaged, match=words):
        decode(DeploymentRecord, text)


def test_unknown_field_deep_inside_is_refused() -> None:
    value = json.loads(encode(deployment_record()))
    value["deployment"]["spec"]["replicas"] = 2
    with pytest.raises(StateDamaged, match=r"ModelSpec comes from a newer release.*'replicas'"):
        decode(DeploymentRecord, json.dumps(value))


@pytest.mark.parametrize(
    "change",
    [
        {"active": 1},
        {"naming_version": True},
        {"naming_version": "1"},
        {"detail": None},
        {"created_at": "yesterday"},
        {"created_at": "2026-05-04T12:00:00"},
        {"created_at": 7},
        {"intent": ["create"]},
        {"deployment": []},
        {"deployment": {}},
        {"endpoint": "http://x/v1/"},
    ],
)
def test_unsound_value_is_refused(change: dict[str, Any]) -> None:
    text = json.dumps(json.loads(encode(deployment_record())) | change)
    with pytest.raises(StateDamaged, match="is not sound"):
        decode(DeploymentRecord, text)


@pytest.mark.parametrize("models", [{"a": 1}, "llm", [1], [["llm"]]])
def test_unsound_list_is_refused(models: Any) -> None:
    text = json.dumps(json.loads(encode(source_record())) | {"models": models})
    with pytest.raises(StateDamaged, match="is not sound"):
        decode(SourceRecord, text)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "7", "{}", '{"v": "1", "key": "llm"}', '{"v": null, "key": ""}']
)
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(StateDamaged):
        decode(ModelRecord, text)


def test_missing_field_is_refused_by_name() -> None:
    with pytest.raises(StateDamaged, match="key"):
        decode(ModelRecord, '{"v": 1}')


def test_record_of_an_older_release_reads_with_defaults() -> None:
    assert decode(ModelRecord, '{"v": 1, "key": "llm", "attempts": 2}') == model_record(attempts=2)


def test_loaded_mappings_cannot_be_changed() -> None:
    record = decode(DeploymentRecord, encode(deployment_record(deployment=deployment_record().deployment)))
    with pytest.raises(TypeError):
        record.deployment.handle["port"] = "1"  # type: ignore[index]
    assert record.created_at == NOON
