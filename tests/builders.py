"""Builders with sensible defaults, so that a test shows only what matters to it.

Every function takes the value's own field names as keywords. Times count from `NOON`; places are in `compose.yaml`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from drivers.base import Auth, Deployment, Endpoint, Finding, Handling, ModelSpec, Observation, Phase
from reconciler.compose.project import Binding, Model, Project, RawOption, Service
from reconciler.errors import Location
from reconciler.plan import Action, FieldChange, Plan, Step, Verdict
from state.record import DeploymentRecord, Event, Intent, ModelRecord, OutputRecord, Recorded, SourceRecord

NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
LINEAGE = "3f1d8c52-7f0e-4a57-9c0b-5a2b6b1f9d10"
REVISION = "9fceb02d0ae598e95dc970b74767f19372d61af8"


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def place(line: int = 1, column: int = 1, file: str = "compose.yaml") -> Location:
    return Location(file, line, column)


def deployment_id(number: int = 1) -> str:
    """A well-formed id; a higher number is a later one."""
    return f"01J{number:023d}"


def model_spec(model: str = "ai/smollm2", **given: Any) -> ModelSpec:
    return ModelSpec(**_over({"model": model}, given))


def deployment(number: int = 1, *, model: str = "llm", spec: ModelSpec | None = None, **given: Any) -> Deployment:
    values = {
        "id": deployment_id(number),
        "lineage": LINEAGE,
        "project": "demo",
        "model": model,
        "name": f"demo-{model.replace('.', '-').replace('_', '-').lower()}-{number}",
        "spec": spec or model_spec(),
    }
    return Deployment(**_over(values, given))


def endpoint(url: str = "http://172.17.0.1:8080/v1/", model_id: str = "ai/smollm2", **given: Any) -> Endpoint:
    """An endpoint of this host that listens on Docker's bridge."""
    return Endpoint(**_over({"url": url, "model_id": model_id, "on_this_host": True}, given))


def keyed_endpoint(url: str = "http://172.17.0.1:8080/v1/", key_file: str = "/run/keys/llm", **given: Any) -> Endpoint:
    return endpoint(url, auth=Auth.API_KEY, key_file=key_file, **given)


def observation(phase: Phase = Phase.READY, **given: Any) -> Observation:
    return Observation(**_over({"phase": phase}, given))


def deployment_record(number: int = 1, *, phase: Phase = Phase.READY, **given: Any) -> DeploymentRecord:
    """The record of a deployment that was created at noon; READY and active unless told otherwise.

    `model` and `spec` go to the deployment inside.
    """
    inner = {name: given.pop(name) for name in ("model", "spec") if name in given}
    ready = phase is Phase.READY
    values = {
        "deployment": deployment(number, **inner),
        "driver": "llamacpp",
        "naming_version": 1,
        "intent": Intent.CREATE,
        "phase": phase,
        "endpoint": endpoint() if ready else None,
        "active": ready,
        "created_at": NOON,
        "phase_since": NOON,
        "issued_at": NOON,
        "ready_at": NOON if ready else None,
    }
    return DeploymentRecord(**_over(values, given))


def model_record(key: str = "llm", **given: Any) -> ModelRecord:
    return ModelRecord(**_over({"key": key}, given))


def source_record(*models: str, **given: Any) -> SourceRecord:
    values = {"revision": REVISION, "digest": "0" * 64, "read_at": NOON, "models": models}
    return SourceRecord(**_over(values, given))


def output_record(path: str = "/srv/compose.models.yaml", **given: Any) -> OutputRecord:
    return OutputRecord(**_over({"path": path, "checksum": "0" * 64, "written_at": NOON}, given))


def event(kind: str = "created", **given: Any) -> Event:
    return Event(**_over({"at": NOON, "kind": kind}, given))


