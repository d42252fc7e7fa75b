"""What becomes of every single thing in a spec on one platform, by the catalogue alone: no driver, no SDK.

The law behind it: nothing that a user wrote is dropped silently. A key which the vocabulary promises and this release
does not honour yet is reported as exactly that.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from drivers import catalog
from drivers.base import Finding, Handling, ModelSpec

NOT_YET = "not yet honoured by this release"
AUTO = "auto"
LLAMACPP = "llamacpp"
_MODEL, _CONTEXT = Finding("model", Handling.HONOURED), Finding("context_size", Handling.HONOURED)
_DECIDE_WHAT_IS_SERVED = frozenset({"cloud.serving", "cloud.substitute"})


def check(spec: ModelSpec, platform: str, implemented: frozenset[str] | None = None) -> tuple[Finding, ...]:
    """One finding for everything in the spec, in the order of `spec.fields()`, runtime flags one by one.

    `implemented` are the option keys that the platform's driver honours in this release; None stands for all that the
    vocabulary promises. Keys of the reconciler itself do not need to be among them; where one is, the platform has a
    part of its own in it, and is told when it changes.
    """
    engine = engine_of(spec, platform)
    findings = [_MODEL]
    if spec.context_size is not None:
        findings.append(_context(engine))
    if spec.runtime_flags:
        findings.extend(_flags(spec.runtime_flags, engine))
    findings.extend(_option(key, platform, implemented) for key in spec.options)
    return tuple(findings)


def honoured(platform: str) -> frozenset[str] | None:
    """The option keys that this release honours on a platform, by the catalogue; None where it has no driver for it."""
    entry = catalog.platforms().platforms.get(platform)
    return entry.honoured if entry is not None and entry.available else None


def is_inert(key: str, platform: str, implemented: frozenset[str] | None = None) -> bool:
    """Whether a change of this key of `ModelSpec.fields()` needs nothing done on the platform.

    True for what the reconciler alone honours, for what is meant for another platform, and for what is ignored.
    """
    if key in ("model", "runtime_flags"):
        return False
    if key == "context_size":
        entry = catalog.platforms().platforms.get(platform)
        return entry is not None and entry.engine == "managed"
    if _option(key, platform, implemented).handling in (Handling.IGNORED, Handling.INACTIVE):
        return True
    entry_of_key = catalog.vocabulary().keys.get(key)
    if entry_of_key is None or not entry_of_key.engine or key in _DECIDE_WHAT_IS_SERVED:
        return False
    return implemented is None or key not in implemented  # a platform may have a part of its own in it


def engine_of(spec: ModelSpec, platform: str) -> str:
    """The inference engine: what `cloud.engine` says, else the platform's own; `managed` where nobody may choose.

    A platform may have another one of its own for a Hugging Face repository of original weights.
    """
    entry = catalog.platforms().platforms.get(platform)
    usual = entry.engine if entry is not None else LLAMACPP
    written = spec.options.get("cloud.engine", AUTO)
    if written != AUTO and usual != "managed":
        return written
    if entry is not None and entry.hub_engine and _is_hub_original(spec):
        return entry.hub_engine
    return usual


def _is_hub_original(spec: ModelSpec) -> bool:
    """Whether it names a repository of Hugging Face that does not say it is of GGUF files."""
    named = (spec.options.get("cloud.model-source") or spec.options.get("cloud.model-id") or spec.model).lower()
    on_hub = named.startswith(("hf://", "hf.co/", "huggingface.co/", "www.huggingface.co/"))
    return on_hub and "gguf" not in named and ":" not in named.removeprefix("hf://")


def _context(engine: str) -> Finding:
    if engine == "managed":
        return Finding("context_size", Handling.IGNORED, "the platform runs the model with its own context")
    return _CONTEXT


def _flags(flags: Sequence[str], engine: str) -> Sequence[Finding]:
    """Flags belong to an engine: judged by llama.cpp's rules, refused everywhere else, never passed on blindly."""
    if engine == LLAMACPP:
        # Imported here: the table of flags is large, and most models have none.
        from drivers.flags import judge

        return judge(flags)
    runs = "the platform runs its own engine" if engine == "managed" else f"the engine is {engine}"
    detail = f"{runs}; runtime flags are llama.cpp's"
    return [Finding(f"runtime_flags[{index}]", Handling.REJECTED, detail) for index in range(len(flags))]


@lru_cache(maxsize=8192)
def _option(key: str, platform: str, implemented: frozenset[str] | None) -> Finding:
    known = catalog.vocabulary()
    entry = known.keys.get(key)
    namespace = known.namespaces.get(key.partition(".")[0])
    if namespace is not None and platform not in namespace.platforms:
        return Finding(key, Handling.INACTIVE, f"meant for {', '.join(namespace.platforms)}")
    if entry is None and namespace is None:
        return Finding(key, Handling.IGNORED, "unknown option, allowed by --allow-unknown-options")
    handling = Handling.HONOURED if entry is None else _handling(entry, platform)
    if handling is Handling.IGNORED:
        return Finding(key, handling, f"has no meaning on {platform}")
    if handling is Handling.REJECTED:
        return Finding(key, handling, f"{platform} cannot do this; leave the option out")
    if not _is_honoured(key, entry, implemented):
        if entry is not None and entry.spending and _costs_money(platform):
            return Finding(key, Handling.REJECTED, f"{NOT_YET}, and without it more may be spent than the file allows")
        return Finding(key, Handling.IGNORED, NOT_YET)
    return Finding(key, handling, entry.how.get(platform, "") if entry is not None else "")


def _costs_money(platform: str) -> bool:
    entry = catalog.platforms().platforms.get(platform)
    return entry is not None and entry.provider not in ("local", "external")


def _handling(entry: catalog.OptionEntry, platform: str) -> Handling:
    """The sign in the table; a platform outside the table gets what the reconciler does itself, and nothing else."""
    return entry.handling.get(platform, Handling.HONOURED if entry.engine else Handling.IGNORED)


def _is_honoured(key: str, entry: catalog.OptionEntry | None, implemented: frozenset[str] | None) -> bool:
    if entry is not None and entry.engine:
        return not entry.planned
    if implemented is not None:
        return key in implemented
    return entry is None or not entry.planned
