"""What the soak asks of the kernel: a small disk, who holds a lock, whether a process is stopped."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path


def mount(folder: Path, size_bytes: int) -> bool:
    """A disk of that size, in memory, at the folder; False where we may not."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return False
    options = f"size={size_bytes},mode=0700"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "soak", str(folder)], capture_output=True)
    return done.returncode == 0


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], check=False)


def lock_holders(folder: Path) -> set[int]:
    """Processes that hold a lock of the files in the folder, as the kernel lists them."""
    inodes = set()
    for lock in folder.glob("*.lock"):
        with suppress(OSError):
            inodes.add(lock.stat().st_ino)
    rows = (line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines())
    return {int(row[4]) for row in rows if row[1] == "FLOCK" and int(row[5].rpartition(":")[2]) in inodes}


def is_stopped(pid: int) -> bool:
    """Whether SIGSTOP holds the process."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"T"
    except OSError:
        return False
