"""A Compose project, as far as models are concerned: what `load` returns.

Every value stands for what real Compose would have read: interpolated, merged, extended, included, pruned by profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from reconciler.errors import Location


class RawOption(NamedTuple):
    """One entry of an `x-cloud-options`, flattened: list, map and nested forms all become `key`, `text`."""

    key: str
    text: str
    location: Location


class Model(NamedTuple):
    """One entry under `models:` (or a legacy `provider: {type: model}` service, read as one)."""

    key: str
    model: str
    context_size: int | None
    """Tokens."""
    runtime_flags: tuple[str, ...]
    options: tuple[RawOption, ...]
    """`x-cloud-options` in the order written; not yet judged (`reconciler.options` does)."""
    location: Location
    """Of the key under `models:`."""
    flag_locations: tuple[Location, ...] = ()
    """One for each runtime flag."""
    context_location: Location | None = None


class Binding(NamedTuple):
    """A service that wants a model, and the names of the variables it wants; always filled in."""

    model: str
    endpoint_var: str
    model_var: str
    location: Location


class Service(NamedTuple):
    """A service, as far as it concerns models. Inactive ones are listed too: an override file must reset them."""

    name: str
    active: bool
    """Selected by the profiles in force."""
    bindings: tuple[Binding, ...]
    network_mode: str | None
    """As written: `host`, `none`, `service:x`, `container:y`, `bridge`; None for the project's networks."""
    extra_hosts: frozenset[str]
    """Host names for which the service already has an entry."""
    location: Location


class Project(NamedTuple):
    """What one set of Compose files says about models."""

    name: str
    working_dir: str
    files: tuple[str, ...]
    """Every file that was read (Compose files, includes, extends, env files): what a watcher must look at."""
    compose_files: tuple[str, ...]
    """The top-level files in order, as `docker compose -f` would need them."""
    models: Mapping[str, Model]
    """Those that at least one active service wants; an unreferenced model is not desired."""
    unused_models: Mapping[str, Model]
    """Declared, wanted by no active service."""
    services: Mapping[str, Service]
    defaults: tuple[RawOption, ...]
    """Top-level `x-cloud-options`: defaults for every model."""
    warnings: tuple[str, ...]
    """For people; each begins with its place."""
    providers: frozenset[str] = frozenset()
    """Legacy `provider: {type: model}` services. Each is also a model of the same key, bound by every service that
    depends on it; an override file must remove the service and those dependencies."""
