"""`include` in all its forms, its variables and its conflicts."""

# ruff: noqa: E501 - a project is easier to read in one line

from __future__ import annotations

from collections.abc import Iterator

from tests.compose.cases.builders import APP, LLM
from tests.compose.oracle import Case


def cases() -> Iterator[Case]:
    inc = {
        "inc/inc.yaml": "services:\n  inc: {image: y, models: [big]}\nmodels: {big: {model: b}}\nx-cloud-options: [lost=1]\nname: other\n"
    }
    for entry in (
        "inc/inc.yaml",
        "{path: inc/inc.yaml}",
        "{path: [inc/inc.yaml]}",
        "{path: [inc/inc.yaml, inc/over.yaml]}",
        "{path: inc/inc.yaml, project_directory: .}",
        "{path: inc/lost.yaml}",
        "{path: []}",
        "[inc/inc.yaml]",
        "12",
        "{path: inc/inc.yaml, env_file: v.env}",
        "{path: inc/inc.yaml, env_file: lost.env}",
        "{path: inc/inc.yaml, env_file: [v.env, w.env]}",
    ):
        files = {
            "compose.yaml": f"include:\n  - {entry}\n{APP}{LLM}",
            **inc,
            "inc/over.yaml": "models: {big: {model: over}}\n",
            "v.env": "A=1\n",
            "w.env": "A=2\n",
        }
        yield Case(files=files, note="include")
    yield Case(files={"compose.yaml": f"include: inc/inc.yaml\n{APP}{LLM}", **inc}, note="must be a list")
    for own in ("{model: b}", "{model: other}", "{model: b, x-a: 1}", "null"):
        yield Case(files={"compose.yaml": f"include: [inc/inc.yaml]\n{APP}{LLM}  big: {own}\n", **inc}, note="conflict")
    yield Case(
        files={
            "compose.yaml": f"include: [inc/inc.yaml]\n{APP}{LLM}",
            "compose.override.yaml": "models: {big: {model: later}}\n",
            **inc,
        },
        note="override of included",
    )
    yield Case(
        files={
            "compose.yaml": f"include: [inc/inc.yaml]\n{APP}{LLM}",
            "compose.override.yaml": "models: !reset null\nservices: {inc: {models: !reset null}, app: {models: !reset null}}\n",
            **inc,
        },
        note="reset of included",
    )
    yield Case(
        files={
            "compose.yaml": "include: [a.yaml, b.yaml]\n",
            "a.yaml": "include: [inc/inc.yaml]\n",
            "b.yaml": "include: [inc/inc.yaml]\nservices: {z: {image: z}}\n",
            **inc,
        },
        note="diamond",
    )
    yield Case(files={"compose.yaml": "include: [a.yaml]\n", "a.yaml": "include: [compose.yaml]\n"}, note="circle")
    yield Case(files={"compose.yaml": "include: [compose.yaml]\n"}, note="circle")
    yield Case(
        files={
            "compose.yaml": "include: [a.yaml]\nservices: {app: {image: x, models: [m]}}\n",
            "a.yaml": "models: {m: {}}\n",
        },
        note="checked alone",
    )
    yield Case(
        files={
            "compose.yaml": "include: [a.yaml]\nmodels: {m: {model: a}}\n",
            "a.yaml": "services: {app: {image: x, models: [m]}}\n",
        },
        note="references later",
    )
    yield Case(
        files={
            "compose.yaml": "include: [a.yaml]\nservices: {app: {extends: base}}\n",
            "a.yaml": "services: {base: {image: x}}\n",
        },
        note="no extends of included",
    )
    yield Case(
        files={
            "compose.yaml": "include: [a.yaml]\nservices: {app: {image: x}}\n",
            "a.yaml": "services: {app: {image: x}}\n",
        },
        note="equal services",
    )
    yield Case(
        files={
            "compose.yaml": "include: [a.yaml]\nservices: {app: {image: x, models: [m]}}\n",
            "a.yaml": "services: {app: {image: x, models: [m]}}\nmodels: {m: {model: m}}\n",
        },
        note="list against mapping",
    )
    yield Case(
        files={
            "compose.yaml": "include: [a.yaml]\nservices: {app: {image: x, models: {m: }}}\n",
            "a.yaml": "services: {app: {image: x, models: [m]}}\nmodels: {m: {model: m}}\n",
        },
        note="mapping against list",
    )
    variable = {
        "compose.yaml": f"include: [inc/v.yaml]\n{APP}models: {{llm: {{model: '${{V-unset}}'}}}}\n",
        "inc/v.yaml": "services: {i: {image: y, models: [v]}}\nmodels: {v: {model: '${V-unset}'}}\n",
        "inc/.env": "V=inner\n",
    }
    yield Case(files=variable, note="inner .env")
    yield Case(files={**variable, ".env": "V=outer\n"}, note="outer .env wins")
    yield Case(files=variable, environment={"V": "process"}, note="process wins")
    yield Case(
        files={
            **variable,
            "compose.yaml": f"include: [{{path: inc/v.yaml, env_file: e.env}}]\n{APP}{LLM}",
            "e.env": "V=given\n",
        },
        note="env_file replaces .env",
    )
    yield Case(
        files={**variable, "compose.yaml": f"include: [{{path: inc/v.yaml, project_directory: .}}]\n{APP}{LLM}"},
        note="directory decides .env",
    )
    yield Case(
        files={"compose.yaml": "include: ['${WHERE}/inc.yaml']\n" + APP + LLM, **inc},
        environment={"WHERE": "inc"},
        note="interpolated path",
    )
    yield Case(
        files={
            "compose.yaml": "include: [inc/e.yaml]\n",
            "inc/e.yaml": "services: {i: {extends: {file: o.yaml, service: o}}}\nmodels: {m: {model: a}}\n",
            "inc/o.yaml": "services: {o: {image: x, models: [m]}}\n",
        },
        note="extends inside",
    )
    yield Case(
        files={
            "compose.yaml": "include: [inc/n.yaml]\n",
            "inc/n.yaml": "include: [deep/d.yaml]\n",
            "inc/deep/d.yaml": "services: {i: {image: x, models: [m]}}\nmodels: {m: {model: '${D}'}}\n",
            "inc/deep/.env": "D=deep\n",
        },
        note="nested",
    )
    yield Case(files={"compose.yaml": "include:\n  - inc/inc.yaml\n  - inc/inc.yaml\n", **inc}, note="twice")
