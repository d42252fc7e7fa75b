"""Hostile and broken texts: each is refused with a place and a reason, and soon."""

# ruff: noqa: E501 - a text is easier to read in one line

from __future__ import annotations

import time
from contextlib import suppress
from random import Random

import pytest

from reconciler.compose.reader import read_documents
from reconciler.compose.screen import Limits
from reconciler.errors import InputError
from tests.compose.cases.builders import APP, LLM
from tests.compose.memory import project

GOOD = APP + LLM


def merge_bomb() -> str:
    """760 bytes that PyYAML expands for longer than anybody waits."""
    return "m0: &m0 {a: 1}\n" + "".join(f"m{n}: &m{n}\n  <<: [*m{n - 1}, *m{n - 1}]\n" for n in range(1, 27))


def billion_laughs() -> str:
    return "x-0: &a0 [x, x]\n" + "".join(f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))


def alias_tower() -> str:
    """Aliases within aliases, each level harmless by itself, 60 levels deep together."""
    return "x-0: &a0 [[[x]]]\n" + "".join(f"x-{n}: &a{n} [[[*a{n - 1}]]]\n" for n in range(1, 20))


BAD: dict[str, tuple[str | bytes, str]] = {
    "merge bomb": (merge_bomb(), "once all aliases are expanded"),
    "billion laughs": (billion_laughs() + GOOD, "once all aliases are expanded"),
    "60,000 brackets": ("x-a: " + "[" * 60_000, "levels deep"),
    "9,000 deep": ("x-a: " + "[" * 9_000 + "]" * 9_000, "levels deep"),
    "9,000 mappings": ("x-a: " + "{a: " * 9_000, "levels deep"),
    "alias tower": (alias_tower(), "levels deep"),
    "recursive alias": ("x-a: &a {b: *a}\n" + GOOD, "inside what it stands for"),
    "recursive list": ("x-a: &a [*a]\n" + GOOD, "inside what it stands for"),
    "unknown alias": ("x-a: *nobody\n" + GOOD, "stands for nothing"),
    "duplicate key": (APP + "models: {m: {model: a}}\nmodels: {}\n", "already defined in line 5"),
    "duplicate key, quoted": (APP + "models:\n  llm: {model: a}\n  'llm': {model: b}\n", "already defined in line 6"),
    "duplicate merge key": ("x-a: &a {b: 1}\nx-c: {<<: *a, <<: *a}\n" + GOOD, "already defined"),
    "look-alike key": ("x-é: 1\nx-e\u0301: 2\n" + GOOD, "already defined"),
    "5 MiB": ("x-a: a\n" + "# padding\n" * 500_000, "is the limit"),
    "long text": ("x-a: " + "a" * 70_000 + "\n" + GOOD, "characters"),
    "many nodes": ("x-a: [" + "a," * 210_000 + "]\n" + GOOD, "values"),
    "many aliases": ("x-0: &a a\nx-a: [" + "*a ," * 1_001 + "]\n" + GOOD, "aliases"),
    "huge integer": (APP + f"models: {{llm: {{model: a, context_size: {'9' * 5_000}}}}}\n", "must be an integer"),
    "infinity": (APP + "models: {llm: {model: a, context_size: .inf}}\n", "must be an integer"),
    "huge float": (APP + "models: {llm: {model: a, context_size: 1e999}}\n", "must be an integer"),
    "large float": (APP + "models: {llm: {model: a, context_size: 1e300}}\n", "more than any model has"),
    "sexagesimal": (APP + "models: {llm: {model: a, context_size: '59:59:59'}}\n", "must be an integer"),
    "integer key": (APP + "models: {1_000: {model: a}}\n", "quote it"),
    "null key": (APP + "models: {null: {model: a}}\n", "quote it"),
    "empty key": (APP + "models:\n  ? \n  : {model: a}\n", "quote it"),
    "date key": (APP + "models: {2024-01-01: {model: a}}\n", "quote it"),
    "boolean key": (APP + "models: {true: {model: a}}\n", "quote it"),
    "list key": ("? [a]\n: b\n", "must be a string"),
    "python tag": (
        "x-a: !!python/object/apply:os.system [id]\n" + GOOD,
        "!!python/object/apply:os.system is not allowed",
    ),
    "binary tag": ("x-a: !!binary aGk=\n" + GOOD, "!!binary is not allowed"),
    "set tag": ("x-a: !!set {a}\n" + GOOD, "!!set is not allowed"),
    "timestamp tag": ("x-a: !!timestamp 2001-01-01\n" + GOOD, "!!timestamp is not allowed"),
    "custom tag": ("x-a: !Ref b\n" + GOOD, "!Ref is not allowed"),
    "tag on a key": ("!!binary eA==: 1\n" + GOOD, "is not allowed"),
    "escaped NUL": ('x-a: "a\\0b"\n' + GOOD, "U+0000"),
    "raw NUL": ("x-a: a\0b\n" + GOOD, "U+0000"),
    "escape": ("x-a: a\x1b[31m\n" + GOOD, "U+001B"),
    "C1 control": ("x-a: a\x9bb\n" + GOOD, "U+009B"),
    "bidi": ("x-a: a\u202eb\n" + GOOD, "U+202E"),
    "bidi isolate, escaped": ('x-a: "a\\u2066b"\n' + GOOD, "U+2066"),
    "control in a key": ('"x-\\u0007": 1\n' + GOOD, "U+0007"),
    "surrogate": ('x-a: "\\ud800"\n' + GOOD, "not valid YAML"),
    "tabs": ("services:\n\tapp: {image: x}\n", "tab"),
    "latin-1": (GOOD.encode() + b"x-a: \xe9\n", "not UTF-8"),
    "UTF-16": (GOOD.encode("utf-16"), "not UTF-8"),
    "cut in a character": ("x-a: é".encode()[:-1], "not UTF-8"),
    "merge conflict": (f"<<<<<<< HEAD\n{GOOD}=======\n{APP}>>>>>>> theirs\n", "merge conflict"),
    "merge conflict, half resolved": (GOOD + ">>>>>>> 1234567 (theirs)\n", "merge conflict"),
    "merge conflict, CRLF": (GOOD + "<<<<<<< HEAD\r\n", "merge conflict"),
    "path as a name": (APP + "models: {../../etc/x: {model: a}}\n", "not a valid name"),
    "emoji as a name": (APP + "models: {🦙: {model: a}}\n", "not a valid name"),
    "line in a name": (APP + 'models: {"a\\nb": {model: a}}\n', "not a valid name"),
    "colliding names": (
        "services: {a: {image: x, models: [a-b, a_b]}}\nmodels: {a-b: {model: a}, a_b: {model: b}}\n",
        "both set",
    ),
    "remote include": ("include: ['https://example.com/x.git']\n" + GOOD, "remote"),
    "ssh include": ("include: [{path: 'git@example.com:x.git'}]\n" + GOOD, "remote"),
    "OCI include": ("include: [{path: ['oci://example.com/x']}]\n" + GOOD, "remote"),
    "remote extends": ("services: {a: {extends: {file: 'https://example.com/x', service: a}}}\n", "remote"),
    "scalar": ("just text\n", "must be a mapping"),
    "cut short": (GOOD[:-15], "must be a mapping"),
    "nothing": ("", "empty Compose file"),
    "braces without end": ("x-a: {" * 40 + GOOD, "not valid YAML"),
    "nested variables": (
        APP + "models: {llm: {model: '" + "${A:-" * 5_000 + "}" * 5_000 + "'}}\n",
        "too many variables",
    ),
    "variables in one line": (APP + "models: {llm: {model: '" + "${A:-x}" * 5_000 + "'}}\n", "too many variables"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused_with_a_place_and_a_reason(name: str) -> None:
    text, reason = BAD[name]
    with pytest.raises(InputError, match=r"^compose\.yaml:[0-9]+:[0-9]+: ") as caught:
        project(text)
    assert reason in str(caught.value)


@pytest.mark.parametrize("name", ["merge bomb", "billion laughs", "alias tower", "60,000 brackets", "9,000 deep"])
def test_bombs_are_refused_within_50_ms(name: str) -> None:
    text = BAD[name][0]
    data = text.encode() if isinstance(text, str) else text
    best = min(_seconds(data) for _ in range(5))
    assert best < 0.05


def _seconds(data: bytes) -> float:
    begin = time.process_time()
    with pytest.raises(InputError):
        read_documents(data, "compose.yaml")
    return time.process_time() - begin


def test_byte_order_mark_and_windows_line_ends_are_fine() -> None:
    assert project("\ufeff" + GOOD.replace("\n", "\r\n")).models.keys() == {"llm"}


def test_words_that_are_strings_to_compose_may_be_names() -> None:
    found = project(
        "services: {app: {image: x, models: [no, on, y]}}\nmodels: {no: {model: a}, on: {model: b}, y: {model: c}}\n"
    )
    assert found.models.keys() == {"no", "on", "y"}


def test_variables_that_multiply_run_into_a_limit() -> None:
    lines = "A0=0123456789\n" + "".join(f"A{n}=${{A{n - 1}}}${{A{n - 1}}}\n" for n in range(1, 60))
    with pytest.raises(InputError, match=r"too long|more than"):
        project({"compose.yaml": GOOD, ".env": lines})
    many = APP + "models: {llm: {model: '" + "$A" * 20_000 + "'}}\n"
    with pytest.raises(InputError, match="too long"):
        project({"compose.yaml": many, ".env": "A=" + "x" * 10_000 + "\n"})


def test_limits_are_the_callers_to_lower() -> None:
    with pytest.raises(InputError, match="levels deep"):
        read_documents(b"a: {b: {c: 1}}", "f", Limits(depth=2))


def test_two_thousand_models_are_within_the_limits() -> None:
    keys = [f"model-{number}" for number in range(2_000)]
    uses = "".join(f"      {key}: {{endpoint_var: URL_{n}}}\n" for n, key in enumerate(keys))
    models = "".join(f"  {key}: {{model: ai/x, context_size: 4096, x-cloud-options: [a=1, b=2]}}\n" for key in keys)
    assert len(project(f"services:\n  app:\n    image: x\n    models:\n{uses}models:\n{models}").models) == 2_000


MUTATIONS = (
    "",
    "\0",
    "\t",
    "{",
    "}",
    "[",
    "]",
    ":",
    "&a ",
    "*a ",
    "!reset ",
    "!x ",
    "${",
    "}",
    "$",
    "'",
    '"',
    "|",
    "\n",
    "- ",
    "<<: ",
    "---\n",
    "é",
    "~",
    "1e9",
    "? ",
)
SEEDS = (
    GOOD
    + "    runtime_flags: [--a, '${V:-b}']\n    x-cloud-options: {cloud: {region: x, l: [a, 1]}}\nx-a: &a {b: [c]}\n",
    "services:\n  a: {extends: b}\n  b: {image: x, models: {llm: {endpoint_var: E}}, depends_on: {c: {condition: service_started}}}\n  c: {provider: {type: model, options: {model: m, runtime-flags: '--a b'}}}\nmodels: {llm: {model: '$V', <<: {context_size: 0x10}}}\n",
    "include: [{path: [other.yaml], env_file: e.env}]\nname: n\nservices: {app: {extends: {file: other.yaml, service: o}, profiles: [p]}}\n---\nmodels: {m: !override {model: b}}\n",
)


@pytest.mark.parametrize("seed", range(30))
def test_only_input_errors_escape_whatever_is_written(seed: int) -> None:
    """A traceback in the service would be a way to stop it; 100 mutations for each seed, always the same ones."""
    random = Random(seed)
    for _ in range(100):
        text = random.choice(SEEDS)
        for _ in range(random.randint(1, 6)):
            at = random.randrange(len(text) + 1)
            text = text[:at] + random.choice(MUTATIONS) + text[at + random.choice((0, 0, 1, 3)) :]
        files = {
            "compose.yaml": text,
            "other.yaml": random.choice(SEEDS[:2]),
            "e.env": random.choice(("A=1\n", "A='", text)),
        }
        with suppress(InputError):
            project(files, environment={"V": "v"}, profiles=random.choice(((), ("p",))))
