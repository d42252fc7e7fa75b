"""YAML as such."""

from __future__ import annotations

from collections.abc import Iterator

from tests.compose.cases.builders import APP, LLM, one
from tests.compose.oracle import Case


def cases() -> Iterator[Case]:
    for document in (
        "a: [",
        "a: {b: c",
        "a: b: c",
        "- a\n- b\n",
        "text",
        "12",
        "a: 'open",
        "a: *nobody",
        "a: &x 1\nb: *x\n",
        "%YAML 1.2\n---\n" + APP + LLM,
        "? services\n: {app: {image: x}}\n",
        APP + APP,
        APP + "models: {llm: {model: a, model: b}}\n",
        APP + "models: {llm: {model: a}, 'llm': {model: b}}\n",
        "services: {app: {image: x}}\n\tmodels: {}\n",
        "services:\n  app:\n\timage: x\n",
        APP.replace("\n", "\r\n") + LLM,
        "\ufeff" + APP + LLM,
        APP + LLM + "...\n",
        APP + LLM + "...\n---\nname: b\n",
        "---\n" + APP + LLM,
        "--- # c\n" + APP + LLM + "# end",
        '{"services": {"app": {"image": "x", "models": ["llm"]}}, "models": {"llm": {"model": "a"}}}',
        "x-a: &a {model: a, context_size: 5}\n" + APP + "models:\n  llm: {<<: *a, model: b}\n",
        "x-a: &a {model: a}\nx-b: &b {model: b, context_size: 7}\n" + APP + "models:\n  llm: {<<: [*a, *b]}\n",
        "x-a: &a {model: a}\nx-b: &b {<<: *a, context_size: 7}\n" + APP + "models:\n  llm:\n    <<: *b\n",
        "x-a: &a [1]\n" + APP + "models:\n  llm: {<<: *a}\n",
        APP + "models:\n  llm: {<<: {model: a}, context_size: 3}\n",
        APP + "models:\n  llm: {<<: null, model: a}\n",
        "x-f: &f [--a, --b]\n" + APP + LLM + "    runtime_flags: *f\n",
        APP + 'models:\n  llm: {"<<": {model: a}, model: b}\n',
        "x-a: &a {x: *a}\n" + APP + LLM,
        APP + LLM + "x-é: é\n",
        APP + "models: {llm: {model: 'ü/é'}}\n",
        APP + "models:\n  llm: {model: a, x-cloud-options: {? b : c}}\n",
        "x-s: &s llm\nservices: {app: {image: x, models: [*s]}}\nmodels: {*s : {model: a}}\n",
        "# only a comment\n",
        "\n\n",
        "services: {app: {image: x}}\n--- \nmodels:\n",
        "a: 1",
        "services: {}\nx: 1\n",
        'services: {app: {image: "a\\tb"}}\n',
        APP + 'models: {llm: {model: "a\\u00e9\\x41"}}\n',
        "x-a: &a {model: a, context_size: 5}\n---\n" + APP + "models:\n  llm: {<<: *a, model: b}\n",
        "x-a: &a [--a]\n---\nx-a: &a [--b]\n---\n" + APP + LLM + "    runtime_flags: *a\n",
        "x-a: &a {model: a}\n" + APP + "models: {llm: *a}\n---\nmodels: {llm: *a}\n---\nmodels: {llm: *nobody}\n",
        "x-a: &a {context_size: !reset 5}\n---\n" + APP + LLM + "    context_size: 7\n---\nmodels: {llm: *a}\n",
        "x-a: &a {runtime_flags: !override [b]}\n---\n"
        + APP
        + LLM
        + "    runtime_flags: [a]\n---\nmodels: {llm: *a}\n",
    ):
        yield one("text", document)
