"""What a machine is told at its first boot: the engine as a systemd service, its key fetched through its own role.

Pure. Neither the key nor any other secret is in here: anybody who may describe the machine can read it. The container
sits behind Docker's bridge, so that with a hop limit of 1 nothing in it reaches the machine's credentials.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from drivers.aws.ec2 import guard

PORT = 8080
UNIT = "compose-model.service"
PROGRAM = "/usr/local/sbin/compose-model"
_WEIGHTS = "/weights"

_UNIT = f"""[Unit]
Description=Model server of compose-model-reconciler
Wants=network-online.target
After=network-online.target docker.service
Requires=docker.service

[Service]
RuntimeDirectory=compose-model
RuntimeDirectoryMode=0700
CacheDirectory=compose-model
ExecStart={PROGRAM}
Restart=always
RestartSec=10
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What is to run on the machine."""

    engine: str
    image: str
    arguments: tuple[str, ...]
    """For the engine, without address, port, key and devices."""
    region: str
    key_parameter: str
    """Names of SecureString parameters; their values are read on the machine."""
    hf_token_parameter: str | None = None
    from_s3: str = ""
    """`s3://bucket/prefix` of the weights, copied before the engine starts."""
    has_gpu: bool = True
    shm_bytes: int | None = None
    keeps_weights: bool = True
    """Whether downloads outlive a restart of the service."""


def cloud_config(service: Service) -> str:
    """The user data for cloud-init. JSON is YAML, and needs no quoting rules of its own."""
    files = [
        *guard.FILES,
        {"path": PROGRAM, "permissions": "0700", "content": program(service)},
        {"path": f"/etc/systemd/system/{UNIT}", "permissions": "0644", "content": _UNIT},
    ]
    # The guard first: whatever becomes of the engine, the machine ends.
    started = ([guard.TIMER], ["docker.service", UNIT])
    commands = [["systemctl", "daemon-reload"], *(["systemctl", "enable", "--now", *units] for units in started)]
    return "#cloud-config\n" + json.dumps({"write_files": files, "runcmd": commands}, indent=1) + "\n"


def program(service: Service) -> str:
    """The program of the service: fetch, then become the container."""
    return "\n".join(("#!/bin/bash", "set -euo pipefail", "umask 077", *_fetching(service), *_running(service), ""))


def _fetching(service: Service) -> Iterator[str]:
    region = shlex.quote(service.region)
    yield "parameter() {"
    yield f'  aws ssm get-parameter --region {region} --name "$1" --with-decryption \\'
    yield "    --query Parameter.Value --output text"
    yield "}"
    yield f"key=$(parameter {shlex.quote(service.key_parameter)})"
    variable = {"llamacpp": "LLAMA_API_KEY", "vllm": "VLLM_API_KEY"}[service.engine]
    yield f"""printf '%s=%s\\n' {variable} "$key" > "$RUNTIME_DIRECTORY/environment\""""
    if service.hf_token_parameter is not None:
        yield f"token=$(parameter {shlex.quote(service.hf_token_parameter)})"
        yield """printf '%s=%s\\n' HF_TOKEN "$token" >> "$RUNTIME_DIRECTORY/environment\""""
    if ".dkr.ecr." in service.image.partition("/")[0]:
        registry = shlex.quote(service.image.partition("/")[0])
        yield f"aws ecr get-login-password --region {registry.split('.')[3]} \\"
        yield f"  | docker login --username AWS --password-stdin {registry}"
    if service.from_s3.endswith(".gguf"):
        yield f'aws s3 cp --region {region} {shlex.quote(service.from_s3)} "$CACHE_DIRECTORY{_WEIGHTS}/"'
    elif service.from_s3:
        yield f'aws s3 sync --region {region} {shlex.quote(service.from_s3)} "$CACHE_DIRECTORY{_WEIGHTS}/"'


def _running(service: Service) -> Iterator[str]:
    yield "docker rm --force compose-model >/dev/null 2>&1 || true"
    if service.has_gpu and service.engine == "vllm":
        yield "gpus=$(nvidia-smi -L | wc -l)"
    yield "exec docker run --rm --name compose-model \\"
    options = [f"--publish {PORT}:{PORT}", '--env-file "$RUNTIME_DIRECTORY/environment"']
    if service.has_gpu:
        options.append("--gpus all")
    if service.shm_bytes is not None:
        options.append(f"--shm-size {service.shm_bytes}")
    if service.keeps_weights or service.from_s3:
        options.append('--volume "$CACHE_DIRECTORY:/cache" --env LLAMA_CACHE=/cache --env HF_HOME=/cache/huggingface')
    yield from (f"  {option} \\" for option in options)
    yield f"  {shlex.quote(service.image)} \\"
    words = [f"--host 0.0.0.0 --port {PORT}", *(shlex.quote(word) for word in _engine_arguments(service))]
    if service.has_gpu and service.engine == "vllm":
        words.append('--tensor-parallel-size "$gpus"')
    yield "  " + " ".join(words)


def _engine_arguments(service: Service) -> Iterator[str]:
    if service.from_s3:
        name = service.from_s3.rpartition("/")[2] if service.from_s3.endswith(".gguf") else ""
        yield from ("--model", f"/cache{_WEIGHTS}/{name}")
    if service.has_gpu and service.engine == "llamacpp" and "--n-gpu-layers" not in service.arguments:
        yield from ("--n-gpu-layers", "999")
    yield from service.arguments
