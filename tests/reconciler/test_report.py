"""Plans as text, JSON and Markdown: compared as text, and safe whatever the repository says."""

from __future__ import annotations

import json
import re

import pytest

from drivers.base import Handling
from reconciler.plan import Action, Plan
from reconciler.report.as_json import plan_json
from reconciler.report.markdown import LONGEST, plan_markdown
from reconciler.report.style import COLOUR
from reconciler.report.text import plan_text
from tests.builders import NOON, change, finding, place, plan, step, verdict

FULL = plan(
    step(
        resolution=("cloud.instance-type=gpu-small → ml.g6.xlarge (1 × L4, 24 GB)",),
        changes=(change("model", None, "ai/smollm2"), change("runtime_flags", None, '["--a-flag", "--x=42"]')),
        findings=(
            finding("model"),
            finding("runtime_flags[0]", Handling.REJECTED, "no flag of this name is on the list"),
            finding("runtime_flags[1]", Handling.TRANSLATED, "as --y 42"),
            finding("aws.role", Handling.INACTIVE, "meant for aws-sagemaker"),
        ),
        location=place(10, 3),
    ),
    step(Action.UPDATE, "emb", changes=(change("cloud.replicas", "1", "2"),)),
    step(Action.REPLACE, "chat", changes=(change("context_size", "1024", None),)),
    step(Action.DELETE, "old"),
    step(Action.FORGET, "older"),
    step(Action.WAIT, "slow", not_before=NOON),
    guards=(
        verdict("protect", True, "protected, and --force was given", model="old"),
        verdict(location=place(1)),
    ),
    unchanged=("same", "as ever"),
)

FULL_TEXT = """\
demo at 9fceb02d0ae5

+ create llm (llamacpp)  because the model is new
    cloud.instance-type=gpu-small → ml.g6.xlarge (1 × L4, 24 GB)
    model: unset → ai/smollm2
    runtime_flags: unset → ["--a-flag", "--x=42"]
    runtime_flags[0] --a-flag: rejected: no flag of this name is on the list
    runtime_flags[1] --x=42: translated: as --y 42
    aws.role: inactive: meant for aws-sagemaker

~ update emb (llamacpp)  because its specification changed
    deployment 01J00000000000000000000001
    cloud.replicas: 1 → 2

± replace chat (llamacpp)  because its specification changed
    deployment 01J00000000000000000000001
    context_size: 1024 → unset

- delete old (llamacpp)  because the model is gone from the file
    deployment 01J00000000000000000000001

x forget older (llamacpp)  because it is verified absent
    deployment 01J00000000000000000000001

… wait slow (llamacpp)  because it is starting, until 2026-05-04 12:00:00 UTC
    deployment 01J00000000000000000000001

! allowed by protect: old: protected, and --force was given
! refused by mass-delete: compose.yaml:1:1: all 3 models would be deleted; pass --force if that is meant

Plan: 1 to create, 1 to update, 1 to replace, 1 to delete, 1 to forget, 1 waiting, 2 unchanged, refused by mass-delete.
"""

HOSTILE = "a\x1b[31mb\n+ create evil\r\x9b2J```\n@team [x](http://evil.example) <script>\u202e"


def hostile() -> Plan:
    one = step(
        model=HOSTILE,
        driver=HOSTILE,
        cause=HOSTILE,
        deployment=HOSTILE,
        changes=(change(HOSTILE, HOSTILE, HOSTILE), change("runtime_flags", None, json.dumps([HOSTILE]))),
        findings=(finding(HOSTILE, Handling.REJECTED, HOSTILE), finding("runtime_flags[0]", Handling.IGNORED, HOSTILE)),
        resolution=(HOSTILE,),
        location=place(file=HOSTILE),
    )
    guard = verdict(HOSTILE, text=HOSTILE, model=HOSTILE, location=place(file=HOSTILE))
    return plan(one, project=HOSTILE, revision=HOSTILE, guards=(guard,))


def test_plan_as_text() -> None:
    assert plan_text(FULL) == FULL_TEXT


def test_colours_change_nothing_but_colours() -> None:
    coloured = plan_text(FULL, COLOUR)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9]+m", "", coloured) == FULL_TEXT


