"""What EC2 knows beside moto: client tokens, what is due, what cannot be seen yet, and what its machines run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from infra.localaws.ec2.listeners import free_address
from infra.localaws.ec2.machines import PORT, Machines
from infra.localaws.overlay import Surroundings

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
BOOT_S, SHUTDOWN_S, VISIBLE_S = 30.0, 40.0, 3600.0
"""From pending to running, from shutting-down to terminated, and how long a terminated one can be seen."""


@dataclass(slots=True)
class Bound:
    """A client token that was used, the request in it, and what came of it."""

    request: Any
    reservation: Any


@dataclass
class World:
    """One per cloud; made anew by a reset."""

    around: Surroundings
    machines: Machines
    tokens: dict[tuple[str, str], Bound] = field(default_factory=dict)
    due: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    """Instance to when it enters its next state."""
    hidden: dict[str, datetime] = field(default_factory=dict)
    """Instance to when descriptions show it."""
    lag_s: float = 0.0
    impaired: set[str] = field(default_factory=set)
    asked: set[tuple[str, str]] = field(default_factory=set)
    """Instance and moment for which its timers were carried out."""
    failures: dict[str, str] = field(default_factory=dict)
    """Auto Scaling group to why it could not start a machine."""

    def now(self) -> datetime:
        return self.around.clock.now()

    def in_s(self, seconds: float) -> datetime:
        return self.now() + timedelta(seconds=seconds)

    def begin(self, instance: Any) -> None:
        """A machine that was just started: pending, at an address of this computer."""
        instance._state.name, instance._state.code = "pending", 0
        self.due[instance.id] = (self.in_s(BOOT_S), "running")
        if self.lag_s:
            self.hidden[instance.id] = self.in_s(self.lag_s)
        interface, address = instance.nics[0], free_address(PORT)
        interface.private_ip_address = address
        interface.private_ip_addresses = [{"Primary": True, "PrivateIpAddress": address}]
        if interface.public_ip:
            interface.public_ip = address

    def end(self, instance: Any, code: str, message: str) -> None:
        """A machine that is being terminated, for this reason."""
        from moto.ec2.models.instances import StateReason

        instance._state.name, instance._state.code = "shutting-down", 32
        instance.state_reason = StateReason(f"{code}: {message}", code)
        self.due[instance.id] = (self.in_s(SHUTDOWN_S), "terminated")
        self.machines.stop(instance.id)

    def is_hidden(self, instance: Any) -> bool:
        until = self.hidden.get(instance.id)
        return until is not None and self.now() < until

    def settle(self, now: datetime) -> None:
        """Let machines enter the states that are due."""
        for instance in tuple(self.instances()):
            if instance._state.name == "running":
                self.run_timers(instance, now)
            at, state = self.due.get(instance.id, (None, ""))
            if at is None or at > now:
                continue
            del self.due[instance.id]
            if state == "running":
                instance._state.name, instance._state.code = "running", 16
                self.boot(instance)
            elif state == "terminated":
                finish(instance)
                self.due[instance.id] = (now + timedelta(seconds=VISIBLE_S), "forgotten")
            else:
                self.forget(instance)

    def boot(self, instance: Any) -> None:
        """Its user data are carried out. Parameters are read with the role of its instance profile, if it has one."""
        profile = instance.ec2_backend.iam_instance_profile_associations.get(instance.id)
        parameters = dict(self._parameters(instance)) if profile is not None else None
        self.machines.start(instance.id, instance.private_ip, str(instance.user_data or ""), parameters)

    def run_timers(self, instance: Any, now: datetime) -> None:
        """What its timers do every minute, as far as it ends the machine: tried once for every moment among its tags
        that is past, because a program costs time."""
        tags = dict(instance.ec2_backend.tags.get(instance.id, {}))
        past = {(instance.id, value) for value in tags.values() if _MOMENT.fullmatch(value) and value <= _text(now)}
        if past <= self.asked or instance.id not in self.machines.booted:
            return
        self.asked |= past
        readable = instance.metadata_options.instance_metadata_tags == "enabled"
        if self.machines.shuts_down(instance.id, tags if readable else None, now):
            self.shut_down(instance)

    def shut_down(self, instance: Any) -> None:
        """From within: what becomes of it then was said at its start."""
        if instance.instance_initiated_shutdown_behavior == "terminate":
            self.end(instance, "Client.InstanceInitiatedShutdown", "Instance initiated shutdown")
        else:
            self.machines.stop(instance.id)
            instance._state.name, instance._state.code = "stopped", 80

    def forget(self, instance: Any) -> None:
        reservations = instance.ec2_backend.reservations
        for id in [id for id, one in reservations.items() if instance in one.instances]:
            del reservations[id]

    def instances(self) -> Iterator[Any]:
        for _, backend in self.around.moto.backends("ec2"):
            for reservation in tuple(backend.reservations.values()):
                yield from tuple(reservation.instances)

    def instance(self, id: str) -> Any:
        found = next((one for one in self.instances() if one.id == id), None)
        if found is None:
            raise KeyError(f"there is no machine {id}")
        return found

    def _parameters(self, instance: Any) -> Iterator[tuple[str, str]]:
        said: dict[str, list[Any]] = self.around.moto.backend("ssm", instance.region_name)._parameters
        for name, versions in tuple(dict.items(said)):
            if not name.startswith("/aws/"):
                yield name, str(versions[-1].decrypt(versions[-1].value))


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def finish(instance: Any) -> None:
    """moto's own termination, with the reason that was given when it began."""
    from infra.localaws.ec2.mending import terminate_at_once

    reason = instance.state_reason
    terminate_at_once(instance)
    instance.state_reason = reason
