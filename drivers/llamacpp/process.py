"""Processes that outlive us: start one detached, recognise it again for certain, signal it and never a stranger.

A pid alone proves nothing: pids are reused. A process is ours when it began at the recorded tick, under this boot of
the kernel, and carries our marker in its environment, which no program inherits by chance.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

MARKER, LINEAGE = "CMR_DEPLOYMENT", "CMR_LINEAGE"
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything a server is started with."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    """All of it: nothing is inherited."""
    folder: Path
    log: int
    """Descriptor for stdout and stderr."""
    lock: int
    """Descriptor that the server inherits and holds for as long as it lives."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One process as /proc shows it now."""

    pid: int
    ticks: int
    """When it began, in clock ticks since boot."""
    marks: Mapping[str, str]
    """The CMR_ variables of its environment."""


Start = Callable[[Launch], int]
"""Starts a server and returns its pid at once. Raises OSError when the program cannot be run."""

# Children of this very process. Popen objects must be kept: they are how a dead child is reaped and its status known.
_children: dict[int, subprocess.Popen[bytes]] = {}
_guard = threading.Lock()


def start(launch: Launch) -> int:
    """Start a server in a session of its own: no terminal, no shell, no descriptor but the log and the lock."""
    import subprocess

    child = subprocess.Popen(
        launch.argv,
        stdin=subprocess.DEVNULL,
        stdout=launch.log,
        stderr=launch.log,
        cwd=launch.folder,
        env=dict(launch.environment),
        umask=0o077,
        start_new_session=True,
        close_fds=True,
        pass_fds=(launch.lock,),
    )
    with _guard:
        _children[child.pid] = child
    return child.pid


def exit_status(pid: int) -> int | None:
    """The return code of a dead child of ours (negative: the signal that ended it). None: alive, or not our child."""
    with _guard:
        child = _children.get(pid)
        return child.poll() if child is not None else None


def look(pid: int) -> Seen | None:
    """The process with this pid; None where there is none, it is a zombie, or it belongs to another user."""
    ticks = _began(pid)
    try:
        environ = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    if ticks is None:
        return None
    pairs = (entry.partition(b"=") for entry in environ.split(b"\0") if entry.startswith(b"CMR_"))
    marks = {name.decode(errors="replace"): value.decode(errors="replace") for name, _, value in pairs}
    return Seen(pid, ticks, marks)


def is_dying(pid: int, ticks: int) -> bool:
    """Whether a process that `look` no longer sees is still on its way out, so that its status is yet to come.

    A child of ours is until it can be reaped: with many threads its main one is a zombie before the others are gone.
    Of anybody else's child a zombie is all there will ever be to see.
    """
    with _guard:
        child = _children.get(pid)
        if child is not None and child.poll() is None:
            return True
    try:
        return _began(pid) == ticks and not (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False


def _began(pid: int) -> int | None:
    try:
        # The name may hold anything, also blanks and parentheses: the fields begin after the last one.
        fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[19]) if len(fields) > 19 and fields[0] not in (b"Z", b"X") else None


def marked() -> Iterator[Seen]:
    """All living processes of this user that carry our marker."""
    for entry in os.scandir(_PROC):
        if not entry.name.isdigit():
            continue
        try:
            environ = (_PROC / entry.name / "environ").read_bytes()
        except OSError:
            continue
        if MARKER.encode() + b"=" in environ:
            seen = look(int(entry.name))
            if seen is not None and MARKER in seen.marks:
                yield seen


def send(seen: Seen, number: signal.Signals) -> bool:
    """Signal exactly that process. False where it is gone or the pid is somebody else's by now."""
    try:
        handle = os.pidfd_open(seen.pid)
    except ProcessLookupError:
        return False
    except OSError:
        # A kernel without pidfds (before 5.3, or a filter): the check directly before the signal must do.
        return _send_by_pid(seen, number)
    try:
        # From here on the handle is bound to one process; if that is still the one we mean, nothing can go wrong.
        if look(seen.pid) != seen:
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def _send_by_pid(seen: Seen, number: signal.Signals) -> bool:
    if look(seen.pid) != seen:
        return False
    try:
        os.kill(seen.pid, number)
    except ProcessLookupError:
        return False
    return True


def forbid_core_dumps(pid: int) -> None:
    """No core files: they would hold prompts and the key. From outside: code between fork and exec is unsafe."""
    import resource

    try:
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        return  # gone already, or hardened by the operator to the same effect


def held_bytes(pid: int, ticks: int) -> int:
    """Memory of exactly that process which nobody can push out: its own, shared, or locked. Mapped files are not."""
    try:
        lines = (_PROC / str(pid) / "status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    if _began(pid) != ticks:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("RssAnon:", "RssShmem:", "VmLck:")))


def boot_id() -> str:
    """The identity of this run of the kernel."""
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def oom_kills() -> int:
    """How many processes this kernel has killed for want of memory since it booted; 0 where it does not say."""
    try:
        lines = (_PROC / "vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def describe(status: int) -> str:
    """A return code in words."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