def recorded(*deployments: DeploymentRecord, models: Iterable[ModelRecord] = (), **given: Any) -> Recorded:
    values = {
        "project": "demo",
        "lineage": LINEAGE,
        "serial": 1,
        "epoch": 1,
        "deployments": {record.deployment.id: record for record in deployments},
        "models": {record.key: record for record in models},
    }
    return Recorded(**_over(values, given))


def raw_option(key: str, text: str, location: Location | None = None) -> RawOption:
    return RawOption(key, text, location or place(5, 7))


def model(
    key: str = "llm", reference: str = "ai/smollm2", *, options: Mapping[str, str] | None = None, **given: Any
) -> Model:
    """A declared model. `options` is flat; each one gets a line of its own below the key."""
    flags = given.get("runtime_flags", ())
    values = {
        "key": key,
        "model": reference,
        "context_size": None,
        "runtime_flags": (),
        "options": tuple(
            raw_option(name, text, place(20 + n, 9)) for n, (name, text) in enumerate((options or {}).items())
        ),
        "location": place(10, 3),
        "flag_locations": tuple(place(30 + n, 9) for n, _ in enumerate(flags)),
    }
    return Model(**_over(values, given))


def binding(to: str = "llm", **given: Any) -> Binding:
    """A binding with the variable names that Compose would choose."""
    prefix = to.upper().replace("-", "_")
    values = {
        "model": to,
        "endpoint_var": f"{prefix}_URL",
        "model_var": f"{prefix}_MODEL",
        "location": place(4, 7),
    }
    return Binding(**_over(values, given))


def service(name: str = "app", *bound: Binding | str, **given: Any) -> Service:
    """A service on the project's network; `bound` are bindings or model keys."""
    values = {
        "name": name,
        "active": True,
        "bindings": tuple(binding(one) if isinstance(one, str) else one for one in bound),
        "network_mode": None,
        "extra_hosts": frozenset(),
        "location": place(2, 3),
    }
    return Service(**_over(values, given))


def project(*parts: Service | Model, **given: Any) -> Project:
    """A project of these services and models; a bound model that is not given is made with its defaults."""
    services = {part.name: part for part in parts if isinstance(part, Service)}
    models = {part.key: part for part in parts if isinstance(part, Model)}
    wanted = [one.model for part in services.values() for one in part.bindings if part.active]
    declared = models | {key: model(key) for key in wanted if key not in models}
    values = {
        "name": "demo",
        "working_dir": "/srv",
        "files": ("compose.yaml",),
        "compose_files": ("compose.yaml",),
        "models": {key: one for key, one in declared.items() if key in wanted},
        "unused_models": {key: one for key, one in declared.items() if key not in wanted},
        "services": services,
        "defaults": (),
        "warnings": (),
    }
    return Project(**_over(values, given))


def finding(key: str, handling: Handling = Handling.HONOURED, detail: str = "") -> Finding:
    return Finding(key, handling, detail)


def change(key: str, old: str | None = None, new: str | None = None) -> FieldChange:
    return FieldChange(key, old, new)


def step(action: Action = Action.CREATE, model: str = "llm", **given: Any) -> Step:
    causes = {
        Action.CREATE: "the model is new",
        Action.REPLACE: "its specification changed",
        Action.UPDATE: "its specification changed",
        Action.DELETE: "the model is gone from the file",
        Action.FORGET: "it is verified absent",
        Action.WAIT: "it is starting",
    }
    number = None if action is Action.CREATE else deployment_id()
    values = {
        "action": action,
        "model": model,
        "driver": "llamacpp",
        "cause": causes[action],
        "deployment": number,
    }
    return Step(**_over(values, given))


def verdict(guard: str = "mass-delete", allowed: bool = False, text: str = "", **given: Any) -> Verdict:
    words = text or "all 3 models would be deleted; pass --force if that is meant"
    return Verdict(**_over({"guard": guard, "allowed": allowed, "text": words}, given))


def plan(*steps: Step, **given: Any) -> Plan:
    values = {"project": "demo", "revision": REVISION, "steps": steps, "routes": {}}
    return Plan(**_over(values, given))


def _over(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    return defaults | given
