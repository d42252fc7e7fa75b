"""What is written down about one run of one server, and its form on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from drivers.base import Deployment, ModelSpec, owner_tags

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What `deployment.json` holds."""

    deployment: Deployment
    """Without a handle."""
    host: str
    port: int
    model_id: str
    """What clients send as `model`."""
    purpose: str = "chat"
    """`chat`, `embedding` or `rerank`: what kind of request it must answer to be ready."""
    keyed: bool = True
    """Clients must send the key."""
    file: str = ""
    """Its weights."""
    weights_bytes: int = 0
    """Of the host's memory, by the estimate it was started with; so are the next two."""
    working_bytes: int = 0
    device_bytes: int = 0
    """Of the devices, all in all."""
    boot: str = ""
    """The boot id of the kernel the start was made under; processes do not outlive it."""
    started_at: str = ""
    """When, for people."""
    started_tick_s: float = 0.0
    """When, in seconds of the kernel's monotonic clock, which all processes of one boot share."""
    oom_kills: int = 0
    """The kernel's count of out-of-memory kills when it was started."""
    pid: int | None = None
    """None until the start was recorded; the process may be there all the same."""
    ticks: int = 0
    """When the process began, in clock ticks since boot: tells it from a later one with its pid."""


def encode_deployment(deployment: Deployment) -> dict[str, Any]:
    """A deployment as plain JSON values, without its handle."""
    spec = deployment.spec
    return {
        "id": deployment.id,
        "lineage": deployment.lineage,
        "project": deployment.project,
        "model": deployment.model,
        "name": deployment.name,
        "spec": {
            "model": spec.model,
            "context_size": spec.context_size,
            "runtime_flags": list(spec.runtime_flags),
            "options": dict(spec.options),
        },
    }


def decode_deployment(values: Mapping[str, Any]) -> Deployment:
    """The other way. Raises KeyError, TypeError or ValueError for anything else."""
    spec = values["spec"]
    return Deployment(
        id=_text(values["id"]),
        lineage=_text(values["lineage"]),
        project=_text(values["project"]),
        model=_text(values["model"]),
        name=_text(values["name"]),
        spec=ModelSpec(
            model=_text(spec["model"]),
            context_size=None if spec["context_size"] is None else int(spec["context_size"]),
            runtime_flags=tuple(_text(flag) for flag in spec["runtime_flags"]),
            options={_text(key): _text(value) for key, value in spec["options"].items()},
        ),
    )


_RUN_FIELDS = tuple(name for name in RunRecord.__slots__ if name != "deployment")


def encode(record: RunRecord) -> dict[str, Any]:
    """A record as plain JSON values."""
    values = asdict(replace(record, deployment=None))  # type: ignore[arg-type]
    return {
        "format": FORMAT,
        "tags": owner_tags(record.deployment),
        "deployment": encode_deployment(record.deployment),
        "run": {name: values[name] for name in _RUN_FIELDS},
    }


def decode(values: Mapping[str, Any]) -> RunRecord:
    """The other way. Raises KeyError, TypeError, ValueError or AttributeError for anything else."""
    if values["format"] != FORMAT:
        raise ValueError(f"format {values['format']}")
    run = values["run"]
    return RunRecord(
        deployment=decode_deployment(values["deployment"]), **{name: run[name] for name in _RUN_FIELDS if name in run}
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value
