"""Interpolation: every form, and where it happens."""

# ruff: noqa: E501 - a project is easier to read in one line

from __future__ import annotations

from collections.abc import Iterator

from tests.compose.cases.builders import APP, LLM, one
from tests.compose.oracle import Case


def cases() -> Iterator[Case]:
    forms = r"""
    $V ${V} $UNSET ${UNSET} ${UNSET:-d} ${UNSET-d} ${EMPTY:-d} ${EMPTY-d} ${V:-d} ${V-d} ${V:+a} ${V+a} ${EMPTY:+a} ${EMPTY+a}
    ${UNSET:+a} ${UNSET+a} ${UNSET:?no} ${UNSET?no} ${EMPTY:?no} ${EMPTY?no} ${V:?no} ${V?no} ${UNSET:?} ${UNSET?} $$ $$V $$$V
    $1 $ $- a$ a$b$ ${1F} ${} ${V} ${V!} ${V:0:2} ${V//a/b} ${V ${UNSET:-${V}} ${UNSET:-${OTHER:-${V}x}y}z ${UNSET:-{"a":1}}
    ${UNSET:-a}b} ${UNSET-a:-b} ${UNSET:-a-b} ${V:-${UNSET?nope}} ${V:+${UNSET:?nope}} ${UNSET:-$V} ${UNSET:-$$V} $V$V ${V}-${V}
    ${v:-lower} $_x ${UNSET:-} ${UNSET-} ${UNSET:-{x} ${UNSET:-{}} ${UNSET:-}} ${V:-a}${V:-b} x${UNSET:-1}y${UNSET:-2}z {$V} $V.x
    ${V.x} ${V-a?b} ${V?a-b} ${UNSET?a-b} ${UNSET:-a:?b} ${UNSET:-${V} $V $VV ${V_} ${UNSET:+${V}} ${V:+${V:+${V}}} ${DOLLAR} $DOLLAR
    ${UNSET:-${} ${UNSET:-${1}} ${V:-${1}} %V $(V) ${UNSET:-a=b} ${V,,} ${V^} ${#V} ${!V} ${V:} ${V:=x} ${V=x}
    """
    environment = {"V": "val", "EMPTY": "", "DOLLAR": "$V ${V} $$"}
    for form in forms.split():
        yield one("variable", f"{APP}models:\n  llm:\n    model: 'p/{form}'\n", environment=environment)
    for form in (
        "${UNSET:-a b} c",
        "${V ${V}",
        "${ V}",
        "${V }",
        "a ${UNSET:-b} c ${UNSET:-d}",
        "${UNSET:-a} }",
        "${UNSET?with words}",
    ):
        yield one("variable", f"{APP}models:\n  llm:\n    model: 'p/{form}'\n", environment=environment)
    text = f"{APP}{LLM}    context_size: %s\n"
    yield one("number", text % "${N:-1024}", environment={})
    yield one("number", text % '"${N}"', environment={"N": "5"})
    everywhere = "services:\n  app:\n    image: x\n    models: {llm: {endpoint_var: '${P}_URL'}}\nmodels:\n  llm:\n    model: a\n    runtime_flags: ['--${P}', $P]\n    x-cloud-options: {cloud: {a: '${P}'}, l: ['${P}', b]}\nx-cloud-options: ['k=${P}']\n"
    yield one("everywhere", everywhere, environment={"P": "pre"})
    yield one(
        "keys are not",
        "services:\n  app: {image: x, models: ['${K}']}\nmodels:\n  llm: {model: a}\n",
        environment={"K": "llm"},
    )
    yield one("aliases first", "x-m: &m '${A}'\n" + APP + "models:\n  llm: {model: *m}\n", environment={"A": "1"})
    yield one("lines", APP + "models:\n  llm:\n    model: |-\n      ${U:-a}\n      ${U:-b}\n")
    yield one("lines", APP + "models:\n  llm:\n    model: |-\n      ${U:-a\n      b}\n")
    yield one("project name", APP + "models: {llm: {model: '${COMPOSE_PROJECT_NAME}'}}\n")
    yield one("pwd", APP + "models: {llm: {model: '${PWD}'}}\n")
    yield one(
        "name from variable",
        "name: '${N} App'\n" + APP + "models: {llm: {model: '${COMPOSE_PROJECT_NAME}'}}\n",
        environment={"N": "My"},
    )
    yield one("elsewhere", "services: {app: {image: '${UNSET?need}'}}\n")
    yield one("elsewhere", "services: {app: {image: x, environment: {A: '${1}'}}}\n")
