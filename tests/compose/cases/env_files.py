"""`.env`, `--env-file`, and the grammar of both."""

# ruff: noqa: E501 - a project is easier to read in one line

from __future__ import annotations

from collections.abc import Iterator

from tests.compose.cases.builders import APP, listed
from tests.compose.oracle import Case


def cases() -> Iterator[Case]:
    lines = r"""
    V=plain | V= spaced  | V="double" | V='single $X' | V="${X}" | V=${X} | V=$X | export V=e | V: yaml | V = around | V=a # comment
    V=a#b | V="a # b" | V='a'tail | V="a\nb" | V="a\tb" | V="a\"b" | V='a\'b' | V="\$X" | V=\$X | V=$$X | V="\0101" | V="\012" | V="\q" | V=
    V | V="open | 'V'=x | V W=x | 1V=x | V.a=b | #V=x | V="a" # c | V=a=b | V='' | V="" | V=${U:-d} | V=${U?no} | V=${1} | V="a\\b" | V=a\nb
    V-x=1 | [V]=1 | V!=1 | é=1 | V="$$X" | V='$$X' | V=${X:-a} | export  V=x | exportV=x | V=a,b | V="x\cy" | V="\x41" | V=`a` | =x | V==x
    """
    for line in listed(lines):
        yield Case(
            files={
                "compose.yaml": APP + "models: {llm: {model: 'p/${V-unset}'}}\n",
                ".env": f"X=ex\n{line}\nAFTER=1\n",
            },
            note="dotenv",
        )
        yield Case(
            files={"compose.yaml": APP + "models: {llm: {model: 'p/${V-unset}'}}\n", ".env": line},
            note="dotenv, no line end",
        )
    text = APP + "models: {llm: {model: 'p/${V-unset}${W-}'}}\n"
    main = {"compose.yaml": text}
    yield Case(files={**main, ".env": 'V="a\nb"\nW=after\n'}, note="lines")
    yield Case(files={**main, ".env": "\ufeffV=bom\r\nW=crlf\r\n"}, note="bom and crlf")
    yield Case(files={**main, ".env": "V=file\n"}, environment={"V": "process"}, note="process wins")
    yield Case(files={**main, ".env": "V\nW=$V\n"}, environment={"V": "inherited"}, note="inherit")
    yield Case(files={**main, ".env": "V=$W\nW=1\n"}, note="order")
    yield Case(files={**main, ".env": "V=$W\n"}, environment={"W": "p"}, note="process in dotenv")
    for options in (
        {"env_files": ("a.env",)},
        {"env_files": ("a.env", "b.env")},
        {"env_files": ("b.env", "a.env")},
        {"env_files": ("lost.env",)},
    ):
        yield Case(
            files={**main, ".env": "V=dot\nW=dot\n", "a.env": "V=a\n", "b.env": "V=b$V\n"},
            options=options,
            note="--env-file",
        )
    files = {**main, ".env": "V=dot\n", "a.env": "V=a\n", "b.env": "V=b\n"}
    for environment in (
        {"COMPOSE_ENV_FILES": "a.env,b.env"},
        {"COMPOSE_ENV_FILES": ""},
        {"COMPOSE_DISABLE_ENV_FILE": "1"},
        {"COMPOSE_DISABLE_ENV_FILE": "false"},
        {"COMPOSE_DISABLE_ENV_FILE": "maybe"},
        {"COMPOSE_DISABLE_ENV_FILE": "true", "COMPOSE_ENV_FILES": "a.env"},
    ):
        yield Case(files=files, environment=environment, note="variables about env files")
    yield Case(
        files={**main, ".env": "V=dot\nCOMPOSE_DISABLE_ENV_FILE=1\nCOMPOSE_PROJECT_NAME=fromdot\n"},
        note="switches itself off",
    )
    yield Case(
        files={"sub/compose.yaml": text, ".env": "V=cwd\nW=cwd\n", "sub/.env": "V=sub\n"},
        options={"files": ("sub/compose.yaml",)},
        note="beside the file",
    )
    yield Case(
        files={"compose.yaml": text, ".env": "V=root\n", "sub/.env": "V=sub\n", "sub/x": ""},
        cwd="sub",
        note="found above",
    )
    yield Case(
        files={"compose.yaml": text, ".env": "V=root\n", "sub/.env": "W=sub\n", "sub/x": ""}, cwd="sub", note="both"
    )
    yield Case(
        files={"compose.yaml": text, ".env": "V=root\n", "p/.env": "V=p\n"},
        options={"project_directory": "p"},
        note="project directory",
    )
    yield Case(
        files={
            "sub/compose.yaml": text,
            ".env": "COMPOSE_FILE=sub/compose.yaml\nV=cwd\n",
            "sub/.env": "V=sub\nW=sub\n",
        },
        note="redirected",
    )
    yield Case(files={**main, ".env": "COMPOSE_PROFILES=p\nCOMPOSE_PROJECT_NAME=named\n"}, note="settings in .env")
