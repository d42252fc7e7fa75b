"""The operator's configuration: `reconciler.yaml`. It is never read from the repository that is being reconciled.

Everything has a default; `reconcile` without a configuration file uses the defaults alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from reconciler.platform_settings import LocalSettings, aws_settings, local_settings
from reconciler.policy import Policy
from reconciler.sweep import AGAIN_S, EVERY_S, GRACE_S

if TYPE_CHECKING:
    from drivers.aws.settings import AwsSettings
    from reconciler.sections import Section

NAME = "compose-model-reconciler"
MIN_LEASE_TTL_S = 45
"""Seconds. A call may take 30 s and must end within the lease; a quarter of it may have passed before it is renewed."""


class ProjectSettings(NamedTuple):
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


class Timing(NamedTuple):
    """The operator's patience, in seconds."""

    poll_interval_s: float = 30.0
    local_bake_s: float = 5.0
    cloud_bake_s: float = 120.0
    local_removal_grace_s: float = 30.0
    cloud_removal_grace_s: float = 600.0
    cloud_settle_s: float = 600.0
    """At most so long a call that a cloud was sent counts as one that may still take effect."""
    lease_ttl_s: float = 60.0
    sweep_interval_s: float = EVERY_S
    """How often every platform is asked what it has of ours."""
    sweep_grace_s: float = GRACE_S
    """For how long something that came back after it was forgotten is left alone."""


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
    aws: AwsSettings | None = None
    """None where the operator says nothing of AWS; `wiring` has what holds then."""
    timing: Timing = field(default_factory=Timing)

    @property
    def run_dir(self) -> Path:
        return self.state_dir / "llamacpp"

    def values_dir(self, project: str) -> Path:
        return self.state_dir / "projects" / project


def default_settings(environment: Mapping[str, str]) -> Settings:
    """Where everything lies when nobody says otherwise, by the XDG base directories."""
    state = _xdg(environment, "XDG_STATE_HOME", ".local/state") / NAME
    data = _xdg(environment, "XDG_DATA_HOME", ".local/share") / NAME
    return Settings(
        state=environment.get("RECONCILE_STATE") or f"sqlite://{state / 'state.db'}",
        state_dir=state,
        models_dir=Path(environment.get("RECONCILE_MODELS") or data / "models").absolute(),
    )


def config_folder(environment: Mapping[str, str]) -> Path:
    """Where settings are looked for when nobody names them."""
    return _xdg(environment, "XDG_CONFIG_HOME", ".config") / NAME


def _xdg(environment: Mapping[str, str], variable: str, otherwise: str) -> Path:
    """A base directory; a relative one in the variable is to be ignored, says the specification."""
    given = Path(environment.get(variable, ""))
    home = Path(environment.get("HOME") or os.path.expanduser("~"))
    return given if given.is_absolute() else (home / otherwise).absolute()


def read_settings(path: Path, data: bytes, environment: Mapping[str, str]) -> Settings:
    """The settings that a file asks for. Relative paths are relative to the file. Raises InputError with the place."""
    from reconciler.compose.nodes import fail
    from reconciler.compose.reader import read_documents
    from reconciler.sections import Section

    documents = read_documents(data, str(path))
    if len(documents) > 1:
        raise fail("settings are one document; everything behind '---' would be overlooked", documents[1].root)
    root = Section(documents[0].root if documents else None, file=str(path))
    base, defaults = path.resolve().parent, default_settings(environment)
    state_dir = root.path("state_dir", base) or defaults.state_dir
    result = Settings(
        state=_state(root, base) or environment.get("RECONCILE_STATE") or f"sqlite://{state_dir / 'state.db'}",
        state_dir=state_dir,
        models_dir=root.path("models_dir", base) or defaults.models_dir,
        default_platform=_default_platform(root),
        provider_platforms=_provider_platforms(root),
        default_options=MappingProxyType(root.mapping("default_options")),
        allow_unknown_options=root.boolean("allow_unknown_options", False),
        allow_variables=frozenset(root.texts("allow_variables")),
        policy=_policy(root.section("policy")),
        local=local_settings(root.section("llamacpp"), base),
        aws=aws_settings(root.section("aws"), state_dir),
        timing=_timing(root.section("timing")),
        projects=_projects(root, base),
    )
    root.end()
    return result


