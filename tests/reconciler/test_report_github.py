"""GitHub annotations: on the right line, and one command for one thing whatever the text says."""

from __future__ import annotations

from drivers.base import Handling
from reconciler.errors import InputError
from reconciler.plan import Action
from reconciler.report.github import Level, annotation, error_annotation, plan_annotations
from tests.builders import finding, model, place, plan, step, verdict


def test_error_stands_on_its_line() -> None:
    error = InputError("unknown option 'cloud.regoin'", place(14, 7), path="models.chat")
    assert error_annotation(error) == (
        "::error file=compose.yaml,line=14,col=7::models.chat: unknown option 'cloud.regoin'"
    )
    assert error_annotation(InputError("not YAML", place(2))) == "::error file=compose.yaml,line=2,col=1::not YAML"


def test_steps_findings_and_guards_each_have_their_level() -> None:
    findings = (
        finding("model"),
        finding("cloud.region", Handling.IGNORED, "runs here"),
        finding("context_size", Handling.TRANSLATED, "rounded"),
        finding("runtime_flags[0]", Handling.REJECTED, "not on the list"),
        finding("aws.role", Handling.INACTIVE),
    )
    told = plan(
        step(findings=findings, location=place(10, 3)),
        step(Action.WAIT, "slow", location=place(11, 3)),
        guards=(verdict(text="no", location=place(1)), verdict("protect", True, "yes", model="old")),
    )
    assert plan_annotations(told).splitlines() == [
        "::error file=compose.yaml,line=1,col=1::refused by mass-delete: no",
        "::warning::allowed by protect: old: yes",
        "::warning file=compose.yaml,line=10,col=3::models.llm: cloud.region: ignored: runs here",
        "::notice file=compose.yaml,line=10,col=3::models.llm: context_size: translated: rounded",
        "::error file=compose.yaml,line=10,col=3::models.llm: runtime_flags[0]: rejected: not on the list",
        "::notice file=compose.yaml,line=10,col=3::create llm (llamacpp) because the model is new",
    ]


def test_findings_stand_on_the_line_of_their_option_when_the_models_are_known() -> None:
    findings = (
        finding("cloud.region", Handling.IGNORED),
        finding("context_size", Handling.REJECTED),
        finding("runtime_flags[1]", Handling.REJECTED),
        finding("cloud.default", Handling.IGNORED),
    )
    declared = model(options={"cloud.region": "x"}, runtime_flags=("--a", "--b"), context_location=place(12, 5))
    told = plan_annotations(plan(step(findings=findings, location=place(10, 3))), {"llm": declared})
    assert [line.split("::")[1] for line in told.splitlines()] == [
        "warning file=compose.yaml,line=20,col=9",
        "error file=compose.yaml,line=12,col=5",
        "error file=compose.yaml,line=31,col=9",
        "warning file=compose.yaml,line=10,col=3",
        "notice file=compose.yaml,line=10,col=3",
    ]


def test_each_thing_is_said_once() -> None:
    """A model's steps all carry its findings, and a rejected one is the reason of a guard's no as well."""
    findings = (
        finding("cloud.region", Handling.IGNORED, "runs here"),
        finding("cloud.quota", Handling.REJECTED, "why"),
    )
    told = plan(
        step(Action.WAIT, cause="it is starting", findings=findings, location=place(10, 3)),
        step(Action.WAIT, cause="replaced", findings=findings, location=place(10, 3)),
        guards=(verdict("options", False, "cloud.quota: why", model="llm", location=place(12, 9)),),
    )
    assert plan_annotations(told).splitlines() == [
        "::error file=compose.yaml,line=12,col=9::refused by options: llm: cloud.quota: why",
        "::warning file=compose.yaml,line=10,col=3::models.llm: cloud.region: ignored: runs here",
    ]


def test_what_is_rejected_and_kept_quiet_by_no_guard_is_said() -> None:
    rejected = finding("cloud.quota", Handling.REJECTED, "why")
    other = verdict("options", False, "cloud.quota: why", model="other", location=place(12, 9))
    told = plan(step(Action.WAIT, cause="slow", findings=(rejected,), location=place(10, 3)), guards=(other,))
    assert len(plan_annotations(told).splitlines()) == 2


def test_text_cannot_begin_another_command() -> None:
    line = annotation(Level.ERROR, "50% of\r\n::set-env name=X::y\x1b[0m", place(file="a,b:c%\n::error::.yaml"))
    assert line == (
        "::error file=a%2Cb%3Ac%25%0A%3A%3Aerror%3A%3A.yaml,line=1,col=1::50%25 of%0A::set-env name=X::y [0m"
    )
