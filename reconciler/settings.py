"""The operator's configuration: `reconciler.yaml`. It is never read from the repository that is being reconciled.

Everything has a default; `reconcile` without a configuration file uses the defaults alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from reconciler.policy import Policy

if TYPE_CHECKING:
    from reconciler.sections import Section

NAME = "compose-model-reconciler"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSettings:
    """One project that the service reconciles."""

    checkout: Path
    name: str | None = None
    """None leaves the name to the Compose file."""
    source: str = "commit"
    """`commit` reads git objects, `worktree` the files as they lie."""
    ref: str = "HEAD"
    subfolder: str = ""
    files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    output: Path | None = None
    """Where the override file goes; None puts it into the service's own folder."""
    roll_out: bool = False
    """Restart the services whose values changed."""
    allow_rewrite: bool = False
    """Follow a branch whose history was rewritten."""
    trust_owner: bool = False
    """Read a repository that belongs to another user, as one mounted into a container does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """The llama.cpp driver on this host."""

    server: Path | None = None
    bind: str = "auto"
    """An address, or `auto`: the Docker bridge's where there is one, otherwise loopback."""
    models_roots: tuple[Path, ...] = ()
    """Folders from which a `file:` reference may be served."""
    insecure_registries: tuple[str, ...] = ()
    """Registries spoken to without TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The operator's patience, in seconds."""

    poll_interval_s: float = 30.0
    local_bake_s: float = 5.0
    cloud_bake_s: float = 120.0
    local_removal_grace_s: float = 30.0
    cloud_removal_grace_s: float = 600.0
    lease_ttl_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of it."""

    state: str
    """A store's URL."""
    state_dir: Path
    """Run folders, values and logs of this host; mode 0700."""
    models_dir: Path
    projects: tuple[ProjectSettings, ...] = ()
    default_platform: str | None = None
    provider_platforms: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """`aws: aws-ec2`: what a provider means where the file names no platform."""
    default_options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """`x-cloud-options` for every model that does not say otherwise."""
    allow_unknown_options: bool = False
    allow_variables: frozenset[str] = frozenset()
    """Variables of our own environment that a file may use although their names look like secrets."""
    policy: Policy = field(default_factory=Policy)
    local: LocalSettings = field(default_factory=LocalSettings)
    timing: Timing = field(default_factory=Timing)

    @property
    def run_dir(self) -> Path:
        return self.state_dir / "llamacpp"

    def values_dir(self, project: str) -> Path:
        return self.state_dir / "projects" / project


def default_settings(environment: Mapping[str, str]) -> Settings:
    """Where everything lies when nobody says otherwise, by the XDG base directories."""
    home = Path(environment.get("HOME") or os.path.expanduser("~"))
    state = Path(environment.get("XDG_STATE_HOME") or home / ".local" / "state") / NAME
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share") / NAME
    return Settings(
        state=environment.get("RECONCILE_STATE") or f"sqlite://{state / 'state.db'}",
        state_dir=state,
        models_dir=Path(environment.get("RECONCILE_MODELS") or data / "models"),
    )


def read_settings(path: Path, data: bytes, environment: Mapping[str, str]) -> Settings:
    """The settings that a file asks for. Relative paths are relative to the file. Raises InputError with the place."""
    from reconciler.compose.reader import read_documents
    from reconciler.sections import Section

    documents = read_documents(data, str(path))
    root = Section(documents[0].root if documents else None)
    base, defaults = path.resolve().parent, default_settings(environment)
    state_dir = _path(root.text("state_dir"), base) or defaults.state_dir
    state = root.text("state")
    result = Settings(
        state=state or (f"sqlite://{state_dir / 'state.db'}" if state_dir != defaults.state_dir else defaults.state),
        state_dir=state_dir,
        models_dir=_path(root.text("models_dir"), base) or defaults.models_dir,
        default_platform=root.text("default_platform"),
        provider_platforms=MappingProxyType(root.mapping("provider_platforms")),
        default_options=MappingProxyType(root.mapping("default_options")),
        allow_unknown_options=root.boolean("allow_unknown_options", False),
        allow_variables=frozenset(root.texts("allow_variables")),
        policy=_policy(root.section("policy")),
        local=_local(root.section("llamacpp"), base),
        timing=_timing(root.section("timing")),
        projects=tuple(_project(section, base) for section in root.sections("projects")),
    )
    root.end()
    return result


def _project(section: Section, base: Path) -> ProjectSettings:
    checkout = _path(section.text("checkout"), base)
    if checkout is None:
        raise section.wrong("a project needs its 'checkout': the folder of the git repository")
    source = section.text("source") or "commit"
    if source not in ("commit", "worktree"):
        raise section.wrong("must be 'commit' or 'worktree'", "source")
    result = ProjectSettings(
        checkout=checkout,
        source=source,
        name=section.text("name"),
        ref=section.text("ref") or "HEAD",
        subfolder=section.text("subfolder") or "",
        files=section.texts("files"),
        profiles=section.texts("profiles"),
        env_files=section.texts("env_files"),
        output=_path(section.text("output"), base),
        roll_out=section.boolean("roll_out", False),
        allow_rewrite=section.boolean("allow_rewrite", False),
        trust_owner=section.boolean("trust_owner", False),
    )
    section.end()
    return result


def _policy(section: Section) -> Policy:
    standard = Policy()
    most = section.integer("max_models", -1)
    result = Policy(
        allowed_platforms=section.texts("allowed_platforms"),
        allowed_regions=section.texts("allowed_regions"),
        allowed_instance_types=section.texts("allowed_instance_types"),
        allowed_registries=section.texts("allowed_registries"),
        max_models=most if most >= 0 else None,
        max_removals=section.integer("max_removals", standard.max_removals),
        max_removed_fraction=section.number("max_removed_fraction", standard.max_removed_fraction),
        allow_empty=section.boolean("allow_empty", standard.allow_empty),
    )
    section.end()
    return result


def _local(section: Section, base: Path) -> LocalSettings:
    result = LocalSettings(
        server=_path(section.text("server"), base),
        bind=section.text("bind") or "auto",
        models_roots=tuple(base / root for root in section.texts("models_roots")),
        insecure_registries=section.texts("insecure_registries"),
    )
    section.end()
    return result


def _timing(section: Section) -> Timing:
    standard = Timing()
    result = Timing(
        poll_interval_s=section.seconds("poll_interval", standard.poll_interval_s),
        local_bake_s=section.seconds("local_bake", standard.local_bake_s),
        cloud_bake_s=section.seconds("cloud_bake", standard.cloud_bake_s),
        local_removal_grace_s=section.seconds("local_removal_grace", standard.local_removal_grace_s),
        cloud_removal_grace_s=section.seconds("cloud_removal_grace", standard.cloud_removal_grace_s),
        lease_ttl_s=section.seconds("lease_ttl", standard.lease_ttl_s),
    )
    section.end()
    return result


def _path(text: str | None, base: Path) -> Path | None:
    return None if text is None else base / Path(text).expanduser()
