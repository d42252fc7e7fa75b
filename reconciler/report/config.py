"""What `reconcile config` prints: the models and bindings that were read, resolved, as JSON or YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

from drivers.base import ModelSpec
from reconciler.compose.project import Model, Project, Service
from reconciler.report.as_json import Document

V = TypeVar("V")


def config_document(project: Project, specs: Mapping[str, ModelSpec], platforms: Mapping[str, str]) -> Document:
    """The project as data: desired models, and the active services that want one, all variable names filled in.

    `specs` and `platforms` are by model key. A model without a spec shows what its file says, a model without a
    platform has none.
    """
    active = [service for service in project.services.values() if service.active and service.bindings]
    return {
        "name": project.name,
        "models": {key: _model(model, specs.get(key), platforms.get(key)) for key, model in _sorted(project.models)},
        "services": {service.name: {"models": _bindings(service)} for service in sorted(active, key=lambda s: s.name)},
    }


def config_json(project: Project, specs: Mapping[str, ModelSpec], platforms: Mapping[str, str]) -> str:
    return json.dumps(config_document(project, specs, platforms), indent=2) + "\n"


def config_yaml(project: Project, specs: Mapping[str, ModelSpec], platforms: Mapping[str, str]) -> str:
    return "".join(f"{line}\n" for line in _block(config_document(project, specs, platforms)))


def _model(model: Model, spec: ModelSpec | None, platform: str | None) -> Document:
    written = {option.key: option.text for option in model.options}
    return {
        "model": model.model,
        "context_size": model.context_size,
        "runtime_flags": list(model.runtime_flags),
        "options": dict(_sorted(spec.options if spec is not None else written)),
        "platform": platform,
        "source": f"{model.location.file}:{model.location.line}",
    }


def _bindings(service: Service) -> Document:
    by_model = sorted(service.bindings, key=lambda binding: binding.model)
    return {one.model: {"endpoint_var": one.endpoint_var, "model_var": one.model_var} for one in by_model}


def _sorted(values: Mapping[str, V]) -> list[tuple[str, V]]:
    return sorted(values.items())


# PyYAML would leave `1e3`, `0o10` and `1:30` bare, which other readers take for numbers; and it costs start-up time.
_BARE = re.compile(
    r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[A-Za-z][A-Za-z0-9_-]*(?:[./][A-Za-z0-9_-]+)*", re.IGNORECASE
)


def _block(values: Mapping[str, object], indent: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield f"{indent}{_text(key)}:"
            yield from _block(value, f"{indent}  ")
        elif isinstance(value, list) and value:
            yield f"{indent}{_text(key)}:"
            yield from (f"{indent}  - {_scalar(item)}" for item in value)
        else:
            yield f"{indent}{_text(key)}: {_scalar(value)}"


def _scalar(value: object) -> str:
    if isinstance(value, str):
        return _text(value)
    return json.dumps(value)  # null, a number, {} and []


def _text(text: str) -> str:
    if _BARE.fullmatch(text):
        return text
    return re.sub(r"[^\x20-\x7e]", _escape, json.dumps(text, ensure_ascii=False))


def _escape(found: re.Match[str]) -> str:
    """YAML has an escape of eight digits where JSON has a pair of surrogates, which YAML does not know."""
    letter = found[0]
    if letter.isprintable():
        return letter
    return f"\\U{ord(letter):08x}" if ord(letter) > 0xFFFF else f"\\u{ord(letter):04x}"
