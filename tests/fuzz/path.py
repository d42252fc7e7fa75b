"""The whole pure way of an input: read, load, judge, diff, guard, every report, every file. What must hold on it.

Only a ReconcilerError may end it, with a text for people on one line. Whatever is accepted gives reports that programs
can read back and files from which our own reader gets the same values. No secret of the process is in any of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType

from drivers.base import Phase
from reconciler.compose.load import LoadRequest
from reconciler.compose.reader import read_documents
from reconciler.diff import diff
from reconciler.errors import InputError, ReconcilerError
from reconciler.moment import Moment, Removals
from reconciler.plan import Plan
from reconciler.policy import Policy, guard
from reconciler.reading import Reader, Reading, api_key_vars
from reconciler.render.environments import service_environments
from reconciler.render.text import env_body, override_body
from reconciler.report import config, validation
from reconciler.report.as_json import plan_json
from reconciler.report.github import error_annotation, plan_annotations
from reconciler.report.markdown import plan_markdown
from reconciler.report.text import plan_text
from reconciler.settings import default_settings
from reconciler.source import Snapshot
from reconciler.text import clean
from reconciler.wiring import RuleBook, desired_settings
from state.record import ModelRecord, Recorded
from tests.builders import NOON, deployment_record, keyed_endpoint, model_spec, recorded
from tests.compose.memory import ROOT, MemoryFiles
from tests.fuzz.inputs import Input

LONGEST_MESSAGE = 4000
"""Characters of an error. What was written is quoted in it, and a screen is not a megabyte."""

Subject = Callable[[Input], str]
"""Follows an input; gives where it was refused, empty where it was accepted. Raises what must not happen."""

CANARY = "canary0123456789"
"""Part of every secret of the process: in no text that comes out."""

_SETTINGS = default_settings({"HOME": "/nonexistent"})
_DESIRED = desired_settings(_SETTINGS, {})
_POLICY = Policy(
    allowed_regions=("us-east-1", "us-west-2"),
    allowed_instance_types=("g5.*", "ml.*"),
    allowed_registries=("docker.io", "huggingface.co"),
    max_models=3,
)
_RULES = RuleBook(_SETTINGS, {})
_KNOWN = (
    recorded(),
    recorded(
        deployment_record(1, spec=model_spec(context_size=1024)),
        deployment_record(2, model="big", phase=Phase.FAILED),
        deployment_record(3, model="gone"),
        models=(ModelRecord(key="llm"), ModelRecord(key="gone", protected=True)),
    ),
)


@dataclass(frozen=True, slots=True)
class _InMemory:
    """A source that holds one input."""

    given: Input

    def head(self) -> str:
        return "one"

    def read(self) -> Snapshot:
        files = MemoryFiles({f"{ROOT}/{name}": data for name, data in self.given.files.items()})
        return Snapshot("worktree:0123456789abcdef", files, ROOT, "the input")

    def watch_paths(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        pass


def follow(given: Input) -> str:
    """The whole way. Raises what is none of our own errors, and AssertionError for what must hold and does not."""
    try:
        _everything(given)
    except ReconcilerError as error:
        _check_error(error)
        return _place(error.__traceback__)
    return ""


def _everything(given: Input) -> None:
    def request(snapshot: Snapshot) -> LoadRequest:
        return LoadRequest(**{"cwd": ROOT, "environment": given.environment, **given.options})

    reading = Reader(_InMemory(given), request, _DESIRED).read()
    for problem in reading.desired.problems:
        _check_error(problem)
    for known in _KNOWN:
        _check_plan(_plan(reading, known), reading)
    _check_reports(reading)
    _check_files(reading)


def _plan(reading: Reading, known: Recorded) -> Plan:
    moment = Moment(now=NOON, rules=_RULES, removals=Removals.CONFIRMED)
    plan = diff(reading.desired, known, moment, reading.revision)
    return guard(plan, reading.desired, known, _POLICY)


def _check_plan(plan: Plan, reading: Reading) -> None:
    _check_printable(plan_text(plan))
    _check_printable(plan_markdown(plan))
    _check_annotations(plan_annotations(plan, reading.project.models))
    _check_json(plan_json(plan))


def _check_reports(reading: Reading) -> None:
    found = validation.validation_of(reading.project, reading.desired)
    _check_printable(validation.validation_text(found))
    _check_printable(validation.validation_markdown(found))
    _check_annotations(validation.validation_annotations(found))
    _check_json(validation.validation_json(found))
    specs = {key: model.spec for key, model in reading.desired.judged.items()}
    platforms = {key: model.driver for key, model in reading.desired.judged.items()}
    document = _check_json(config.config_json(reading.project, specs, platforms))
    text = config.config_yaml(reading.project, specs, platforms)
    _check_printable(text)
    assert _values(text) == document, "the YAML form of `config` reads differently from its JSON form"


def _check_files(reading: Reading) -> None:
    """As if every model served: llama-server is asked under the very name that the file has."""
    endpoints = {
        key: keyed_endpoint(model_id=model.spec.model)
        for key, model in reading.desired.models.items()
        if model.driver == "llamacpp"
    }
    environments = service_environments(reading.project, endpoints, api_key_vars(reading.desired))
    text = override_body(environments, lambda service: "/keys", sorted(reading.project.providers))
    _check_printable(text)
    services = _values(text)["services"]
    for each in environments:
        assert all(line.count("=") for line in env_body(each).splitlines())
        found = services[each.name].get("environment", {}) if each.name in services else {}
        assert found == {name: value.replace("$", "$$") for name, value in each.variables.items()}, "not what was meant"


def _check_error(error: ReconcilerError) -> None:
    text = str(error)
    assert text.strip(), "an error without a word"
    assert len(text) <= LONGEST_MESSAGE, f"an error of {len(text)} characters"
    assert clean(text).isprintable()
    _check_secrets(text)
    if isinstance(error, InputError):
        assert error.location.file, "an error without a place"
        assert error.location.line > 0, "an error without a place"
        assert error.location.column > 0, "an error without a place"
        _check_annotations(error_annotation(error) + "\n")


def _check_printable(text: str) -> None:
    assert text.replace("\n", "").isprintable(), "something that does not print"
    _check_secrets(text)


def _check_secrets(text: str) -> None:
    assert CANARY not in text.lower(), "a secret of the process"


def _check_annotations(text: str) -> None:
    _check_printable(text)
    assert all(line.startswith("::") for line in text.splitlines()), "a line that is no annotation"


def _check_json(text: str) -> Mapping[str, object]:
    assert text.isascii(), "something that does not print"
    _check_secrets(text)
    document = json.loads(text)
    assert isinstance(document, dict)
    return document


def _values(text: str) -> dict[str, dict[str, dict[str, object]]]:
    """YAML of ours as plain values, read by our own reader."""

    def plain(node: object) -> object:
        value = node.value  # type: ignore[attr-defined]
        if type(value) is dict:
            return {key: plain(child) for key, child in value.items()}
        return [plain(child) for child in value] if type(value) is list else value

    return plain(read_documents(text.encode(), "ours")[0].root)  # type: ignore[return-value]


def _place(trace: TracebackType | None) -> str:
    """File and line that raised: how many different ones there are says how far the inputs reach."""
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