def test_empty_plan_says_so() -> None:
    assert plan_text(plan()) == "demo at 9fceb02d0ae5\n\nPlan: nothing to do.\n"
    assert plan_text(plan(unchanged=("a",))).endswith("\nPlan: 1 unchanged.\n")


def test_revision_of_a_work_tree_keeps_its_kind() -> None:
    assert plan_text(plan(revision="worktree:" + "ab" * 32)).startswith("demo at worktree:abababababab\n")


def test_nothing_from_a_file_steers_the_terminal_or_makes_a_line() -> None:
    text = plan_text(hostile())
    assert all(line.isprintable() for line in text.split("\n"))
    assert len(re.findall(r"^\+ create", text, re.MULTILINE)) == 1
    assert all(ord(letter) < 128 and (letter.isprintable() or letter == "\n") for letter in plan_json(hostile()))


def test_plan_as_json() -> None:
    document = json.loads(plan_json(FULL))
    assert list(document) == ["format_version", "project", "revision", "steps", "summary", "guards"]
    assert (document["format_version"], document["project"]) == ("1", "demo")
    assert document["summary"] == {
        "create": 1, "update": 1, "replace": 1, "delete": 1, "forget": 1, "wait": 1, "unchanged": 2,
    }  # fmt: skip
    assert document["steps"][0] == {
        "action": "create",
        "model": "llm",
        "deployment": None,
        "driver": "llamacpp",
        "cause": "the model is new",
        "changes": [
            {"key": "model", "from": None, "to": "ai/smollm2"},
            {"key": "runtime_flags", "from": None, "to": '["--a-flag", "--x=42"]'},
        ],
        "options": [
            {"key": "model", "handling": "honoured", "detail": ""},
            {"key": "runtime_flags[0]", "handling": "rejected", "detail": "no flag of this name is on the list"},
            {"key": "runtime_flags[1]", "handling": "translated", "detail": "as --y 42"},
            {"key": "aws.role", "handling": "inactive", "detail": "meant for aws-sagemaker"},
        ],
        "resolution": ["cloud.instance-type=gpu-small → ml.g6.xlarge (1 × L4, 24 GB)"],
        "location": "compose.yaml:10:3",
        "not_before": None,
    }
    assert document["steps"][5]["not_before"] == "2026-05-04T12:00:00+00:00"
    assert document["guards"][1] == {
        "guard": "mass-delete",
        "allowed": False,
        "text": "all 3 models would be deleted; pass --force if that is meant",
        "model": "",
        "location": "compose.yaml:1:1",
    }


def test_json_keeps_what_the_file_says() -> None:
    assert json.loads(plan_json(hostile()))["steps"][0]["model"] == HOSTILE


def test_plan_as_markdown() -> None:
    assert plan_markdown(plan(step(), unchanged=("a",))) == (
        "### Models: 1 create, 1 unchanged\n\n"
        "```diff\n"
        "demo at 9fceb02d0ae5\n\n"
        "+ create llm (llamacpp)  because the model is new\n\n"
        "Plan: 1 to create, 1 unchanged.\n"
        "```\n"
    )
    assert "A guard refused part of this plan" in plan_markdown(FULL)


@pytest.mark.parametrize("ticks", [1, 3, 4, 9])
def test_nothing_from_the_repository_leaves_the_fence(ticks: int) -> None:
    markdown = plan_markdown(plan(step(model="`" * ticks, cause="@everyone"), step(cause="`" * ticks)))
    head, fence, rest = markdown.partition("`" * max(3, ticks + 1) + "diff\n")
    assert fence
    assert "@" not in head
    assert rest.endswith("\n" + fence.removesuffix("diff\n") + "\n")
    assert fence.removesuffix("diff\n") not in rest.removesuffix("\n" + fence.removesuffix("diff\n") + "\n")
    assert HOSTILE not in plan_markdown(hostile()).partition("diff\n")[0]


def test_markdown_of_a_huge_plan_still_fits_a_comment() -> None:
    huge = plan_markdown(plan(*(step(model=f"m{n}") for n in range(2000))))
    assert LONGEST - 200 < len(huge) < 65_536
    assert huge.endswith("(cut here: the plan is too long for a comment)\n```\n")
