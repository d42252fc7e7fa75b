"""What Compose accepts and refuses about the shape of models, services and the rest."""

# ruff: noqa: E501 - a project is easier to read in one line

from __future__ import annotations

from collections.abc import Iterator

from tests.compose.cases.builders import LLM, listed, model, one
from tests.compose.oracle import Case


def cases() -> Iterator[Case]:
    bodies = """
    null | [] | text | {} | {model: a} | {model: null} | {model: 12} | {model: [a]} | {model: 2024-01-01}
    {model: a, provider: x} | {model: a, foo: 1, provider: x} | {model: a, x-foo: {deep: [1]}} | {model: a, name: n}
    {model: a, name: 1} | {model: a, context_size: true} | {model: a, context_size: null} | {model: a, context_size: '5'}
    {model: a, runtime_flags: x} | {model: a, runtime_flags: [1]} | {model: a, runtime_flags: []} | {name: n}
    {model: a, runtime_flags: null} | {model: a, runtime_flags: [a, a]} | {model: a, runtime_flags: ['', a]}
    {model: a, runtime_flags: [[a]]} | {model: a, runtime_flags: {a: b}} | {model: a, x-cloud-options: null}
    {model: a, x-cloud-options: []} | {model: a, x-cloud-options: {}} | {model: a, x-cloud-options: [k=v=w, bare]}
    {model: a, x-cloud-options: {cloud: {region: x, zones: [a, b]}, flat.key: 1}} | {Model: a} | {modle: a}
    """
    for body in listed(bodies):
        yield one("model", model(body))
    bindings = """
    [] | {} | null | llm | 12 | [llm, llm] | [1] | [null] | {llm: null} | {llm: {}} | {llm: x} | {llm: []} | [other]
    {llm: {endpoint_var: A}} | {llm: {model_var: M}} | {llm: {endpoint_var: A, model_var: M}} | {llm: {url_var: A}}
    {llm: {endpoint_var: 1}} | {llm: {endpoint_var: null}} | {llm: {endpoint_var: ''}} | {llm: {x-a: 1}} | {other: {}}
    {llm: {endpoint_var: SAME, model_var: SAME}}
    """
    for body in listed(bindings):
        yield one("binding", f"services:\n  app:\n    image: x\n    models: {body}\n{LLM}")
    for top in ("models: []", "models:", "models: x", "models: {}", "modles: {}", "x-models: 1", "version: '3'"):
        yield one("top level", f"services:\n  app: {{image: x}}\n{top}\n")
    for top in ("version: 3", "name: 12", "name: [a]", "services:", "services: []", "networks: []", "volumes: {a: 1}"):
        yield one("top level", f"{top}\n" if "services" in top else f"services:\n  app: {{image: x}}\n{top}\n")
    services = """
    {} | null | [] | x | {image: ''} | {image: 1} | {image: null} | {build: .} | {build: {context: .}} | {build: []}
    {image: x, imgae: y} | {image: x, x-foo: 1} | {image: x, command: 1} | {image: x, command: [a]} | {image: x, tty: 1}
    {image: x, ports: '80'} | {image: x, environment: [A=1]} | {image: x, environment: {A: [1]}} | {provider: {}}
    {provider: {type: other}} | {provider: {type: other, options: {a: [1, true, x]}}} | {provider: {type: o, foo: 1}}
    {provider: {type: 1}} | {provider: {type: o, options: {a: {b: c}}}} | {image: x, depends_on: [nobody]}
    {image: x, depends_on: {nobody: {condition: service_started}}} | {image: x, depends_on: {app: {}}}
    {image: x, depends_on: {nobody: {condition: service_started, required: false}}} | {image: x, depends_on: [app]}
    {image: x, networks: [lost]} | {image: x, networks: [default]} | {image: x, network_mode: host}
    {image: x, network_mode: host, networks: [default]} | {image: x, network_mode: 'service:lost'} | {image: x, links: [lost]}
    {image: x, volumes: ['data:/d']} | {image: x, volumes: ['./data:/d']} | {image: x, volumes: ['/d']}
    {image: x, volumes: [{type: volume, source: lost, target: /t}]} | {image: x, secrets: [lost]} | {image: x, configs: [lost]}
    {image: x, profiles: [a, a]} | {image: x, profiles: a} | {image: x, extra_hosts: ['a:1.1.1.1']} | {image: x, pid: host}
    {image: x, extra_hosts: {a: 1.1.1.1}} | {image: x, extra_hosts: [1]} | {image: x, healthcheck: {disable: true}}
    {image: x, depends_on: {other: {condition: maybe}}} | {image: x, depends_on: [other, other]} | {image: x, extends: 1}
    """
    for body in listed(services):
        yield one("service", f"services:\n  app: {body}\n  other: {{image: y}}\n")
    yield one("circle", "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}\n")
    yield one("name", "services:\n  'a b': {image: x}\n")
    yield one("names", "services:\n  my.app-1_X: {image: x, models: [My.Model-x]}\nmodels: {My.Model-x: {model: a}}\n")
    yield one(
        "defined",
        "services:\n  a: {image: x, volumes: ['data:/d'], networks: [n]}\nvolumes: {data: }\nnetworks: {n: }\n",
    )
