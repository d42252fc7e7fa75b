"""The composition root: settings in, an engine out. The only module that knows which class serves which port."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from drivers.base import Capabilities, Driver, Finding, ModelSpec
from drivers.manifest import honoured, is_inert
from drivers.registry import absence, assumed_capabilities, outside_names
from reconciler.clock import SystemClock
from reconciler.compose.load import LoadRequest
from reconciler.desired import DesiredSettings
from reconciler.moment import Rules
from reconciler.reading import Reader, Reads
from reconciler.settings import ProjectSettings, Settings
from reconciler.source import Snapshot

if TYPE_CHECKING:
    from drivers.aws.clients import Clients
    from drivers.aws.settings import AwsSettings
    from drivers.llamacpp.settings import LlamaCppSettings
    from drivers.modelstore.store import ModelStore
    from reconciler.compose.project import Project
    from reconciler.engine import Engine
    from reconciler.inbox import Inbox
    from reconciler.manner import Manner
    from reconciler.publish import Places
    from state.store import Store


AWS = "aws-"
"""How the names of AWS's platforms begin."""


def holder() -> str:
    """Who holds a lease, for people: host and process."""
    return f"{os.uname().nodename}:{os.getpid()}"


def inbox_for(settings: Settings, store: Store) -> Inbox | None:
    """Where requests for a project wait that somebody else holds; None for a state that nobody else can see."""
    from reconciler.inbox import Inbox
    from state.open import state_path
    from state.place import Place

    if settings.state == "memory:":
        return None
    return Inbox(Place(state_path(settings.state).absolute()), store, SystemClock().now)


class Drivers:
    """The drivers of this installation, each made once, when it is first asked for by any thread. Call it with a
    platform's name."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self._settings, self._environment = settings, environment
        self._made: dict[str, Driver] = {}
        self._making = Lock()

    def __call__(self, name: str) -> Driver:
        """Raises drivers.errors.Rejected for a platform that has no driver here."""
        with self._making:
            if name not in self._made:
                self._made[name] = self._make(name)
            return self._made[name]

    @cached_property
    def models(self) -> ModelStore:
        """The model files of this host."""
        from drivers.modelstore.store import ModelStore

        return ModelStore(
            self._settings.models_dir,
            models_roots=self._settings.local.models_roots,
            insecure_registries=self._settings.local.insecure_registries,
        )

    @cached_property
    def aws(self) -> Clients:
        """The clients of AWS, shared by its platforms."""
        from drivers.aws.clients import Clients

        return Clients(aws_settings(self._settings))

    def _make(self, name: str) -> Driver:
        from drivers import registry

        if name == "llamacpp":
            local = llamacpp_settings(self._settings, self._environment)
            return registry.create(name, settings=local, models=self.models)
        if name.startswith(AWS):
            return registry.create(
                name, settings=aws_settings(self._settings), clients=self.aws, clock=SystemClock().now
            )
        return registry.create(name, settings={}, clock=SystemClock().now)


class RuleBook(Mapping[str, Rules]):
    """What the decision table must know of each platform, found out when first asked; imports no SDK.

    It lists the platforms that this host is set up for: those are swept now and then for what nobody remembers. Any
    other one is asked as soon as a file or the record names it.
    """

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self._settings, self._environment = settings, environment
        self._rules: dict[str, Rules] = {}

    def __getitem__(self, name: str) -> Rules:
        if name not in self._rules:
            self._rules[name] = self._find(name)
        return self._rules[name]

    def __iter__(self) -> Iterator[str]:
        from drivers.registry import names

        return (name for name in names() if not name.startswith(AWS) or self._has_aws)

    @cached_property
    def _has_aws(self) -> bool:
        from drivers.aws.settings import has_credentials

        return self._settings.aws is not None or has_credentials(self._environment)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _find(self, name: str) -> Rules:
        timing, missing = self._settings.timing, absence(name)
        capabilities = assumed_capabilities(name) if missing else _capabilities(name)
        local = capabilities.local
        if not local and capabilities.settle_s > timing.cloud_settle_s:
            capabilities = replace(capabilities, settle_s=timing.cloud_settle_s)
        return Rules(
            capabilities=capabilities,
            inert=lru_cache(maxsize=None)(lambda key: is_inert(key, name, honoured(name))),
            bake_s=timing.local_bake_s if local else timing.cloud_bake_s,
            removal_grace_s=timing.local_removal_grace_s if local else timing.cloud_removal_grace_s,
        )


def _capabilities(name: str) -> Capabilities:
    from drivers.registry import constructor

    found: Capabilities = constructor(name).capabilities  # type: ignore[attr-defined]
    return found


def desired_settings(settings: Settings, environment: Mapping[str, str]) -> DesiredSettings:
    """The part of the settings that says how a project is read."""
    return DesiredSettings(
        default_platform=settings.default_platform,
        provider_defaults=settings.provider_platforms,
        options=settings.default_options,
        allow_unknown_options=settings.allow_unknown_options,
        extra_platforms=outside_names,
        check=partial(_check, settings, llamacpp_settings(settings, environment)),
    )


def _check(settings: Settings, local: LlamaCppSettings, spec: ModelSpec, platform: str) -> tuple[Finding, ...] | None:
    """What the driver says of a spec before any create, without its SDK; None where only its manifest can speak."""
    if platform == "llamacpp":
        from drivers.llamacpp import options

        return options.check(spec, local)
    if platform.startswith(AWS) and not absence(platform):
        from drivers.aws.check import check

        return check(spec, platform, aws_settings(settings))
    return None


def aws_settings(settings: Settings) -> AwsSettings:
    """The operator's settings of AWS, or what holds where there are none; with the defaults that a driver sees, too."""
    from drivers import catalog
    from drivers.aws.settings import AwsSettings

    found = settings.aws or AwsSettings(key_root=settings.state_dir / "aws")
    shape = catalog.platforms().regions["aws"]
    # Where files may put something is where somebody has to look for it.
    allowed = (each for each in settings.policy.allowed_regions if re.fullmatch(shape, each))
    return replace(
        found,
        regions=tuple(dict.fromkeys((*found.regions, *allowed))),
        substitute=settings.default_options.get("cloud.substitute", found.substitute),
    )


