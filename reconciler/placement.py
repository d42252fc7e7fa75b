"""Which platform a model runs on, and on which native instance types: inferred from its options, with every step shown.

    cloud.platform → cloud.provider → shape of the region → shape of the instance type → project default → local

Each signal narrows the platforms that remain. None left is a contradiction, several without a default are ambiguous;
both are mistakes of the file, never a guess of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from drivers import catalog
from reconciler.options import Options, nearest

LOCAL = "llamacpp"
"""Where a model runs of which nobody said anything."""

_EXPLICIT_ONLY = frozenset({"external"})
_KEYS = ("cloud.platform", "cloud.provider", "cloud.serving", "cloud.region", "cloud.instance-type")


class Placement(NamedTuple):
    """Where a model goes, and how that was arrived at."""

    platform: str
    instance_types: tuple[str, ...]
    """Native types, best first; empty where the platform has none or chooses itself."""
    steps: tuple[str, ...]


class PlacementDefaults(NamedTuple):
    """What the operator's settings say where the file does not."""

    platform: str | None = None
    by_provider: Mapping[str, str] = MappingProxyType({})


class Unplaceable(ValueError):
    """The options name no platform, or several. `key` is the option to change."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def placement_key(options: Options) -> tuple[str, ...]:
    """The texts that decide a placement; equal texts, equal placement."""
    return tuple(options[key].text if key in options else "" for key in _KEYS)


def infer_platform(
    options: Options, defaults: PlacementDefaults, sizes: Mapping[str, Mapping[str, object]]
) -> Placement:
    """Where the model goes. Raises Unplaceable with the choices that remain."""
    inference = _Inference(options, defaults, sizes)
    name = inference.platform()
    platform = catalog.platforms().platforms.get(name)
    # A driver of another package is named outright and knows its own instance types.
    natives = tuple(inference.instance_types(platform)) if platform is not None else ()
    return Placement(name, natives, tuple(inference.steps))


class _Inference:
    """One inference in progress: the platforms that remain, and the steps taken so far."""

    def __init__(
        self, options: Options, defaults: PlacementDefaults, sizes: Mapping[str, Mapping[str, object]]
    ) -> None:
        self._options, self._defaults, self._sizes = options, defaults, sizes
        self._known = catalog.platforms()
        self._left = {n: p for n, p in self._known.platforms.items() if n not in _EXPLICIT_ONLY}
        self.steps: list[str] = []

    def platform(self) -> str:
        if (named := self._word("cloud.platform")) is not None:
            return self._named(named)
        for signal in (self._by_provider, self._by_region, self._by_instance_type, self._by_serving):
            signal()
        if not self.steps:
            return self._unsaid()
        return self._only()

    def instance_types(self, platform: catalog.Platform) -> Iterator[str]:
        """Friendly sizes in the platform's own words; what only another platform has stays inactive."""
        given = self._words("cloud.instance-type")
        if platform.provider not in self._known.regions or "dedicated" not in platform.serving or not given:
            return
        found: list[str] = []
        for text in given:
            natives = self._natives(text, platform)
            if natives and text in self._sizes:
                self.steps.append(f"{text} → {natives[0]}")
            elif not natives and text != "auto":
                self.steps.append(f"{text} is not a type of {platform.name}: inactive")
            found.extend(native for native in natives if native not in found)
        if not found and set(given) != {"auto"}:
            raise Unplaceable(
                "cloud.instance-type", f"option 'cloud.instance-type': {platform.name} has no {' or '.join(given)}"
            )
        yield from found

    # -- the signals ------------------------------------------------------------------------------------------------

    def _named(self, name: str) -> str:
        """Said outright; what else is said must not contradict it, as far as it matters there."""
        self.steps.append(f"cloud.platform → {name}")
        platform = self._known.platforms.get(name)
        if platform is None:
            return name
        provider = self._word("cloud.provider")
        if provider is not None and provider != platform.provider:
            raise Unplaceable("cloud.provider", f"{name} is not a platform of 'cloud.provider={provider}'")
        shapes = {region: self._region_provider(region) for region in self._words("cloud.region")}
        if platform.provider in self._known.regions and shapes and platform.provider not in shapes.values():
            names = ", ".join(shapes)
            raise Unplaceable("cloud.region", f"option 'cloud.region': {names} is no region of {platform.provider}")
        return name

    def _by_provider(self) -> None:
        if (provider := self._word("cloud.provider")) is not None:
            self._keep("cloud.provider", {n for n, p in self._left.items() if p.provider == provider})
            self.steps.append(f"cloud.provider → {provider}")

    def _by_region(self) -> None:
        regions = self._words("cloud.region")
        if not regions:
            return
        providers = dict.fromkeys(self._region_provider(region) for region in regions)
        if len(providers) > 1:
            raise self._ambiguous("cloud.region", {n for n, p in self._left.items() if p.provider in providers})
        provider = next(iter(providers))
        self._keep("cloud.region", {n for n, p in self._left.items() if p.provider == provider})
        self.steps.append(f"region shape {regions[0]} → {provider}")

    def _by_instance_type(self) -> None:
        by_type = {text: self._owners(text) for text in self._words("cloud.instance-type")}
        natives = {text: owners for text, owners in by_type.items() if owners}
        owners = set[str]().union(*natives.values())
        if len(owners) > 1:
            raise self._ambiguous("cloud.instance-type", owners)
        if owners:
            self._keep("cloud.instance-type", owners)
            self.steps.append(f"instance type {next(iter(natives))} → {next(iter(owners))}")

    def _by_serving(self) -> None:
        """Narrows what another signal left; by itself it would not say whose GPU."""
        serving = self._word("cloud.serving")
        if serving is not None and self.steps:
            self._keep("cloud.serving", {n for n, p in self._left.items() if serving in p.serving})
            self.steps.append(f"cloud.serving → {serving}")

    # -- the choice -------------------------------------------------------------------------------------------------

    def _unsaid(self) -> str:
        name = self._defaults.platform or LOCAL
        self.steps.append(f"{'project' if self._defaults.platform else 'local'} default → {name}")
        return name

    def _only(self) -> str:
        if len(self._left) > 1:
            name = self._default()
            self.steps.append(f"project default → {name}")
            return name
        return next(iter(self._left))

    def _default(self) -> str:
        if self._defaults.platform in self._left:
            return str(self._defaults.platform)
        by_provider = {**self._known.defaults, **self._defaults.by_provider}
        named = {by_provider[p.provider] for p in self._left.values() if p.provider in by_provider} & self._left.keys()
        if len(named) != 1:
            raise self._ambiguous("cloud.platform", set(self._left))
        return named.pop()

    # -- helpers ----------------------------------------------------------------------------------------------------

    def _keep(self, key: str, names: set[str]) -> None:
        remaining = {name: platform for name, platform in self._left.items() if name in names}
        if not remaining:
            said = "; ".join(self.steps) or "the other options"
            raise Unplaceable(key, f"option '{key}={self._options[key].text}' contradicts the rest ({said})")
        self._left = remaining

    def _ambiguous(self, key: str, names: set[str]) -> Unplaceable:
        choices = ", ".join(name for name in self._known.platforms if name in names)
        return Unplaceable(key, f"the platform is ambiguous: write cloud.platform with one of {choices}")

    def _region_provider(self, region: str) -> str:
        for provider, shape in self._known.regions.items():
            if re.fullmatch(shape, region):
                return provider
        raise Unplaceable(
            "cloud.region",
            f"option 'cloud.region': '{region}' looks like no provider's region (us-west-2: aws, us-central1: gcp)",
        )

    def _owners(self, text: str) -> set[str]:
        """The platforms whose instance types look like that; none for a friendly size."""
        if text == "auto" or text in self._sizes:
            return set()
        owners = {n for n, p in self._known.platforms.items() if p.instance and re.fullmatch(p.instance, text)}
        if not owners:
            meant = nearest(text, self._sizes)
            hint = f" (did you mean '{meant}'?)" if meant else ""
            raise Unplaceable(
                "cloud.instance-type",
                f"option 'cloud.instance-type': '{text}' is neither a friendly size nor a native type{hint}",
            )
        return owners

    def _natives(self, text: str, platform: catalog.Platform) -> tuple[str, ...]:
        if text in self._sizes:
            natives = self._sizes[text].get(platform.name, ())
            return tuple(str(native) for native in natives) if isinstance(natives, (list, tuple)) else ()
        like = self._known.shared_instances.get(platform.name, platform.name)
        return (text,) if like in self._owners(text) else ()

    def _word(self, key: str) -> str | None:
        option = self._options.get(key)
        return option.text if option is not None and option.text != "auto" else None

    def _words(self, key: str) -> tuple[str, ...]:
        option = self._options.get(key)
        value = option.value if option is not None else ()
        return tuple(str(item) for item in value) if isinstance(value, tuple) else ()
