"""Whether this host, as it is at this moment, has what a spec asks for. Pure: the host is a value.

A replacement runs beside what it replaces, so only what is free now counts, less what other servers still take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from drivers import flags, values
from drivers.base import ModelSpec
from drivers.errors import Exhausted, Rejected
from drivers.llamacpp import command, host, memory
from drivers.llamacpp.models import ModelFile


class Claim(NamedTuple):
    """What another server of ours needs, and has of it already. All in bytes."""

    spec: ModelSpec
    file: str
    """Its weights; servers that map the same file share them."""
    weights: int
    """In the host's memory."""
    working: int
    """The cache and the working memory, in the host's memory."""
    held: int = 0
    """What its process has by now and nobody can push out."""
    on_devices: int = 0
    """What it will still take of the devices."""


class Takes(NamedTuple):
    """What a model takes of the host's memory and of its devices; nothing of what it does not lie on."""

    host: memory.Need
    devices: memory.Need


class _Room(NamedTuple):
    """Bytes of memory: all that is there, what is free of it, and what of that is promised to others."""

    total: int
    free: int
    promised: int


_NOTHING = memory.Need(weights=0, cache=0, work=0)


def narrow(have: host.Host, spec: ModelSpec) -> host.Host:
    """The host with those devices only that the spec leaves to the server: `llamacpp.device`, or the flag."""
    wanted = _devices_named(spec)
    if wanted is None:
        return have
    return replace(have, devices=tuple(device for device in have.devices if device.name in wanted))


def takes(spec: ModelSpec, file: ModelFile, have: host.Host) -> Takes:
    """What the model takes, by estimate."""
    cache_k, cache_v = (
        flags.value_of(spec.runtime_flags, f"--cache-type-{kind}")
        or spec.options.get(f"llamacpp.cache-type-{kind}", "f16")
        for kind in ("k", "v")
    )
    need = memory.need(file.header, command.sizes(spec, file).total_context, cache_k=cache_k, cache_v=cache_v)
    layers = spec.options.get("llamacpp.gpu-layers")
    share = memory.layers_on_devices(file.header, layers) if have.devices else 0.0
    return Takes(
        host=need.share(1 - share) if share < 1 else _NOTHING, devices=need.share(share) if share else _NOTHING
    )


def check(spec: ModelSpec, file: ModelFile, have: host.Host, claims: Sequence[Claim] = ()) -> Takes:
    """What the model takes. Raises with the numbers and what to lower: Exhausted for a spec that this host cannot
    serve now, beside the servers that have `claims` on it, Rejected for one that it cannot serve were it empty."""
    _check_wishes(spec, have)
    taken, context = takes(spec, file, have), command.sizes(spec, file).total_context
    if taken.devices.total:
        split = [float(part) for part in spec.options.get("llamacpp.tensor-split", "").split(",") if part.strip()]
        room = _Room(
            total=memory.usable([device.total_bytes for device in have.devices], split),
            free=memory.usable([device.free_bytes for device in have.devices], split),
            promised=sum(claim.on_devices for claim in claims if _share_devices(claim.spec, spec)),
        )
        _refuse_shortage(taken.devices, room, "the GPU", context)
    if taken.host.total:
        room = _Room(have.total_bytes, have.free_bytes, _promised(claims, str(file.path)))
        _refuse_shortage(taken.host, room, "this host", context)
    return taken


def _promised(claims: Sequence[Claim], file: str) -> int:
    """Of the host's memory. Weights that several servers map are there once, and this model brings its own."""
    total, counted = 0, {file}
    for claim in claims:
        weights = 0 if claim.file in counted else claim.weights
        counted.add(claim.file)
        total += max(0, weights + claim.working - claim.held)
    return total


def _devices_named(spec: ModelSpec) -> set[str] | None:
    named = spec.options.get("llamacpp.device") or flags.value_of(spec.runtime_flags, "--device")
    return None if named is None else {name.strip() for name in named.split(",")}


def _share_devices(one: ModelSpec, other: ModelSpec) -> bool:
    first, second = _devices_named(one), _devices_named(other)
    return first is None or second is None or not first.isdisjoint(second)


def _check_wishes(spec: ModelSpec, have: host.Host) -> None:
    """`cloud.memory`, `cloud.accelerator` and `cloud.accelerator-memory`, against what this host has."""
    if text := spec.options.get("cloud.memory"):
        least = values.sizes(text).low
        if have.total_bytes < least:
            raise Exhausted(f"cloud.memory: this host has {have.total_bytes / 1e9:.0f} GB, {least / 1e9:.0f} are asked")
    text = spec.options.get("cloud.accelerator")
    if text and not any(_has(have.devices, wish) for wish in values.accelerators(text)):
        titles = ", ".join(device.title for device in have.devices) or "none that llama-server can use"
        raise Exhausted(f"cloud.accelerator: {text} is asked, the accelerators of this host: {titles}")
    if text := spec.options.get("cloud.accelerator-memory"):
        total = sum(device.total_bytes for device in have.devices) / 1e9
        wanted = values.read("range", text)
        if isinstance(wanted, values.Range) and total < wanted.low:
            raise Exhausted(f"cloud.accelerator-memory: {wanted.low:g} GB are asked, this host has {total:.0f} GB")


def _has(devices: tuple[host.Device, ...], wish: values.Accelerator) -> bool:
    parts = wish.name.lower().replace("_", "-").split("-")
    titles = (device.title.lower() for device in devices)
    return sum(all(part in title for part in parts) for title in titles) >= wish.count


def _refuse_shortage(wanted: memory.Need, room: _Room, where: str, context: int) -> None:
    never = memory.shortage(wanted, room.total, f"{where}, with nothing else on it,", context=context)
    if never:
        raise Rejected(f"the model does not fit: {never}")
    beside = f"{where}, beside its other servers," if room.promised else where
    text = memory.shortage(wanted, max(0, room.free - room.promised), beside, context=context)
    if text:
        way_out = (
            "; if it replaces one of them that may go first: cloud.update-strategy=recreate" if room.promised else ""
        )
        raise Exhausted(f"the model does not fit: {text}{way_out}")
