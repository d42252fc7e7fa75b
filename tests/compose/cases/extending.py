"""`extends` within a document and from other files."""

# ruff: noqa: E501 - a project is easier to read in one line

from __future__ import annotations

from collections.abc import Iterator

from tests.compose.cases.builders import LLM, one, two
from tests.compose.oracle import Case


def cases() -> Iterator[Case]:
    base = "  base:\n    image: x\n    models: {llm: {endpoint_var: A}}\n"
    for child in (
        "{extends: base}",
        "{extends: {service: base}}",
        "{extends: base, models: {llm: {model_var: M}}}",
        "{extends: base, models: [llm]}",
        "{extends: base, models: !reset null}",
        "{extends: base, models: !override []}",
        "{extends: {}}",
        "{extends: nobody}",
        "{extends: app}",
        "{extends: null}",
        "{extends: {service: base, file: null}}",
        "{extends: {service: base, extra: 1}}",
        "{extends: {service: 1}}",
        "{extends: [base]}",
        "{extends: base, image: y, command: a}",
        "{extends: base, models: null}",
    ):
        yield one("same file", f"services:\n  app: {child}\n{base}{LLM}")
    chain = "services:\n  a: {extends: b}\n  b: {extends: c, models: [llm]}\n  c: {image: x, profiles: [p]}\n" + LLM
    yield one("chain", chain)
    yield one("chain", chain, options={"profiles": ("p",)})
    yield one("circle", "services:\n  a: {extends: b}\n  b: {extends: a}\n")
    other = {
        "sub/base.yaml": "services:\n  base:\n    image: x\n    models: [llm]\n  next: {extends: {file: more.yaml, service: m}}\nmodels: {llm: {model: ignored}}\n",
        "sub/more.yaml": "services:\n  m: {image: y, models: {big: {endpoint_var: B}}}\n",
    }
    main = "services:\n  app: {extends: {file: sub/base.yaml, service: %s}%s}\nmodels: {llm: {model: a}, big: {model: b}}\n"
    for service, rest in (
        ("base", ""),
        ("next", ""),
        ("nobody", ""),
        ("base", ", models: {llm: {model_var: M}}"),
        ("base", ", models: !reset null"),
        ("next", ", models: [llm]"),
    ):
        yield Case(files={"compose.yaml": main % (service, rest), **other}, note="other file")
    yield Case(
        files={"compose.yaml": "services:\n  app: {extends: {file: sub/base.yaml, service: base}}\n", **other},
        note="models stay",
    )
    yield Case(files={"compose.yaml": "services:\n  app: {extends: {file: lost.yaml, service: base}}\n"}, note="lost")
    yield Case(
        files={
            "compose.yaml": "services:\n  app: {extends: {file: o.yaml, service: base}}\n",
            "o.yaml": "models: {}\n",
        },
        note="no services",
    )
    yield Case(
        files={
            "compose.yaml": "services:\n  app: {extends: {file: o.yaml, service: base}}\n",
            "o.yaml": "services:\n  base: {extends: {file: compose.yaml, service: app}}\n",
        },
        note="circle over files",
    )
    yield Case(
        files={
            "compose.yaml": "services:\n  app: {extends: {file: o.yaml, service: app}}\n",
            "o.yaml": "services:\n  app: {image: x, foo: 1}\n",
        },
        note="checked late",
    )
    yield Case(
        files={
            "compose.yaml": "services:\n  app: {extends: {file: o.yaml, service: app}}\n" + LLM,
            "o.yaml": "services:\n  app: {image: x}\n---\nservices:\n  app: {models: [llm]}\n",
        },
        note="documents",
    )
    yield Case(
        files={
            "compose.yaml": "services:\n  app: {extends: {file: o.yaml, service: app}}\n" + LLM,
            "o.yaml": "services:\n  app: {image: x, models: {llm: {endpoint_var: '${V:-dflt}'}}}\n",
        },
        note="interpolated",
        environment={"V": "fromenv"},
    )
    yield Case(
        files={
            "d/compose.yaml": "services:\n  app: {extends: {file: o.yaml, service: app}}\n",
            "d/o.yaml": "services: {app: {image: x}}\n",
        },
        options={"files": ("d/compose.yaml",)},
        note="relative to the project",
    )
    yield Case(
        files={
            "compose.yaml": "services: {a: {image: y}}\n",
            "d/more.yaml": "services:\n  app: {extends: {file: o.yaml, service: app}}\n",
            "d/o.yaml": "services: {app: {image: x}}\n",
        },
        options={"files": ("compose.yaml", "d/more.yaml")},
        note="relative to the first file",
    )
    yield two("not across files", "services: {base: {image: x}}\n", "services: {app: {extends: base}}\n")
    yield two(
        "reset in child",
        f"services:\n  app: {{extends: base}}\n{base}{LLM}",
        "services: {app: {models: !reset null}}\n",
    )
