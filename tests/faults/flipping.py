"""Somebody who switches branches without end, as a program: `python -m tests.faults.flipping REPOSITORY REAL IMITATED`.

So many times with the real `git checkout`, and so many times with what that does to the disk, in its order: each file
of the work tree removed, made anew and written in two parts, then HEAD replaced. Says `done` at the end.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BRANCHES = ("one", "two")
FILES = ("compose.override.yaml", "compose.yaml")


def text(branch: str, name: str) -> str:
    """What a file says on a branch; each of the two brings one model, so that a mixture shows."""
    part = "a" if name == "compose.yaml" else "b"
    model = f"{branch}-{part}"
    return (
        f"name: flips\nservices:\n  {model}: {{image: app, models: [{model}]}}\nmodels:\n  {model}: {{model: ai/m}}\n"
    )


def main(repository: Path, real: int, imitated: int) -> None:
    for number in range(real):
        subprocess.run(["git", "checkout", "-q", BRANCHES[number % 2]], cwd=repository, check=True)
    for number in range(imitated):
        _flip(repository, BRANCHES[number % 2])
    print("done", flush=True)


def _flip(repository: Path, branch: str) -> None:
    for name in FILES:
        content = text(branch, name).encode()
        (repository / name).unlink()
        with open(repository / name, "wb", buffering=0) as file:
            file.write(content[:40])
            file.write(content[40:])
    lock = repository / ".git" / "HEAD.lock"
    lock.write_text(f"ref: refs/heads/{branch}\n", encoding="ascii")
    os.rename(lock, repository / ".git" / "HEAD")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
