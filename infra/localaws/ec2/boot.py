"""What a machine does at its first boot, as far as a model on it is concerned: its own user data, really carried out.

cloud-init's files are read, the commands must enable a systemd service, and the program of that service is run by a
real bash, with stand-ins for the commands that it may call: `aws`, which hands out what the machine's role may read,
and `docker`, which notes how the container was to be run. What comes back is what the engine is told.
"""

from __future__ import annotations

import base64
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_SECONDS = 10.0
_AWS = """#!/bin/sh
[ "$1 $2" = "ssm get-parameter" ] || { echo "aws: the local cloud does not have: $1 $2" >&2; exit 252; }
while [ $# -gt 0 ]; do [ "$1" = "--name" ] && name=$2; shift; done
file="$LOCAL_PARAMETERS/$(printf %s "$name" | tr / %)"
[ -d "$LOCAL_PARAMETERS" ] || { echo "Unable to locate credentials." >&2; exit 253; }
[ -f "$file" ] || { echo "An error occurred (ParameterNotFound) when calling GetParameter" >&2; exit 254; }
cat "$file"
"""
_DOCKER = """#!/bin/sh
[ "$1" = run ] && printf '%s\\0' "$@" > "$LOCAL_CONTAINER"
exit 0
"""
_NVIDIA_SMI = "#!/bin/sh\necho 'GPU 0: NVIDIA L4 (UUID: GPU-local)'\n"


class BadBoot(Exception):
    """The service would not come up; this is what the console says."""


@dataclass(frozen=True, slots=True)
class Container:
    """How the service runs its container."""

    image: str
    arguments: tuple[str, ...]
    """For the engine."""
    options: tuple[str, ...]
    """For docker."""
    environment: Mapping[str, str] = field(default_factory=dict)

    def value(self, *names: str) -> str | None:
        """The value of an engine's argument, under one of its names."""
        pairs = zip(self.arguments, self.arguments[1:], strict=False)
        return next((value for name, value in pairs if name in names), None)

    @property
    def key(self) -> str | None:
        return self.environment.get("LLAMA_API_KEY") or self.environment.get("VLLM_API_KEY")

    @property
    def model(self) -> str:
        return self.value("--alias", "--served-model-name") or "nameless"


def boot(user_data: str, parameters: Mapping[str, str] | None) -> Container:
    """Boot with these user data (base64). `parameters` are those the machine's role may read; None: it has no role.

    Raises BadBoot where no server would come of it.
    """
    files, commands = cloud_config(base64.b64decode(user_data).decode())
    return _run(_program(files, commands), parameters)


def cloud_config(text: str) -> tuple[Mapping[str, Mapping[str, Any]], list[list[str]]]:
    """The files that cloud-init writes, by path, and the commands that it runs. Raises BadBoot for anything else."""
    if not text.startswith("#cloud-config\n"):
        raise BadBoot("cloud-init: the user data are no cloud-config")
    try:
        said = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadBoot(f"cloud-init: {error}") from None
    return {one["path"]: one for one in said.get("write_files", ())}, said.get("runcmd", [])


def started(
    files: Mapping[str, Mapping[str, Any]], commands: list[list[str]], kind: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The units of a kind that the user data bring, enable and start, by name."""
    for command in commands:
        for name in command[3:] if command[:3] == ["systemctl", "enable", "--now"] else ():
            path = f"/etc/systemd/system/{name}"
            if name.endswith(kind) and path in files:
                yield name, files[path]


def _program(files: Mapping[str, Mapping[str, Any]], commands: list[list[str]]) -> str:
    """The program of the service that the commands enable and start at once; timers are of no interest here."""
    units = [unit for _, unit in started(files, commands, ".service")]
    if not units:
        raise BadBoot("systemd: no service of the user data was enabled and started")
    command = re.search(r"^ExecStart=(\S+)$", units[0]["content"], re.MULTILINE)
    program = files.get(command[1]) if command else None
    if program is None or not int(program.get("permissions", "0"), 8) & 0o100:
        raise BadBoot("systemd: Failed to execute command: Permission denied")
    return str(program["content"])


def _run(program: str, parameters: Mapping[str, str] | None) -> Container:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        _stand_ins(root / "bin")
        for folder in ("run", "cache"):
            (root / folder).mkdir()
        if parameters is not None:
            (root / "parameters").mkdir()
            for parameter, value in parameters.items():
                (root / "parameters" / parameter.replace("/", "%")).write_text(value)
        done = subprocess.run(
            ["bash", "-s"],
            input=program,
            env={
                "PATH": f"{root / 'bin'}:/usr/bin:/bin",
                "RUNTIME_DIRECTORY": str(root / "run"),
                "CACHE_DIRECTORY": str(root / "cache"),
                "LOCAL_PARAMETERS": str(root / "parameters"),
                "LOCAL_CONTAINER": str(root / "container"),
            },
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
        if done.returncode != 0 or not (root / "container").exists():
            raise BadBoot(f"compose-model: {done.stderr.strip() or 'ended without a container'}")
        return _container((root / "container").read_text().split("\0")[:-1])


def _stand_ins(folder: Path) -> None:
    folder.mkdir()
    for name, text in (("aws", _AWS), ("docker", _DOCKER), ("nvidia-smi", _NVIDIA_SMI)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


def _container(words: list[str]) -> Container:
    """`docker run`'s own words, taken apart: all its options but `--rm` have a value."""
    at = 1
    environment: dict[str, str] = {}
    while words[at].startswith("--"):
        if words[at] == "--rm":
            at += 1
            continue
        if words[at] == "--env-file":
            environment |= dict(line.split("=", 1) for line in Path(words[at + 1]).read_text().splitlines())
        if words[at] == "--env":
            name, _, value = words[at + 1].partition("=")
            environment[name] = value
        at += 2
    return Container(words[at], tuple(words[at + 1 :]), tuple(words[1:at]), environment)
