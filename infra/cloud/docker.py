"""The commands `docker` and `docker compose` of a lab whose one service, `app`, always runs: `docker.py FOLDER …`.

`up` makes its container anew with what the last of the files says, as Compose does, and so only if it is called: what a
container was started with it keeps. Its environment lies in FOLDER, where the platform looks for addresses that are in
use. Imports next to nothing, because a reconciler calls it several times in each pass.
"""

import itertools
import json
import os
import re
import stat
import sys

SERVICE = "app"


def install(folder: str) -> str:
    """Make the command below the folder; the directory to put first on the path."""
    place = os.path.join(folder, "bin")
    os.makedirs(place, exist_ok=True)
    command = os.path.join(place, "docker")
    with open(command, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{os.path.abspath(__file__)}" "{folder}" "$@"\n')
    os.chmod(command, stat.S_IRWXU)
    return place


def environment(folder: str) -> dict[str, str]:
    """What the running container was started with."""
    try:
        with open(_container(folder), encoding="utf-8") as file:
            return dict(line.rstrip("\n").split("=", 1) for line in file)
    except FileNotFoundError:
        return {}


def _container(folder: str) -> str:
    return os.path.join(folder, "container.env")


def _up(folder: str, words: list[str]) -> None:
    override = [file for flag, file in itertools.pairwise(words) if flag == "--file"][-1]
    with open(override, encoding="utf-8") as file:
        said = re.findall(r'^ +([A-Z_]+): "(.*)"$', file.read(), re.MULTILINE)
    beside = _container(folder) + ".new"
    with open(beside, "w", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in said)
    os.rename(beside, _container(folder))


def main(folder: str, *words: str) -> None:
    if words[:2] == ("compose", "version"):
        print("Docker Compose version v2.40.3")
    elif words[0] == "compose" and "ps" in words:
        print(json.dumps({"Service": SERVICE, "State": "running"}))
    elif words[0] == "compose" and "up" in words:
        _up(folder, list(words))
    elif words[0] == "ps":
        print(SERVICE)
    elif words[0] == "inspect":
        values = [f"{name}={value}" for name, value in environment(folder).items()]
        labels = {"com.docker.compose.service": SERVICE}
        print(json.dumps([{"Config": {"Env": values, "Labels": labels}}]))
    else:
        sys.exit(f"this docker does not know {words}")


if __name__ == "__main__":
    main(*sys.argv[1:])
