"""A project as the file has it → what is desired: per model a spec, a platform, and what becomes of every option.

One bad model hurts only itself: what is wrong with it is collected with its place, and the others go on. The digest of
a spec is over what the user wrote (the model's own words and the project's defaults), never over our defaults or the
tool's settings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, NamedTuple

from drivers import catalog
from drivers.base import Finding, Handling, ModelSpec
from drivers.identity import Candidate, Identity, Match
from drivers.modelstore.reference import Reference
from reconciler.compose.project import Model, Project, RawOption
from reconciler.errors import InputError, Location
from reconciler.lookup import Check, Lookup
from reconciler.options import (
    ACCELERATOR_KEYS,
    KEEPERS,
    NO_OPTIONS,
    Level,
    Options,
    Platforms,
    conflicts,
    fitting,
    keeps,
    overlay,
    read_options,
)
from reconciler.placement import Placement, PlacementDefaults, Unplaceable
from reconciler.render.grammar import is_fit, shown

_UNFIT = (
    "model reference {} is handed to services in a variable, which takes no blank, quote or other character that means "
    "something to a shell; give the file another name or a link"
)


class DesiredSettings(NamedTuple):
    """What the operator's settings and the command line say about reading a project."""

    default_platform: str | None = None
    """Where a model goes of which nobody said anything, and which of several remaining platforms is taken."""
    provider_defaults: Mapping[str, str] = MappingProxyType({})
    """Provider to the platform taken when only the provider is known; over the catalogue's own."""
    options: Mapping[str, str] = MappingProxyType({})
    """Defaults for keys that the reconciler itself honours; farther away than what any file says."""
    options_file: str = "settings"
    """Where those were written, for messages."""
    allow_unknown_options: bool = False
    extra_platforms: Platforms = tuple
    """Names of installed drivers beyond the catalogue; finding them out is dear, so it is asked only when needed."""
    check: Check = lambda spec, platform: None
    """The drivers' own `check`, by platform name; None leaves the findings to the catalogue. Must be pure."""
    sizes: Mapping[str, Any] = MappingProxyType({})
    """Parsed user data over catalog/sizes.yaml."""
    models: Mapping[str, Any] = MappingProxyType({})
    """Parsed user data over catalog/models.yaml."""


class DesiredModel(NamedTuple):
    """One model: what was written, where it goes, and what becomes of every part of it."""

    key: str
    spec: ModelSpec
    driver: str
    """The platform's name; empty where the options name none."""
    location: Location
    findings: tuple[Finding, ...] = ()
    resolution: tuple[str, ...] = ()
    """How platform, size and model were arrived at, one step each."""
    absence: str = ""
    """Why this installation cannot deploy to that platform; empty where it can."""
    instance_types: tuple[str, ...] = ()
    """Native types, best first; empty where the platform has none or chooses itself."""
    options: Options = NO_OPTIONS
    """All levels, typed; the spec has only what the Compose files say."""
    identity: Identity | None = None
    candidate: Candidate | None = None
    """What would be served; None where the model is refused."""
    registry: str = ""
    """Host the reference points to; empty for a file."""
    option_locations: Mapping[str, Location] = MappingProxyType({})
    problems: tuple[InputError, ...] = ()

    @property
    def protected(self) -> bool:
        """`cloud.protect`, or `cloud.deletion-policy=retain`: it stays when the file does not have it any more."""
        return any(keeps(self.options[key]) for key in KEEPERS if key in self.options)

    @property
    def schedule(self) -> str:
        """`cloud.schedule`: when it is up and when it is down; empty where it is always up, as on a platform where that
        has no meaning because nothing is paid for the time."""
        option = self.options.get("cloud.schedule")
        entry = catalog.vocabulary().keys["cloud.schedule"]
        means = entry.handling.get(self.driver) is not Handling.IGNORED
        return option.text if option is not None and option.value is not None and means else ""

    @property
    def strategy(self) -> str:
        """`cloud.update-strategy`: how what changed replaces what runs; empty where nobody said."""
        option = self.options.get("cloud.update-strategy")
        return option.text if option is not None else ""

    @property
    def suspended(self) -> bool:
        """`cloud.suspend`: it stays as it is, and nothing is begun."""
        option = self.options.get("cloud.suspend")
        return option is not None and option.value is True

    @property
    def refused(self) -> str:
        """Why nothing is done about it; empty for a model that is fine."""
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        return f"{self.problems[0].message}{more}" if self.problems else ""


