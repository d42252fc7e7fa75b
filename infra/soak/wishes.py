"""What the Compose file of the soak asks for, and how it changes from commit to commit. Pure."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

PROJECT, SERVICE = "soak", "app"
NAMES = ("alpha", "beta", "gamma", "delta", "epsilon")
CONTEXT_SIZES = tuple(range(512, 2049, 256))
"""Tokens; small, so that servers start in well under a second."""
FEWEST, MOST = 2, 3
"""Models. The last one may not go without a person's word, and every one is a real server on this machine."""


@dataclass(frozen=True, slots=True)
class Wish:
    """The models that the file declares: key to context size, in tokens."""

    models: Mapping[str, int]

    def as_compose(self) -> str:
        """The Compose file. JSON is YAML, and one line per model is what a diff is read by."""
        models = (
            f"  {name}: {{model: ai/smollm2, context_size: {size}, runtime_flags: [--threads, '1']}}\n"
            for name, size in sorted(self.models.items())
        )
        service = json.dumps({"image": "busybox", "models": sorted(self.models)})
        return f"name: {PROJECT}\nservices:\n  {SERVICE}: {service}\nmodels:\n{''.join(models)}"


def first_wish() -> Wish:
    return Wish(MappingProxyType(dict.fromkeys(NAMES[:FEWEST], CONTEXT_SIZES[0])))


def changed(wish: Wish, chance: random.Random) -> tuple[Wish, str]:
    """The next wish, and the message of the commit that brings it. It always differs in one model only."""
    ways: list[Callable[[Wish, random.Random], tuple[Wish, str]]] = [_resized, _resized, _renamed]
    if len(wish.models) < MOST:
        ways += [_added, _added]
    if len(wish.models) > FEWEST:
        ways += [_removed]
    return chance.choice(ways)(wish, chance)


def prefix(model: str) -> str:
    """How the variables of a model begin."""
    return model.upper()


def _resized(wish: Wish, chance: random.Random) -> tuple[Wish, str]:
    name = _one(wish, chance)
    size = chance.choice([size for size in CONTEXT_SIZES if size != wish.models[name]])
    return _with(wish, {name: size}), f"{name}: context_size {wish.models[name]} → {size}"


def _added(wish: Wish, chance: random.Random) -> tuple[Wish, str]:
    name = _new_name(wish, chance)
    return _with(wish, {name: chance.choice(CONTEXT_SIZES)}), f"{name} is added"


def _removed(wish: Wish, chance: random.Random) -> tuple[Wish, str]:
    name = _one(wish, chance)
    return _without(wish, name), f"{name} is removed"


def _renamed(wish: Wish, chance: random.Random) -> tuple[Wish, str]:
    old, new = _one(wish, chance), _new_name(wish, chance)
    return _with(_without(wish, old), {new: wish.models[old]}), f"{old} is renamed to {new}"


def _one(wish: Wish, chance: random.Random) -> str:
    return chance.choice(sorted(wish.models))


def _new_name(wish: Wish, chance: random.Random) -> str:
    return chance.choice([name for name in NAMES if name not in wish.models])


def _with(wish: Wish, more: Mapping[str, int]) -> Wish:
    return Wish(MappingProxyType({**wish.models, **more}))


def _without(wish: Wish, name: str) -> Wish:
    return Wish(MappingProxyType({key: size for key, size in wish.models.items() if key != name}))
