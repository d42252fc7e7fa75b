"""What a machine's timers start: the programs of its user data, really run by bash, with stand-ins for what they ask.

`curl` is the machine's metadata, version 2 only: a token first, then the tags, where the machine may read them. `date`
tells the cloud's time, and `shutdown` notes that the machine was shut down.
"""

from __future__ import annotations

import base64
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from infra.localaws.ec2.boot import BadBoot, cloud_config, started

_SECONDS = 10.0
_CURL = """#!/bin/sh
token= method=GET
while [ $# -gt 1 ]; do
  case "$1" in
    --request) method=$2; shift ;;
    --header) case "$2" in "X-aws-ec2-metadata-token: local") token=local ;; esac; shift ;;
    --max-time | --noproxy) shift ;;
  esac
  shift
done
path=${1#http://169.254.169.254}
[ "$method $path" = "PUT /latest/api/token" ] && { printf local; exit 0; }
[ "$token" = local ] || exit 22
case "$path" in
  /latest/meta-data/tags/instance) ls "$LOCAL_TAGS" 2>/dev/null || exit 22 ;;
  /latest/meta-data/tags/instance/*) cat "$LOCAL_TAGS/${path##*/}" 2>/dev/null || exit 22 ;;
  *) exit 22 ;;
esac
"""
_DATE = '#!/bin/sh\nprintf %s "$LOCAL_NOW"\n'
_SHUTDOWN = '#!/bin/sh\n: > "$LOCAL_DOWN"\n'


def timed_programs(user_data: str) -> tuple[str, ...]:
    """The programs that timers of these user data (base64) start; none where cloud-init cannot read them."""
    try:
        files, commands = cloud_config(base64.b64decode(user_data).decode())
    except (BadBoot, ValueError):
        return ()
    names = (name.removesuffix(".timer") for name, _ in started(files, commands, ".timer"))
    services = (files.get(f"/etc/systemd/system/{name}.service") for name in names)
    return tuple(_programs(files, [str(service["content"]) for service in services if service is not None]))


def _programs(files: Mapping[str, Mapping[str, object]], services: list[str]) -> Iterator[str]:
    for text in services:
        found = re.search(r"^ExecStart=(\S+)$", text, re.MULTILINE)
        if found is not None and found[1] in files:
            yield str(files[found[1]]["content"])


def shuts_down(program: str, tags: Mapping[str, str] | None, now: datetime) -> bool:
    """Whether the program shuts its machine down at this time. `tags`: None where the machine may not read them."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for folder in ("bin", "state"):
            (root / folder).mkdir()
        for command, text in (("curl", _CURL), ("date", _DATE), ("shutdown", _SHUTDOWN)):
            (root / "bin" / command).write_text(text)
            (root / "bin" / command).chmod(0o755)
        if tags is not None:
            (root / "tags").mkdir()
            for key, value in tags.items():
                (root / "tags" / key).write_text(value)
        environment = {
            "PATH": f"{root / 'bin'}:/usr/bin:/bin",
            "STATE_DIRECTORY": str(root / "state"),
            "LOCAL_TAGS": str(root / "tags"),
            "LOCAL_NOW": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "LOCAL_DOWN": str(root / "down"),
        }
        subprocess.run(["bash", "-s"], input=program, env=environment, capture_output=True, text=True, timeout=_SECONDS)
        return (root / "down").exists()
