"""What plain YAML scalars mean: integers, floats, words, dates, and as keys."""

from __future__ import annotations

from collections.abc import Iterator

from tests.compose.cases.builders import APP, LLM, model, one
from tests.compose.oracle import Case


def cases() -> Iterator[Case]:
    sizes = (
        "010 0o10 0x10 0b11 1_000 1e3 1.0 1024.0 +5 -1 0 08 1.5 .5 5. 4k 1:30 ~ 0X1F 1_0.0 -0x4 2024-01-01 1e-3 12e2"
    )
    for size in sizes.split():
        yield one("integer", model(f"{{model: a, context_size: {size}}}"))
    for size in (
        '!!int "5"',
        "!!float 5",
        "!!str 5",
        "! 5",
        '! "5"',
        "!!int x",
        ".inf",
        ".nan",
        "!!null ''",
        "''",
        "5 # c",
    ):
        yield one("integer", model(f"{{model: a, context_size: {size}}}"))
    values = (
        "yes no on off y n Yes 1:30 0o17 1e3 010 1_000 0b1 .5 5. true False NULL_ ~x 2024-01-01 0.10 +1 1.e3 -.5 08"
    )
    for value in (
        *values.split(),
        "2024-01-01T00:00:00Z",
        "'1'",
        '"true"',
        "|-\n        text",
        ">-\n        a\n        b",
    ):
        yield one("value", f"{APP}{LLM}    x-cloud-options:\n      key: {value}\n")
        yield one("text", f"{APP}models:\n  llm:\n    model: {value}\n")
    for key in (
        "no",
        "on",
        "1",
        "1_000",
        "true",
        "null",
        "~",
        "2024-01-01",
        "1.5",
        "'1'",
        "y",
        "0x1",
        "1e3",
        ".5",
        "'null'",
    ):
        yield one("key", f"services:\n  app: {{image: x, models: [{key}]}}\nmodels:\n  {key}: {{model: a}}\n")