@dataclass(frozen=True, kw_only=True)
class Desired:
    """Everything that a project asks for."""

    judged: Mapping[str, DesiredModel]
    """Every model that is wanted, in the file's order, the refused ones among them."""
    project_problems: tuple[InputError, ...] = ()
    """What is wrong with the project's defaults or the tool's settings; every model is refused then."""

    @cached_property
    def models(self) -> Mapping[str, DesiredModel]:
        """Those to act upon."""
        return {key: model for key, model in self.judged.items() if not model.problems}

    @cached_property
    def refused(self) -> Mapping[str, str]:
        """Those that stay as they are, with the reason."""
        return {key: model.refused for key, model in self.judged.items() if model.problems}

    @cached_property
    def problems(self) -> tuple[InputError, ...]:
        """Everything that must change in the file, each at its place, once."""
        own = [problem for model in self.judged.values() for problem in model.problems]
        return (*self.project_problems, *(problem for problem in own if problem not in self.project_problems))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over which models are wanted, as what, where, and which are refused."""
        lines = (
            f"{key}\0{model.spec.digest}\0{model.driver}\0{'refused' if model.problems else ''}\n"
            for key, model in sorted(self.judged.items())
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def desired(project: Project, settings: DesiredSettings | None = None) -> Desired:
    """What the project asks for. Never raises for what is written in it: `Desired.problems` has that."""
    judge = _Judge(project, settings or DesiredSettings())
    return Desired(
        judged={key: judge.model(model) for key, model in project.models.items()},
        project_problems=judge.problems,
    )


class _Judge:
    """One project being judged, model by model."""

    def __init__(self, project: Project, settings: DesiredSettings) -> None:
        self._read = partial(
            read_options, allow_unknown=settings.allow_unknown_options, platforms=settings.extra_platforms
        )
        self._defaults = self._read(project.defaults, Level.PROJECT, path="x-cloud-options")
        self._tool = self._read(_tool_options(settings), Level.TOOL, path="options")
        self.problems = (*self._defaults.problems, *self._tool.problems, *_unknown_platforms(settings))
        defaults = PlacementDefaults(settings.default_platform, settings.provider_defaults)
        self.lookup = Lookup(settings.sizes, settings.models, defaults, settings.check)

    def model(self, model: Model) -> DesiredModel:
        reading = self._read(model.options, Level.MODEL, path=f"models.{model.key}")
        options = overlay(reading.options, self._defaults.options, self._tool.options)
        spec = _spec(model, reading.options, self._defaults.options)
        return _Case(self.lookup, model, spec, options).judged((*self.problems, *reading.problems))


class _Case(NamedTuple):
    """One model being judged."""

    lookup: Lookup
    model: Model
    spec: ModelSpec
    options: Options

    def judged(self, problems: tuple[InputError, ...]) -> DesiredModel:
        found = self.lookup.identity(self.model.model)
        reference, identity = (None, None) if isinstance(found, ValueError) else found
        placement = self.lookup.placement(self.options) if not problems else Unplaceable("", "")
        where = self._narrowed(placement) if isinstance(placement, Placement) else Placement("", (), ())
        findings = self.lookup.findings(self.spec, where.platform) if where.platform else ()
        offer = self._offer(identity, where.platform) if identity is not None and where.platform else None
        candidate = offer if isinstance(offer, Candidate) else None
        wrong = [*problems, *self._wrong(found, placement if not problems else where, findings, offer)]
        return DesiredModel(
            key=self.model.key,
            spec=self.spec,
            driver=where.platform,
            findings=findings,
            resolution=(*where.steps, *self._identity_steps(identity, candidate)),
            absence=self.lookup.absence(where.platform) if where.platform else "",
            instance_types=where.instance_types,
            options=self.options,
            identity=identity,
            candidate=candidate,
            registry=reference.host if reference is not None else "",
            location=self.model.location,
            option_locations={key: option.location for key, option in self.options.items()},
            problems=tuple(wrong),
        )

    def _narrowed(self, placement: Placement) -> Placement:
        """Without the stand-ins that lack the accelerators asked for; all of them lacking is a conflict."""
        natives = fitting(self.options, placement.instance_types, self.lookup.families)
        if not natives or natives[0] == placement.instance_types[0]:
            return placement._replace(instance_types=natives or placement.instance_types)
        asked = next(key for key in ACCELERATOR_KEYS if key in self.options)
        steps = (*placement.steps, f"{asked}={self.options[asked].text} → {natives[0]}")
        return placement._replace(instance_types=natives, steps=steps)

    def _wrong(
        self,
        found: tuple[Reference, Identity] | ValueError,
        placement: Placement | Unplaceable,
        findings: tuple[Finding, ...],
        offer: Candidate | str | None,
    ) -> Iterator[InputError]:
        if isinstance(found, ValueError):
            yield self._problem("model", str(found))
        elif not is_fit(self.model.model):
            # Said now: written into the environments later, it would stop the values of every other model too.
            yield self._problem("model", _UNFIT.format(shown(self.model.model)))
        if isinstance(placement, Unplaceable):
            yield self._problem(placement.key, str(placement))
        else:
            for key, text in conflicts(self.options, placement.instance_types, self.lookup.families):
                yield self._problem(key, text)
        for finding in findings:
            if finding.handling is Handling.REJECTED:
                yield self._problem(finding.key, f"{self._named(finding.key)}: {finding.detail}")
        if isinstance(offer, str):
            yield self._problem("cloud.platform", offer)

    def _offer(self, identity: Identity, platform: str) -> Candidate | str:
        """What would be served; a text says why nothing is."""
        named = self.options.get("cloud.model-id") or self.options.get("cloud.model-source")
        if named is not None:
            return Candidate(named.text, Match.EXACT, f"named by {named.key}")
        serving, substitute = self._text("cloud.serving", "auto"), self._text("cloud.substitute", "never")
        return self.lookup.offer(identity, self.spec, platform, serving, substitute)

    def _identity_steps(self, identity: Identity | None, candidate: Candidate | None) -> tuple[str, ...]:
        if identity is None or candidate is None or candidate.model_id == self.model.model:
            return ()
        return (candidate.line(identity),)

    def _problem(self, key: str, text: str) -> InputError:
        return InputError(text, self._place(key), path=f"models.{self.model.key}")

    def _named(self, key: str) -> str:
        if key in self.options:
            return f"option '{key}'"
        return f"{key} '{self.model.runtime_flags[_index(key)]}'" if key.startswith("runtime_flags[") else key

    def _place(self, key: str) -> Location:
        if key in self.options:
            return self.options[key].location
        if key == "context_size" and self.model.context_location is not None:
            return self.model.context_location
        if key.startswith("runtime_flags["):
            return dict(enumerate(self.model.flag_locations)).get(_index(key), self.model.location)
        return self.model.location

    def _text(self, key: str, otherwise: str) -> str:
        option = self.options.get(key)
        return option.text if option is not None else otherwise


def _spec(model: Model, own: Options, defaults: Options) -> ModelSpec:
    texts = {key: option.text for key, option in own.items()}
    for key, option in defaults.items():
        texts.setdefault(key, option.text)
    return ModelSpec(
        model=model.model, context_size=model.context_size, runtime_flags=model.runtime_flags, options=texts
    )


def _index(key: str) -> int:
    return int(key.removeprefix("runtime_flags[").removesuffix("]"))


def _tool_options(settings: DesiredSettings) -> tuple[RawOption, ...]:
    place = Location(settings.options_file)
    return tuple(RawOption(key, text, place) for key, text in settings.options.items())


def _unknown_platforms(settings: DesiredSettings) -> Iterator[InputError]:
    known = set(catalog.platforms().platforms)
    for name in (settings.default_platform, *settings.provider_defaults.values()):
        if name is not None and name not in known and name not in known.union(settings.extra_platforms()):
            text = f"there is no platform '{name}'; known are {', '.join(sorted(known))}"
            yield InputError(text, Location(settings.options_file), path="platforms")
