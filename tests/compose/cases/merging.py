"""Several files and documents: what merges, appends, replaces, and what cannot."""

# ruff: noqa: E501 - a project is easier to read in one line

from __future__ import annotations

from collections.abc import Iterator

from tests.compose.cases.builders import APP, LLM, listed, model, one, two
from tests.compose.oracle import Case


def cases() -> Iterator[Case]:
    base = model("{model: a, context_size: 5, runtime_flags: [--x], x-cloud-options: [a=1, b=2]}")
    over = """
    null | {} | [] | {model: b} | {model: null} | {context_size: null} | {context_size: 7} | {context_size: x}
    {runtime_flags: []} | {runtime_flags: [--x, --y]} | {runtime_flags: null} | {runtime_flags: x} | {x-cloud-options: [a=9, c=3]}
    {x-cloud-options: {a: 9}} | {x-cloud-options: null} | {x-other: 1} | {foo: 1} | !override {model: z} | !override {}
    !reset null | {model: !reset null} | {context_size: !reset null} | {runtime_flags: !override [--z]}
    {runtime_flags: !reset []} | {x-cloud-options: !override [z=1]} | {x-cloud-options: !override {z: 1}} | {x-cloud-options: !reset }
    """
    for body in listed(over):
        yield two("override", base, f"models:\n  llm: {body}\n")
    maps = model("{model: a, x-cloud-options: {cloud: {a: 1, l: [x]}, k: v}}")
    for body in (
        "{cloud: {a: 2, b: 3}}",
        "{cloud: {l: [y]}}",
        "{cloud: 5}",
        "{k: {deep: 1}}",
        "[a=1]",
        "{cloud: null, k: null}",
    ):
        yield two("map", maps, f"models:\n  llm: {{x-cloud-options: {body}}}\n")
    both = f"services:\n  app:\n    image: x\n    models: %s\n{LLM}  big: {{model: b}}\n"
    sides = (
        "[llm]",
        "[llm, big]",
        "{llm: {endpoint_var: A}}",
        "{llm: {model_var: M}}",
        "{llm: null, big: {endpoint_var: B}}",
    )
    for left in sides:
        for right in (*sides[1:4], "null", "[]", "{}", "llm", "!override [big]", "!reset null", "!override {}"):
            yield two("services.models", both % left, f"services:\n  app:\n    models: {right}\n")
    yield two("partial reset", both % "[llm, big]", "services: {app: {models: {llm: !reset null}}}\n")
    yield two(
        "recipe",
        APP + LLM,
        "services:\n  app:\n    models: !reset null\n    environment: {LLM_URL: u}\nmodels: !reset null\n",
    )
    yield two("top only", APP + LLM, "models: !reset null\n")
    yield two("ghost", APP + LLM, "services: {ghost: {models: [llm]}}\n")
    yield two("new service", APP + LLM, "services: {ghost: {image: y, models: [llm]}}\n")
    yield two("incomplete base", APP + "models: {llm: {}}\n", "models: {llm: {model: a}}\n")
    yield two("list over map", APP + LLM, "models: []\n")
    yield two("nothing", APP + LLM, "models:\n")
    yield two("empty file", APP + LLM, "")
    yield two("comment only", APP + LLM, "# nothing\n")
    yield two("null document", APP + LLM, "---\n")
    yield two(
        "profiles append", "services: {app: {image: x, profiles: [a]}}\n", "services: {app: {profiles: [b, a]}}\n"
    )
    yield two("x at top", "x-cloud-options: [a=1, b=2]\n" + APP + LLM, "x-cloud-options: [a=3]\n")
    yield two("x at top, map", "x-cloud-options: {a: {b: 1}}\n" + APP + LLM, "x-cloud-options: {a: {c: 2}}\n")
    yield two("command", "services: {app: {image: x, command: [a]}}\n", "services: {app: {command: b}}\n")
    yield two(
        "environment", "services: {app: {image: x, environment: [A=1]}}\n", "services: {app: {environment: {A: 2}}}\n"
    )
    yield two("ports over string", "services: {app: {image: x, ports: ['80']}}\n", "services: {app: {ports: x}}\n")
    yield two(
        "depends_on",
        "services: {a: {image: x, depends_on: [b]}, b: {image: y}}\n",
        "services: {a: {depends_on: {c: {condition: service_started}}}, c: {image: z}}\n",
    )
    yield two("image reset", APP + LLM, "services: {app: {image: !reset null}}\n")
    yield two("service reset", APP + "  other: {image: y}\n" + LLM, "services: {app: !reset null}\n")
    yield one("documents", APP + "---\n" + LLM)
    yield one(
        "documents",
        APP
        + LLM
        + "---\nmodels: {llm: {model: b, x-cloud-options: [a=1]}}\n---\nmodels: {llm: {x-cloud-options: [a=2]}}\n",
    )
    yield one("document reset", APP + LLM + "---\nservices: {app: {models: !reset null}}\n")
    yield Case(
        files={"a.yaml": APP + LLM, "b.yaml": "models: {llm: {model: b}}\n", "c.yaml": "models: {llm: {model: c}}\n"},
        options={"files": ("a.yaml", "b.yaml", "c.yaml")},
    )
    yield Case(
        files={"a.yaml": APP + LLM, "b.yaml": "models: {llm: {model: b}}\n"}, options={"files": ("b.yaml", "a.yaml")}
    )
    yield Case(files={"a.yaml": APP + LLM + "    runtime_flags: [a]\n"}, options={"files": ("a.yaml", "a.yaml")})
