"""What this host has: free memory, devices that llama-server can compute on, free ports."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

FIRST_PORT, PORTS = 20_000, 12_000
"""Below the range from which the kernel takes ports for outgoing connections, so that none of those is in the way."""

_DEVICE = re.compile(r"^\s+(?P<name>\w+): (?P<title>.+) \((?P<total>\d+) MiB, (?P<free>\d+) MiB free\)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """An accelerator as llama-server lists it."""

    name: str
    """`CUDA0`: what `--device` takes."""
    title: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What there is at this moment."""

    total_bytes: int
    free_bytes: int
    """What a new process can have without pushing out others."""
    devices: tuple[Device, ...] = ()


def survey(server: Path, environment: Mapping[str, str]) -> Host:
    """This host as it is now. The server is only asked for its devices where there is a device file at all."""
    found = devices(server, environment) if has_device_files() else ()
    fields = _meminfo()
    free = min([fields.get("MemAvailable", 0), *_cgroup_rooms()])
    return Host(total_bytes=fields.get("MemTotal", 0), free_bytes=free, devices=found)


def has_device_files(dev: Path = Path("/dev")) -> bool:
    """Whether any driver for an accelerator is loaded: NVIDIA, AMD, or a render node."""
    return (dev / "nvidiactl").exists() or (dev / "kfd").exists() or any((dev / "dri").glob("renderD*"))


def devices(server: Path, environment: Mapping[str, str]) -> tuple[Device, ...]:
    """What this build of llama-server can compute on besides the CPU; nothing where it cannot be asked."""
    import subprocess

    try:
        answer = subprocess.run(
            [server, "--list-devices"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            env=dict(environment),
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parse_devices(answer.stdout.decode(errors="replace"))


def parse_devices(text: str) -> tuple[Device, ...]:
    """The devices in the output of `llama-server --list-devices`."""
    return tuple(
        Device(
            name=match["name"],
            title=match["title"],
            total_bytes=int(match["total"]) << 20,
            free_bytes=int(match["free"]) << 20,
        )
        for match in _DEVICE.finditer(text)
    )


def free_port(host: str, name: str, preferred: Iterable[int] = (), taken: Container[int] = ()) -> int | None:
    """A port nobody listens on and nobody is about to: one of the preferred, else the same for the same name where
    possible; None where all are taken."""
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % PORTS
    usual = (FIRST_PORT + (start + step) % PORTS for step in range(PORTS))
    return next((port for port in chain(preferred, usual) if port not in taken and _is_free(host, port)), None)


def _is_free(host: str, port: int) -> bool:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        # As servers do: connections of the last one that still linger are no obstacle, a listener is.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
            sock.listen(1)
        except OSError:
            return False
    return True


def _meminfo() -> dict[str, int]:
    lines = (line.split() for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    return {words[0].rstrip(":"): int(words[1]) << 10 for words in lines if len(words) == 3}


def _cgroup_rooms(root: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """What each control group around us still allows (version 2). Cached files of the group can be given up."""
    try:
        entries = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    path = next((entry[3:].strip("/") for entry in entries if entry.startswith("0::")), None)
    if path is None:
        return []
    groups = [root / path, *(root / path).parents][: len(Path(path).parts) + 1]
    return [room for room in map(_room, groups) if room is not None]


def _room(group: Path) -> int | None:
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = int((group / "memory.current").read_text(encoding="ascii"))
        stat = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return None
    if limit == "max":
        return None
    return max(0, int(limit) - used + int(stat.get("inactive_file", 0)) + int(stat.get("active_file", 0)))
