"""The local cloud in a process of its own: `python -m infra.localaws` prints a line of JSON, with its `port` and the
`environment` that a client needs, and ends with its standard input."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from infra.localaws.localaws import LocalAws, environment
from infra.localaws.servers import Servers


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.localaws", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="where to answer; a free port by default")
    parser.add_argument("--llama-server", type=Path, help="run this as containers; without it they echo")
    parser.add_argument("--weights", type=Path, help="the GGUF file that each llama-server gets, whatever it asks for")
    parser.add_argument("--latency", type=float, help="seconds that creating, updating and deleting take")
    given = parser.parse_args()
    servers = Servers(given.llama_server.resolve(), given.weights.resolve()) if given.llama_server else None
    with LocalAws(servers, given.port) as cloud:
        if given.latency is not None:
            cloud.latencies(create_s=given.latency, update_s=given.latency, delete_s=given.latency)
        print(json.dumps({"port": cloud.port, "environment": environment(cloud.port)}), flush=True)
        sys.stdin.read()
    sys.stdout.flush()
    os._exit(0)  # threads that still hold a client's connection are not waited for


if __name__ == "__main__":
    main()
