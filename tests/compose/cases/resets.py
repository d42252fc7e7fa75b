"""`!reset` and `!override`."""

from __future__ import annotations

from collections.abc import Iterator

from tests.compose.cases.builders import APP, LLM, one, two
from tests.compose.oracle import Case


def cases() -> Iterator[Case]:
    for argument in ("null", "[]", "{}", "''", "", "anything", "[a, b]"):
        yield two(
            "argument", APP + LLM, f"services:\n  app:\n    models: !reset {argument}\nmodels: !reset {argument}\n"
        )
    yield one("in base", APP + "models:\n  llm: {model: a, context_size: !reset 5}\n")
    yield one("in base", APP + "models:\n  llm: !reset {model: a}\n")
    yield one("override in base", APP + "models:\n  llm: !override {model: !override a}\n")
    yield one("reset inside override", APP + "models:\n  llm: !override {model: !reset a}\n")
    yield one("anchored", f"x-a: &a {{model: a, context_size: !reset 5}}\n{APP}models:\n  llm: *a\n")
    yield two(
        "aliased reset", APP + LLM + "    context_size: 5\n", "x-a: &a {context_size: !reset 7}\nmodels:\n  llm: *a\n"
    )
    yield two(
        "merged reset",
        APP + LLM + "    context_size: 5\n",
        "x-a: &a {context_size: !reset 7}\nmodels:\n  llm:\n    <<: *a\n",
    )
    yield two(
        "aliased override",
        APP + LLM + "    runtime_flags: [a]\n",
        "x-a: &a {runtime_flags: !override [b]}\nmodels:\n  llm: *a\n",
    )
    yield two(
        "merged override",
        APP + LLM + "    runtime_flags: [a]\n",
        "x-a: &a {runtime_flags: !override [b]}\nmodels:\n  llm:\n    <<: *a\n",
    )
    yield two("list item", APP + LLM + "    runtime_flags: [a, b]\n", "models: {llm: {runtime_flags: [c, !reset d]}}\n")
    yield two(
        "flow",
        "services: {app: {image: x, models: [llm]}}\n" + LLM,
        "services: {app: {models: !override {llm: {model_var: Q}}}}\n",
    )
