"""How each fault is done to the scene, and undone. Each returns when the rest is the reconciler's."""

from __future__ import annotations

import os
import random
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from types import MappingProxyType

from infra.lab import NotInTime
from infra.soak.looks import Server
from infra.soak.schedule import Fault
from infra.soak.stage import LEASE_S, SLOTS, Stage

BROKEN: Mapping[str, str] = MappingProxyType(
    {
        "an empty file": "",
        "a conflict": "<<<<<<< HEAD\nname: soak\n=======\nname: sock\n>>>>>>> other\n",
        "half a file": "name: soak\nservices:\n  app: {image: busybox, mod",
        "models gone": "name: soak\nservices:\n  app: {image: busybox}\nmodels:\n",
        "an unknown option": "name: soak\nmodels:\n  alpha: {model: ai/smollm2, contextsize: 3}\n",
    }
)

Deed = Callable[[Stage, random.Random, ExitStack], str]
"""Does the fault, waits as long as it is to last, undoes it. What must last until everything is well again is left on
the stack. Returns what was done in detail, for people. Raises NotInTime where there was nobody to do it to."""


def possible(stage: Stage) -> tuple[Fault, ...]:
    """What can be done here."""
    return tuple(fault for fault in Fault if fault is not Fault.FILL_DISK or stage.has_own_disk)


def _kill_leader(stage: Stage, chance: random.Random, leave: ExitStack) -> str:
    return _killed(stage, chance, stage.wait_for_leader())


def _kill_stand_by(stage: Stage, chance: random.Random, leave: ExitStack) -> str:
    return _killed(stage, chance, stage.stand_by())


def _killed(stage: Stage, chance: random.Random, slot: str) -> str:
    stage.kill(slot)
    stage.pause(chance.uniform(0.5, 8.0))
    stage.start(slot)
    return f"the {slot} one"


def _end_leader(stage: Stage, chance: random.Random, leave: ExitStack) -> str:
    slot = stage.wait_for_leader()
    stage.stop(slot)
    stage.pause(chance.uniform(0.5, 8.0))
    stage.start(slot)
    return f"the {slot} one"


def _freeze_leader(stage: Stage, chance: random.Random, leave: ExitStack) -> str:
    slot = stage.wait_for_leader()
    stage.freeze(slot)
    try:
        stage.change(chance)  # something that it does not know of when it wakes up
        stage.pause(LEASE_S + 15.0)
        if not stage.is_over and stage.leader() in (None, slot):
            raise NotInTime(f"the {slot} service is stopped for {LEASE_S + 15:g} s and nobody took over")
    finally:
        stage.thaw(slot)
    return f"the {slot} one, and a commit meanwhile"


def _kill_server(stage: Stage, chance: random.Random, leave: ExitStack) -> str:
    return _hit_server(stage, chance, signal.SIGKILL).model


def _hang_server(stage: Stage, chance: random.Random, leave: ExitStack) -> str:
    return _hit_server(stage, chance, signal.SIGSTOP).model


def _take_port(stage: Stage, chance: random.Random, leave: ExitStack) -> str:
    values = stage.values()
    server = _hit_server(stage, chance, signal.SIGKILL)
    port = int(values[f"{server.model.upper()}_URL"].rpartition(":")[2].partition("/")[0])
    # It may take a moment until the kernel gives the port away.
    for _ in range(200):
        with suppress(OSError):
            leave.enter_context(socket.create_server(("127.0.0.1", port)))
            return f"{server.model}, port {port}"
        stage.pause(0.01)
    return f"{server.model}; port {port} was taken again before we could"


def _hit_server(stage: Stage, chance: random.Random, number: signal.Signals) -> Server:
    """A server that serves now."""
    recorded = stage.recorded()
    active = {id for id, record in recorded.deployments.items() if record.active} if recorded is not None else set()
    serving = [
        server for server in stage.servers() if server.deployment in active and server.model in stage.wish.models
    ]
    if not serving:
        raise NotInTime("no server serves")
    server = chance.choice(sorted(serving, key=lambda one: one.model))
    stage.hurt.add(server.deployment)
    os.kill(server.pid, number)
    return server


def _edit_override(stage: Stage, chance: random.Random, leave: ExitStack) -> str:
    with stage.lab.override.open("a", encoding="utf-8") as file:
        file.write("# edited by hand\n")
    return ""


def _delete_override(stage: Stage, chance: random.Random, leave: ExitStack) -> str:
    stage.lab.override.unlink()
    return ""


def _rewind(stage: Stage, chance: random.Random, leave: ExitStack) -> str:
    with stage.repository:
        if stage.copy is None:
            stage.keep_copy()
        for slot in SLOTS:
            stage.stop(slot)
        arguments = ("--config", str(stage.lab.configuration), "recover", "--from", str(stage.copy), "--yes")
        done = stage.lab.reconcile(*arguments)
        for slot in SLOTS:
            stage.start(slot)
    if done.returncode != 0:
        raise NotInTime(f"recover ended with {done.returncode}: {done.stderr.strip()}")
    return ""


def _work_tree(stage: Stage, chance: random.Random, leave: ExitStack) -> str:
    repository = stage.lab.repository
    file, lock = repository / "compose.yaml", repository / ".git" / "index.lock"
    with stage.repository:
        text = file.read_text(encoding="utf-8")
        lock.touch()
        try:
            for step in ("", text[: len(text) // 2], None, text.partition("models:")[0]):
                file.unlink(missing_ok=True)
                if step is not None:
                    file.write_text(step, encoding="utf-8")
                stage.pause(1.5)
        finally:
            lock.unlink()
            stage.lab.git("checkout", "--", ".")
    return ""


def _break_compose(stage: Stage, chance: random.Random, leave: ExitStack) -> str:
    name = chance.choice(sorted(BROKEN))
    with stage.repository:
        stage.commit_text(BROKEN[name], f"broken: {name}")
        stage.pause(12.0)
        stage.commit_text(stage.wish.as_compose(), "mended")
    return name


def _fill_disk(stage: Stage, chance: random.Random, leave: ExitStack) -> str:
    filler = stage.disk / "somebody-elses-file"
    try:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(64 << 10))
        message = stage.change(chance)
        stage.pause(20.0)
    finally:
        filler.unlink()
    return message


DEEDS: Mapping[Fault, Deed] = MappingProxyType(
    {
        Fault.KILL_LEADER: _kill_leader,
        Fault.KILL_STAND_BY: _kill_stand_by,
        Fault.END_LEADER: _end_leader,
        Fault.FREEZE_LEADER: _freeze_leader,
        Fault.KILL_SERVER: _kill_server,
        Fault.HANG_SERVER: _hang_server,
        Fault.TAKE_PORT: _take_port,
        Fault.EDIT_OVERRIDE: _edit_override,
        Fault.DELETE_OVERRIDE: _delete_override,
        Fault.REWIND: _rewind,
        Fault.WORK_TREE: _work_tree,
        Fault.BREAK_COMPOSE: _break_compose,
        Fault.FILL_DISK: _fill_disk,
    }
)
