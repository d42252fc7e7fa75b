"""Where we refuse what docker compose 2.40.3 accepts: every place, with the reason. README.md has them in words.

The test asks both, so this table cannot claim a difference that is none, and no difference can hide elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.compose.cases.builders import APP, LLM, one
from tests.compose.oracle import Case


@dataclass(frozen=True, slots=True)
class Departure:
    """`ours` is in our message."""

    what: str
    ours: str
    case: Case


def _case(text: str, **files: str) -> Case:
    return Case(files={"compose.yaml": text, **{name.replace("_", "."): body for name, body in files.items()}})


_TWO = "services:\n  app: {image: x, models: %s}\nmodels: {a-b: {model: a}, a_b: {model: b}}\n"

DEPARTURES = (
    Departure(
        "a model key outside Compose's own pattern (Compose forgets to check it)",
        "not a valid name",
        _case("services: {app: {image: x}}\nmodels: {'ai/x': {model: a}}\n"),
    ),
    Departure(
        "the same in a service's long form, as an extension nobody sees",
        "not a valid name",
        _case(f"services: {{app: {{image: x, models: {{llm: , 'a b': {{}}}}}}}}\n{LLM}  'a b': {{model: a}}\n"),
    ),
    Departure(
        "a reference to a model whose key begins with x- (Compose reads such a key as an extension)",
        "begin with x-",
        _case("services: {app: {image: x, models: [x-llm]}}\nmodels: {x-llm: {model: a}}\n"),
    ),
    Departure("an empty model in use", "the model is empty", one("", APP + "models: {llm: {model: ''}}\n")),
    Departure(
        "two models of one service that set the same variable (Compose lets chance decide)",
        "both set A_B_URL",
        _case(_TWO % "[a-b, a_b]"),
    ),
    Departure(
        "a variable name that no environment can hold",
        "cannot be the name of a variable",
        _case(f"services: {{app: {{image: x, models: {{llm: {{endpoint_var: 'A=B'}}}}}}}}\n{LLM}"),
    ),
    Departure(
        "a context size that no model has (Compose overflows silently)",
        "more than any model has",
        _case(APP + "models: {llm: {model: a, context_size: 99999999999999999999}}\n"),
    ),
    Departure("tags other than !reset and !override", "is not allowed", _case("x-a: !custom 1\n" + APP + LLM)),
    Departure("tags other than the core ones", "is not allowed", _case("x-a: !!binary aGk=\n" + APP + LLM)),
    Departure("two spellings of one text as keys", "already defined", _case("x-é: 1\nx-e\u0301: 2\n" + APP + LLM)),
    Departure(
        "a key twice in what a !reset takes away",
        "already defined",
        _case("x-a: !reset {a: 1, a: 2}\n" + APP + LLM),
    ),
    Departure("a tag on a key", "a key must be a string", _case("!reset x-a: 1\n" + APP + LLM)),
    Departure("control characters, escaped", "control character", _case('x-a: "a\\x1bb"\n' + APP + LLM)),
    Departure("bidirectional controls", "control character", _case("x-a: a\u202eb\n" + APP + LLM)),
    Departure(
        "unknown keys of an include",
        "no 'foo'",
        _case("include: [{path: a.yaml, foo: 1}]\n" + APP + LLM, a_yaml="{x-a: 1}"),
    ),
    Departure(
        "the same option twice in one document",
        "already set",
        _case(APP + LLM + "    x-cloud-options: [a=1, a=2]\n"),
    ),
    Departure("an option that is no option", "key=value", _case(APP + LLM + "    x-cloud-options: [12]\n")),
    Departure("an option without a value", "has no value", _case(APP + LLM + "    x-cloud-options: {a: }\n")),
    Departure("options that are a text", "list of key=value", _case(APP + LLM + "    x-cloud-options: a=1\n")),
    Departure(
        "more than 50 levels",
        "levels deep",
        _case("x-a: " + "[" * 60 + "]" * 60 + "\n" + APP + LLM),
    ),
    Departure(
        "a secret-looking variable of the process in what we read",
        "--allow-variable MY_API_KEY",
        Case(
            files={"compose.yaml": APP + "models: {llm: {model: '${MY_API_KEY}'}}\n"}, environment={"MY_API_KEY": "k"}
        ),
    ),
    Departure(
        "several models in one legacy provider service",
        "cannot share one URL",
        _case("services: {p: {provider: {type: model, options: {model: [a, b]}}}}\n"),
    ),
    Departure(
        "a legacy provider service without a model",
        "which model is it",
        _case("services: {p: {provider: {type: model}}}\n"),
    ),
    Departure(
        "a legacy provider service named like a model",
        "also declared",
        _case(f"services: {{llm: {{provider: {{type: model, options: {{model: a}}}}}}}}\n{LLM}"),
    ),
)

LENIENT = (
    _case("services: {app: {image: x, env_file: lost.env, models: [llm]}}\n" + LLM),
    _case("services: {app: {image: x, ports: ['not a port'], models: [llm]}}\n" + LLM),
    _case("services: {app: {image: x, deploy: {foo: 1}, models: [llm]}}\n" + LLM),
)
"""The other way round: what cannot change a model is not looked into, so Compose may refuse what we accept."""
