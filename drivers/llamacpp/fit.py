"""Whether this host, as it is at this moment, has what a spec asks for. Pure: the host is a value.

A replacement runs beside what it replaces, so only what is free now counts.
"""

from __future__ import annotations

from dataclasses import replace

from drivers import flags, values
from drivers.base import ModelSpec
from drivers.errors import Exhausted
from drivers.llamacpp import command, host, memory
from drivers.llamacpp.models import ModelFile


def narrow(have: host.Host, spec: ModelSpec) -> host.Host:
    """The host with those devices only that the spec leaves to the server: `llamacpp.device`, or the flag."""
    named = spec.options.get("llamacpp.device") or flags.value_of(spec.runtime_flags, "--device")
    if named is None:
        return have
    wanted = {name.strip() for name in named.split(",")}
    return replace(have, devices=tuple(device for device in have.devices if device.name in wanted))


def check(spec: ModelSpec, file: ModelFile, have: host.Host) -> None:
    """Raise Exhausted, with the numbers and what to lower, for a spec that this host cannot serve now."""
    _check_wishes(spec, have)
    wanted = command.sizes(spec, file)
    cache_k, cache_v = (
        flags.value_of(spec.runtime_flags, f"--cache-type-{kind}")
        or spec.options.get(f"llamacpp.cache-type-{kind}", "f16")
        for kind in ("k", "v")
    )
    need = memory.need(file.header, wanted.total_context, cache_k=cache_k, cache_v=cache_v)
    layers = spec.options.get("llamacpp.gpu-layers")
    share = memory.layers_on_devices(file.header, layers) if have.devices else 0.0
    if share:
        split = [float(part) for part in spec.options.get("llamacpp.tensor-split", "").split(",") if part.strip()]
        free = memory.usable([device.free_bytes for device in have.devices], split)
        _refuse_shortage(memory.shortage(need.share(share), free, "the GPU", context=wanted.total_context))
    if share < 1:
        rest = need.share(1 - share)
        _refuse_shortage(memory.shortage(rest, have.free_bytes, "this host", context=wanted.total_context))


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


def _refuse_shortage(text: str) -> None:
    if text:
        raise Exhausted(f"the model does not fit: {text}")