def llamacpp_settings(settings: Settings, environment: Mapping[str, str]) -> LlamaCppSettings:
    """What the local driver gets from the operator's settings."""
    from drivers.llamacpp.settings import LlamaCppSettings

    local = settings.local
    return LlamaCppSettings(
        run_root=settings.run_dir,
        server=local.server,
        bind=local.bind,
        public=local.public,
        environment=environment,
        health_timeout_s=local.health_timeout_s,
        answer_timeout_s=local.answer_timeout_s,
        server_environment=local.environment,
    )


def service_reader(project: ProjectSettings, settings: Settings, environment: Mapping[str, str]) -> Reader:
    """The reader of a checkout that the service follows: commits, and only the variables that were allowed by name."""
    from reconciler.source.git import GitSource
    from reconciler.source.worktree import WorktreeSource

    allowed = {name: environment[name] for name in settings.allow_variables if name in environment}

    def request(snapshot: Snapshot) -> LoadRequest:
        return LoadRequest(
            files=project.files,
            cwd=snapshot.root,
            project_name=project.name,
            profiles=project.profiles,
            env_files=project.env_files,
            environment=allowed,
            allow_variables=settings.allow_variables,
        )

    if project.source == "worktree":
        root = project.checkout / project.subfolder
        tree = WorktreeSource(root, project.files, named=project.env_files, stable=True)
        return Reader(tree, request, desired_settings(settings, environment))

    def at(ref: str) -> GitSource:
        return GitSource(str(project.checkout), ref, project.subfolder, trust_owner=project.trust_owner)

    git = at(project.ref)
    follows = None if project.allow_rewrite else git.is_descendant
    return Reader(git, request, desired_settings(settings, environment), follows=follows, at=at)


def build_engine(
    *,
    settings: Settings,
    reader: Reads,
    store: Store,
    places: Callable[[Project], Places],
    manner: Manner,
    drivers: Drivers,
    launch: LaunchWords,
) -> Engine:
    """An engine with the production ports. `places` says where a project's files go."""
    from reconciler.engine import Engine
    from reconciler.pool import ThreadPool
    from reconciler.ports import Ports
    from reconciler.publish import FileOutputs
    from reconciler.services import ComposeServices, Launch

    def services(project: Project) -> ComposeServices:
        override = places(project).override
        return ComposeServices(
            Launch(override=override, env_files=launch.env_files, profiles=launch.profiles),
            launch.environment,
            committed=reader.committed,
        )

    ports = Ports(
        drivers=drivers,
        outputs=lambda project: FileOutputs(places(project)),
        services=services,
        clock=SystemClock(),
        pool=ThreadPool(),
        random_bytes=os.urandom,
    )
    if any(name.startswith("CMR_") for name in launch.environment):  # else nobody asks, and nobody pays for it
        from reconciler.crashpoints import around

        store, ports = around(launch.environment, store, ports)
    return Engine(reader, store, ports, manner)


class LaunchWords(NamedTuple):
    """What the user's own docker compose command would name besides the files."""

    environment: Mapping[str, str]
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()


def places_for(settings: Settings, project: Project, override: Path | None) -> Places:
    """Where the files of a project go. `override` is a file or a folder; None is the service's own folder."""
    from reconciler.publish import OVERRIDE_NAME, Places

    values = settings.values_dir(project.name)
    # By its name alone: a folder that stands in the file's place for a while must not become the place.
    if override is not None and override.suffix not in (".yaml", ".yml"):
        override = override / OVERRIDE_NAME
    return Places(override=(override or values / OVERRIDE_NAME).absolute(), values=values.absolute())


def beside_compose(project: Project) -> Path | None:
    """The folder of the first Compose file, where the one-shot command puts the override file."""
    return Path(project.compose_files[0]).parent if project.compose_files else Path(project.working_dir)
