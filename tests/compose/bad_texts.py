"""Hostile and broken Compose texts, each with a part of the message that refuses it."""

from __future__ import annotations

from tests.compose.cases.builders import APP, LLM

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
    "sexagesimal, plain": (APP + "models: {llm: {model: a, context_size: 59:59:59}}\n", "must be an integer"),
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
