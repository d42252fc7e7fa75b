"""The real docker compose as the judge: one case, two readers, the differences in words."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.compose.cloud_options import flatten
from reconciler.compose.load import LoadRequest, load
from reconciler.compose.nodes import Node, Timestamp
from reconciler.compose.project import Project
from reconciler.compose.reader import read_documents
from reconciler.compose.scalars import resolve
from reconciler.errors import ReconcilerError
from tests.compose.memory import MemoryFiles

_NOT_SET = {"COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "COMPOSE_ENV_FILES"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A project on disk and a command line. Paths are relative to the case's own directory, called `demo`."""

    files: Mapping[str, str]
    options: Mapping[str, Any] = field(default_factory=dict)
    """Fields of LoadRequest by name, except cwd and environment."""
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "."
    note: str = ""

    def __str__(self) -> str:
        texts = "".join(f"--- {name}\n{text}\n" for name, text in self.files.items())
        return f"{self.note} {dict(self.options)} {dict(self.environment)} in {self.cwd}\n{texts}"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reader makes of a case; `refused` is its message, None where it accepted."""

    refused: str | None
    name: str = ""
    models: Mapping[str, Any] = field(default_factory=dict)
    bindings: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)


def differences(
    binary: Path, directory: Path, cases: Iterable[Case], *, excused: Iterable[str] = (), workers: int = 4
) -> list[str]:
    """Every case in which the two readers disagree, told for a person. Directories are made below `directory`.

    `excused` are parts of messages with which we may refuse what Compose accepts.
    """
    reasons = tuple(excused)

    def one(numbered: tuple[int, Case]) -> str | None:
        number, case = numbered
        root = directory / str(number) / "demo"
        theirs, ours = compose_reading(binary, root, case), our_reading(root, case)
        same = (theirs.refused is None) == (ours.refused is None) and (theirs.refused is not None or theirs == ours)
        if ours.refused is not None and any(reason in ours.refused for reason in reasons):
            return None
        return None if same else f"{case}compose: {theirs}\nours:    {ours}\n"

    with ThreadPoolExecutor(workers) as pool:
        return [found for found in pool.map(one, enumerate(cases)) if found is not None]


def compose_refuses(binary: Path, root: Path, case: Case) -> str | None:
    """The message of `docker compose config`, None where it accepts the case."""
    out, message = _config(binary, root, case)
    return None if out is not None else message


def compose_reading(binary: Path, root: Path, case: Case) -> Reading:
    """Lay the case out and ask `docker compose config`."""
    out, message = _config(binary, root, case)
    if out is None:
        return Reading(message)
    tree = read_documents(out.replace(b"$$", b"$"), "config")[0].root
    services = {name: service for name, service in _children(tree, "services").items() if service.get("models")}
    return Reading(
        None,
        name=tree.value["name"].value,
        models={key: _their_model(node) for key, node in _children(tree, "models").items() if key[0] != "#"},
        bindings={name: _their_bindings(service) for name, service in services.items()},
        defaults=_options(tree.get("x-cloud-options")),
    )


def _config(binary: Path, root: Path, case: Case) -> tuple[bytes | None, str]:
    for name, text in case.files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    (root / case.cwd).mkdir(parents=True, exist_ok=True)
    out, err, status = _run([str(binary), *_arguments(case), "config"], root / case.cwd, case)
    return (out, "") if status == 0 else (None, err.strip() or "no message")


def _run(command: list[str], cwd: Path, case: Case) -> tuple[bytes, str, int]:
    environment = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME")}
    stdin = case.options.get("stdin")
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment | {"GOGC": "off"} | dict(case.environment),  # it lives for 30 ms: no garbage collection
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(stdin or b"", timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return b"", "no answer", 1
    return out, err.decode(errors="replace"), process.returncode


def _arguments(case: Case) -> list[str]:
    options = case.options
    result = [part for path in options.get("files", ()) for part in ("-f", path)]
    result += [part for path in options.get("env_files", ()) for part in ("--env-file", path)]
    result += [part for name in options.get("profiles", ()) for part in ("--profile", name)]
    if options.get("project_name") is not None:
        result += ["-p", options["project_name"]]
    if options.get("project_directory") is not None:
        result += ["--project-directory", options["project_directory"]]
    return result


def our_reading(root: Path, case: Case) -> Reading:
    """The same case in our reader, out of memory."""
    files = MemoryFiles({os.path.normpath(f"{root}/{name}"): text for name, text in case.files.items()})
    cwd = os.path.normpath(root / case.cwd)
    environment = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME")} | dict(case.environment)
    try:
        project = load(LoadRequest(cwd=cwd, environment=environment, **case.options), files)
    except ReconcilerError as exc:
        return Reading(str(exc))
    return _reading(project)


def _reading(project: Project) -> Reading:
    models = {
        key: {
            "model": model.model,
            "context_size": model.context_size,
            "runtime_flags": list(model.runtime_flags),
            "options": {option.key: _value(option.text) for option in model.options},
        }
        for key, model in project.models.items()
    }
    bindings = {
        name: {binding.model: (binding.endpoint_var, binding.model_var) for binding in service.bindings}
        for name, service in project.services.items()
        if service.active and service.bindings
    }
    defaults = {option.key: _value(option.text) for option in project.defaults}
    return Reading(None, project.name, models, bindings, defaults)


def _children(node: Node, key: str) -> Mapping[str, Node]:
    child = node.get(key)
    return child.value if child is not None and child.value is not None else {}


def _their_model(node: Node) -> dict[str, Any]:
    size, model, flags = node.get("context_size"), node.get("model"), node.get("runtime_flags")
    return {
        "model": model.value if model is not None else "",
        "context_size": size.value if size is not None and size.value > 0 else None,
        "runtime_flags": [flag.value for flag in flags.value] if flags is not None else [],
        "options": _options(node.get("x-cloud-options")),
    }


def _their_bindings(service: Node) -> dict[str, tuple[str, str]]:
    found = {}
    for key, node in _children(service, "models").items():
        prefix = key.upper().replace("-", "_")
        endpoint, model = node.get("endpoint_var"), node.get("model_var")
        found[key] = (
            (endpoint.value if endpoint is not None else "") or f"{prefix}_URL",
            (model.value if model is not None else "") or f"{prefix}_MODEL",
        )
    return found


class _LastWins:
    """Every option counts as written in a file of its own."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, place: object) -> tuple[int, int]:
        self._count += 1
        return 0, self._count


def _options(node: Node | None) -> dict[str, Any]:
    options = flatten(node, ("x-cloud-options",), _LastWins())  # type: ignore[arg-type]
    return {option.key: _value(option.text) for option in options}


def _value(text: str) -> Any:
    """What a scalar means: Compose prints 0x10 as 16 and a date with a time, we keep the text."""
    if "," in text:
        return [_value(part) for part in text.split(",")]
    value = resolve(text)
    return ("date", text[:10]) if isinstance(value, Timestamp) else value