def _default_platform(root: Section) -> str | None:
    name = root.text("default_platform")
    return None if name is None else _known_platform(name, root, "default_platform")


def _provider_platforms(root: Section) -> Mapping[str, str]:
    given = root.mapping("provider_platforms")
    return MappingProxyType({each: _known_platform(given[each], root, f"provider_platforms.{each}") for each in given})


def _known_platform(name: str, section: Section, key: str) -> str:
    """The name itself. A misspelt one would refuse every model, on every commit, and look like a policy."""
    from drivers.registry import is_available, names
    from reconciler.options import nearest

    if name not in names() and not is_available(name):
        hint = nearest(name, names())
        more = f"did you mean '{hint}'?" if hint else f"there are {', '.join(names())}"
        raise section.wrong(f"there is no platform '{name}' ({more})", key)
    return name


def _state(root: Section, base: Path) -> str | None:
    """The store's URL; a relative path in it is relative to the settings, like every other."""
    written = root.text("state")
    if written is None:
        return None
    scheme, colon, rest = written.partition(":")
    if written == "memory:" or rest.startswith("/") or (colon and scheme != "sqlite"):
        return written
    return f"sqlite://{base / Path(rest if colon else written).expanduser()}"


def _projects(root: Section, base: Path) -> tuple[ProjectSettings, ...]:
    found: dict[tuple[object, ...], ProjectSettings] = {}
    for section in root.sections("projects"):
        project = _project(section, base)
        same = (project.checkout, project.subfolder, project.ref, project.files, project.name)
        if same in found:
            raise section.wrong("the same project twice; give one of them another name, ref, subfolder or files")
        found[same] = project
    return tuple(found.values())


def _project(section: Section, base: Path) -> ProjectSettings:
    checkout = section.path("checkout", base)
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
        output=section.path("output", base),
        roll_out=section.boolean("roll_out", False),
        allow_rewrite=section.boolean("allow_rewrite", False),
        trust_owner=section.boolean("trust_owner", False),
    )
    section.end()
    return result


def _policy(section: Section) -> Policy:
    standard = Policy()
    most = section.integer("max_models", None)
    result = Policy(
        allowed_platforms=tuple(
            _known_platform(name, section, "allowed_platforms") for name in section.texts("allowed_platforms")
        ),
        allowed_regions=section.texts("allowed_regions"),
        allowed_instance_types=section.texts("allowed_instance_types"),
        allowed_registries=section.texts("allowed_registries"),
        max_models=most,
        max_removals=section.integer("max_removals", standard.max_removals),
        max_removed_fraction=section.number("max_removed_fraction", standard.max_removed_fraction, most=1.0),
        allow_empty=section.boolean("allow_empty", standard.allow_empty),
    )
    section.end()
    return result


def _timing(section: Section) -> Timing:
    standard = Timing()
    result = Timing(
        poll_interval_s=section.seconds("poll_interval", standard.poll_interval_s, least=1),
        local_bake_s=section.seconds("local_bake", standard.local_bake_s),
        cloud_bake_s=section.seconds("cloud_bake", standard.cloud_bake_s),
        local_removal_grace_s=section.seconds("local_removal_grace", standard.local_removal_grace_s),
        cloud_removal_grace_s=section.seconds("cloud_removal_grace", standard.cloud_removal_grace_s),
        cloud_settle_s=section.seconds("cloud_settle", standard.cloud_settle_s),
        lease_ttl_s=section.seconds("lease_ttl", standard.lease_ttl_s, least=MIN_LEASE_TTL_S),
        sweep_interval_s=section.seconds("sweep_interval", standard.sweep_interval_s, least=AGAIN_S),
        sweep_grace_s=section.seconds("sweep_grace", standard.sweep_grace_s),
    )
    section.end()
    return result
