"""What mutations begin with: all that the tests of the reader know, the examples, and projects made of options."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module

from tests import parts
from tests.compose.bad_texts import BAD
from tests.compose.cases.builders import APP
from tests.compose.generate import project
from tests.compose.test_differential import GROUPS
from tests.fuzz.inputs import Input
from tests.fuzz.path import follow

_GENERATED = 200
_LARGEST = 3000
"""Bytes. Larger ones would take the time of many small ones; mutations make some inputs large again."""

_CLOUD = (
    "[cloud.region=us-east-1, cloud.instance-type=g5.xlarge]",
    "{cloud: {platform: aws-ec2, region: [us-east-1, eu-west-1], spot: prefer, replicas: 1..3, disk-size: 100GB}}",
    "{cloud.platform: gcp-vertex, cloud.region: europe-west4, cloud.accelerator: 'l4:1', cloud.tags: 'a=b,c=d'}",
    "[cloud.platform=llamacpp, llamacpp.gpu-layers=all, llamacpp.mlock, cloud.replicas=2, cloud.idle-timeout=10m]",
    "[cloud.platform=aws-sagemaker, cloud.schedule=up@0 8 * * 1-5; down@0 20 * * *; Europe/Berlin, cloud.budget=100]",
    "{cloud.model-source: 'hf://org/name', cloud.model-revision: abc, cloud.memory: 4GB..8GB, cloud.health-prompt: hi}",
    "[cloud.protect, cloud.visibility=public, cloud.auth=api-key, cloud.api-key-var=MY_KEY, cloud.ttl=2d]",
    "{cloud: {provider: aws, serving: managed, inference-profile: eu, throughput: 'provisioned:2'}, aws: {x: y}}",
)
_FLAGS = ("[--top-k, '4']", "[--temp=0.5, -fa, '--chat-template-kwargs', '{}']", "['--threads 4', --no-warmup]")


@lru_cache(maxsize=1)
def corpus() -> tuple[Input, ...]:
    """Always in the same order; made once, before there are several processes."""
    return tuple(given for given in _all() if 0 < given.size <= _LARGEST)


@lru_cache(maxsize=1)
def sound() -> tuple[Input, ...]:
    """Those that are accepted: a small change to one of them reaches farthest."""
    return tuple(given for given in corpus() if not follow(given))


def _all() -> Iterator[Input]:
    for group in GROUPS:
        for case in import_module(f"tests.compose.cases.{group}").cases():
            yield _input(case.files, case.options, case.environment)
    for seed in range(_GENERATED):
        case = project(seed)
        yield _input(case.files, case.options, case.environment)
    for text, _ in BAD.values():
        yield _input({"compose.yaml": text})
    for path in sorted((parts.CHECKOUT / "examples").glob("*/compose.yaml")):
        yield _input({"compose.yaml": path.read_bytes()})
    yield from _with_options()


def _with_options() -> Iterator[Input]:
    """Several of each: what comes after the reader is only reached by what is nearly right."""
    for options in _CLOUD:
        for flags in _FLAGS:
            model = f"{{model: ai/smollm2, context_size: 4096, runtime_flags: {flags}, x-cloud-options: {options}}}"
            yield _input({"compose.yaml": f"{APP}models:\n  llm: {model}\n"})
        text = f"x-cloud-options: {options}\n{APP}models:\n  llm:\n    model: 'hf.co/org/name:${{QUANT:-q4_k_m}}'\n"
        yield _input({"compose.yaml": text, ".env": "QUANT=Q8_0\nREGION='us-east-1' # here\nexport A=${QUANT}\n"})


def _input(files: object, options: object = None, environment: object = None) -> Input:
    assert isinstance(files, dict)
    encoded = {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}
    return Input(encoded, dict(options or {}), dict(environment or {}))  # type: ignore[call-overload]
