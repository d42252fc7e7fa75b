"""The figures that the project promises, each measured against something on the same machine in the same minutes.

    make bench                        as a table
    make bench ARGS='--format json'   for a program
    make bench ARGS='--only plan'     one of: help, plan, start, seen, memory, recovery

Ends with 1 where an aim was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from infra.bench import offline, online, recovery
from infra.bench.measure import Result

BENCHES: Mapping[str, Callable[[Path], Iterator[Result]]] = {
    "help": offline.help_against_python,
    "plan": offline.plan_against_compose,
    "start": online.endpoint_against_bare_server,
    "seen": online.change_seen,
    "memory": online.idle_memory,
    "recovery": recovery.recovery_after_a_kill,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--only", choices=tuple(BENCHES), action="append")
    arguments = parser.parse_args()
    # As for a user: what is measured must not depend on who started the benchmark.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    results: list[Result] = []
    for name in arguments.only or BENCHES:
        with tempfile.TemporaryDirectory(prefix="reconcile-bench-") as folder:
            for result in BENCHES[name](Path(folder)):
                results.append(result)
                if arguments.format == "text":
                    print(result.as_line(), flush=True)
    if arguments.format == "json":
        print(json.dumps({"format_version": "1", "results": [result.as_json() for result in results]}, indent=2))
    return 0 if all(result.met for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
