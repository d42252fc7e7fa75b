"""Placement, identity, offers and findings, each distinct one looked up once: many models say the same few things.

One `Lookup` lives as long as one reading of a project. Mistakes come back as values, because they too are remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drivers import catalog, manifest
from drivers.base import Finding, ModelSpec
from drivers.identity import Candidate, Identity, identify, offer
from drivers.modelstore.reference import Reference, parse_reference
from drivers.registry import absence
from reconciler.options import Options
from reconciler.placement import Placement, PlacementDefaults, Unplaceable, infer_platform, placement_key

Check = Callable[[ModelSpec, str], tuple[Finding, ...] | None]
"""What a driver says of a spec on a platform, by its name; None where there is nobody to ask."""


class Lookup:
    """`sizes` and `models` are the user's own data over the catalogue's. `check` is asked before the catalogue."""

    def __init__(
        self,
        sizes: Mapping[str, Any],
        models: Mapping[str, Any],
        defaults: PlacementDefaults,
        check: Check = lambda spec, platform: None,
    ) -> None:
        merged_sizes = catalog.merge(catalog.sizes(), sizes)
        self.sizes: Mapping[str, Mapping[str, object]] = merged_sizes["sizes"]
        self.families: Mapping[str, Mapping[str, object]] = merged_sizes["families"]
        self._models: Mapping[str, Mapping[str, Any]] = catalog.merge(catalog.models(), models)["models"]
        self._defaults, self._check = defaults, check
        self._placements: dict[tuple[str, ...], Placement | Unplaceable] = {}
        self._identities: dict[str, tuple[Reference, Identity] | ValueError] = {}
        self._offers: dict[tuple[str, ...], Candidate | str] = {}
        self._findings: dict[tuple[Any, ...], tuple[Finding, ...]] = {}
        self._absences: dict[str, str] = {}

    def placement(self, options: Options) -> Placement | Unplaceable:
        """Where the model goes, or why that cannot be said."""
        key = placement_key(options)
        if key not in self._placements:
            try:
                self._placements[key] = infer_platform(options, self._defaults, self.sizes)
            except Unplaceable as wrong:
                self._placements[key] = wrong
        return self._placements[key]

    def identity(self, written: str) -> tuple[Reference, Identity] | ValueError:
        """What model a reference means, or why it means none."""
        if written not in self._identities:
            try:
                reference = parse_reference(written)
                self._identities[written] = reference, identify(reference, self._models)
            except ValueError as wrong:
                self._identities[written] = wrong
        return self._identities[written]

    def offer(
        self, identity: Identity, spec: ModelSpec, platform: str, serving: str, substitute: str
    ) -> Candidate | str:
        """What a platform would serve; a text says why nothing is acceptable."""
        engine = manifest.engine_of(spec, platform)
        key = (spec.model, platform, engine, serving, substitute)
        if key not in self._offers:
            self._offers[key] = offer(identity, spec, platform, self._models, serving=serving, substitute=substitute)
        return self._offers[key]

    def absence(self, platform: str) -> str:
        """Why nothing can be deployed to a platform with this installation; empty where it can."""
        if platform not in self._absences:
            self._absences[platform] = absence(platform)
        return self._absences[platform]

    def findings(self, spec: ModelSpec, platform: str) -> tuple[Finding, ...]:
        """What becomes of everything in the spec, as the driver has it, else the catalogue."""
        key = (platform, spec.model, spec.context_size, spec.runtime_flags, tuple(spec.options.items()))
        if key not in self._findings:
            judged = self._check(spec, platform)
            if judged is None:
                judged = manifest.check(spec, platform, manifest.honoured(platform))
            self._findings[key] = judged
        return self._findings[key]
