"""What was read (`config`) and what was found (`validate`, `explain`)."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Handling
from reconciler.desired import DesiredSettings, desired
from reconciler.report.config import config_json, config_yaml
from reconciler.report.validation import (
    ModelReport,
    Validation,
    validation_annotations,
    validation_json,
    validation_markdown,
    validation_of,
    validation_text,
)
from tests.builders import binding, finding, model, model_spec, place, project, raw_option, service

PROJECT = project(
    model("llm", context_size=1024, runtime_flags=("--x", "1e3"), options={"cloud.region": "us-west-2"}),
    service("app", "llm", binding("emb", endpoint_var="E")),
    service("off", "llm", active=False),
    service("db"),
)
SPECS = {"llm": model_spec(options={"cloud.region": "us-west-2", "cloud.budget": "1e3"})}
DOCUMENT = {
    "name": "demo",
    "models": {
        "emb": {
            "model": "ai/smollm2",
            "context_size": None,
            "runtime_flags": [],
            "options": {},
            "platform": None,
            "source": "compose.yaml:10",
        },
        "llm": {
            "model": "ai/smollm2",
            "context_size": 1024,
            "runtime_flags": ["--x", "1e3"],
            "options": {"cloud.budget": "1e3", "cloud.region": "us-west-2"},
            "platform": "llamacpp",
            "source": "compose.yaml:10",
        },
    },
    "services": {
        "app": {
            "models": {
                "emb": {"endpoint_var": "E", "model_var": "EMB_MODEL"},
                "llm": {"endpoint_var": "LLM_URL", "model_var": "LLM_MODEL"},
            }
        }
    },
}


def test_config_as_json() -> None:
    assert json.loads(config_json(PROJECT, SPECS, {"llm": "llamacpp"})) == DOCUMENT


def test_config_as_yaml_says_the_same() -> None:
    text = config_yaml(PROJECT, SPECS, {"llm": "llamacpp"})
    assert yaml.safe_load(text) == DOCUMENT
    assert '    options:\n      cloud.budget: "1e3"\n      cloud.region: us-west-2\n' in text
    assert yaml.safe_load(config_yaml(project(), {}, {})) == {"name": "demo", "models": {}, "services": {}}


def test_config_of_a_model_whose_options_were_not_judged_shows_what_is_written() -> None:
    shown = json.loads(config_json(PROJECT, {}, {}))
    assert shown["models"]["llm"]["options"] == {"cloud.region": "us-west-2"}


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "1e3",
        "1:30",
        "0o10",
        "~",
        "",
        "a: b",
        "# x",
        "- a",
        "\u2028",
        "😀\x07",
        "\ud7ff",
        "2024-01-01",
        "=",
        "!x",
        "null",
    ],
)
def test_yaml_keeps_every_text_a_text(text: str) -> None:
    shown = yaml.safe_load(config_yaml(project(model("llm", text), service("app", "llm")), {}, {}))
    assert shown["models"]["llm"]["model"] == text


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_yaml_of_any_text_reads_back(text: str, key: str) -> None:
    shown = yaml.safe_load(config_yaml(project(model(key, text), service("app", key)), {}, {}))
    assert shown["models"][key]["model"] == text


def report(**given: object) -> ModelReport:
    usual = {"key": "llm", "model": "ai/smollm2", "driver": "aws-sagemaker", "location": place(10, 3)}
    return ModelReport(**(usual | given))  # type: ignore[arg-type]


SEED = Validation(
    project="demo",
    models=(
        report(
            resolution=("gpu-small → ml.g6.xlarge",),
            findings=(
                finding("model"),
                finding("cloud.region", Handling.HONOURED, "us-west-2"),
                finding("runtime_flags[0]", Handling.REJECTED, "rule F1: not on the list"),
            ),
            flags=("--a-flag",),
            places={"runtime_flags[0]": place(15, 9)},
        ),
        report(key="emb", driver="llamacpp", findings=(finding("model"),)),
    ),
    warnings=("compose.yaml:3:1: a provider service is deprecated",),
)


def test_validation_lists_everything_that_was_found() -> None:
    assert validation_text(SEED) == (
        "llm: ai/smollm2 on aws-sagemaker  compose.yaml:10:3\n"
        "    gpu-small → ml.g6.xlarge\n"
        "    model: honoured\n"
        "    cloud.region: honoured: us-west-2\n"
        "    runtime_flags[0] --a-flag: rejected: rule F1: not on the list\n"
        "\n"
        "emb: ai/smollm2 on llamacpp  compose.yaml:10:3\n"
        "    model: honoured\n"
        "\n"
        "warning: compose.yaml:3:1: a provider service is deprecated\n"
        "\n"
        "demo: 2 models, refused: llm.\n"
    )


def test_validation_is_valid_when_nothing_is_refused() -> None:
    fine = Validation(project="demo", models=(report(findings=(finding("a", Handling.IGNORED),)),))
    assert (fine.is_valid, SEED.is_valid) == (True, False)
    assert validation_text(fine).endswith("\n\ndemo: 1 model, nothing refused.\n")


def test_judged_project_is_shown_with_every_problem_once() -> None:
    declared = (
        model("good"),
        model("odd", runtime_flags=("--a-flag",), location=place(12, 3)),
        model("typo", options={"cloud.regoin": "x"}, location=place(14, 3)),
    )
    parts = project(*declared, service("app", "good", "odd", "typo"))
    validation = validation_of(parts, desired(parts, DesiredSettings(default_platform="llamacpp")))
    told = validation_annotations(validation).splitlines()
    assert [(one.key, one.is_refused) for one in validation.models] == [("good", False), ("odd", True), ("typo", True)]
    assert [line.partition("::models")[0] for line in told if line.startswith("::error")] == [
        "::error file=compose.yaml,line=30,col=9",
        "::error file=compose.yaml,line=20,col=9",
    ]
    text = validation_text(validation)
    assert "    runtime_flags[0] --a-flag: rejected: " in text
    assert "    refused: compose.yaml:20:9: models.typo: " in text
    assert text.endswith("\ndemo: 3 models, refused: odd, typo.\n")


def test_mistake_in_the_projects_defaults_is_told_once() -> None:
    wrong = (raw_option("cloud.regoin", "x", place(3, 5)),)
    parts = project(service("app", "a", "b"), defaults=wrong)
    validation = validation_of(parts, desired(parts, DesiredSettings(default_platform="llamacpp")))
    assert not validation.is_valid
    assert validation_text(validation).count("cloud.regoin") == 1
    assert validation_annotations(validation).count("::error") == 1
    assert json.loads(validation_json(validation))["problems"][0]["location"] == "compose.yaml:3:5"


def test_validation_for_programs_reviewers_and_ci() -> None:
    document = json.loads(validation_json(SEED))
    assert (document["format_version"], document["valid"]) == ("1", False)
    assert document["models"]["llm"]["options"][2]["handling"] == "rejected"
    assert validation_markdown(SEED).startswith("### Models: refused\n\n```text\nllm: ")
    assert validation_annotations(SEED).splitlines() == [
        "::warning::compose.yaml:3:1: a provider service is deprecated",
        "::error file=compose.yaml,line=15,col=9::models.llm: runtime_flags[0]: rejected: rule F1: not on the list",
    ]
