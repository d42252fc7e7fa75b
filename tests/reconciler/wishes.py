"""Builders for what is desired, for tests of everything that comes after the file was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.base import ModelSpec
from reconciler.desired import Desired, DesiredModel
from reconciler.errors import InputError
from tests.builders import model_spec, place


def wish(key: str = "llm", spec: ModelSpec | None = None, *, driver: str = "llamacpp", **given: Any) -> DesiredModel:
    """One model that is wanted."""
    return DesiredModel(key=key, spec=spec or model_spec(), driver=driver, location=place(), **given)


def wishes(*models: DesiredModel, refused: Mapping[str, str] | None = None) -> Desired:
    """All that is wanted; `refused` are models whose part of the file is wrong, by key."""
    judged = {model.key: model for model in models}
    for key, text in (refused or {}).items():
        judged[key] = wish(key, problems=(InputError(text, place(), path=f"models.{key}"),))
    return Desired(judged=judged)
