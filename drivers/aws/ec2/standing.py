"""What the states of a deployment's parts mean, as far as that can be said without asking its model. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from drivers.aws.ec2 import health
from drivers.aws.ec2.names import DELETING
from drivers.aws.ec2.options import is_public
from drivers.aws.ec2.things import Machine, Template
from drivers.aws.tags import is_ours
from drivers.base import Deployment, Observation, Phase

INSTANCE, IMAGE, TYPE, ZONE = "instance", "image", "type", "zone"
"""Keys of the handle."""
DELETED = "somebody deleted its launch template, and not all that hangs on it"
KEY_LOST = "its key is lost: the parameter is gone, and so is the copy here"
_BEST_FIRST = ("running", "pending", "stopping", "stopped", "shutting-down", "terminated")
_ENDS = {
    "Server.SpotInstanceTermination": "AWS took the spot machine back",
    "Server.SpotInstanceShutdown": "AWS took the spot machine back",
    "Server.InsufficientInstanceCapacity": "AWS had no capacity for the machine after all",
    "Client.InstanceInitiatedShutdown": "the machine shut itself down",
    "Client.UserInitiatedShutdown": "somebody terminated the machine",
}


def best(machines: Iterable[Machine]) -> Machine | None:
    """The machine that counts: one that runs, else the one that is nearest to it."""
    known = sorted(machines, key=lambda one: (_rank(one.state), one.id))
    return known[0] if known else None


def alive(machines: Iterable[Machine]) -> tuple[Machine, ...]:
    """Those that are paid for."""
    return tuple(machine for machine in machines if not machine.is_gone)


def ours(template: Template | None, deployment: Deployment) -> Template | None:
    """The launch template where it belongs to this deployment."""
    return template if template is not None and is_ours(template.tags, deployment) else None


def is_foreign(machine: Machine, deployment: Deployment) -> bool:
    """Whether a machine that is remembered as this deployment's is not ours (any more), and there."""
    return not machine.is_gone and not is_ours(machine.tags, deployment)


def foreign(machine: Machine) -> str:
    """What to say of it."""
    return f"{machine.id} does not carry our tags any more; it is left alone, and goes on costing money"


def without_machine(deployment: Deployment, template: Template | None, gone: Machine | None) -> Observation:
    """No machine is left, or none was there yet. The launch template is the first part to come and the last to go."""
    if ours(template, deployment) is None:
        detail = "a launch template of its name does not carry our tags" if template is not None else ""
        return Observation(phase=Phase.ABSENT, detail=detail, foreign=template is not None)
    assert template is not None
    if DELETING in template.tags:
        return deleting("its parts are being removed")
    if gone is not None:
        return Observation(phase=Phase.FAILED, detail=why_gone(gone))
    return Observation(phase=Phase.ABSENT, detail="it is prepared, and no machine was started yet")


def by_state(deployment: Deployment, machine: Machine, where: Mapping[str, str], key_file: str) -> Observation | None:
    """What a machine's state says; None for one that runs: it has to be asked."""
    known = handle(deployment, machine, where)
    if DELETING in machine.tags or machine.state == "shutting-down":
        return deleting("the machine is going")
    if machine.state == "pending":
        return health.creating(deployment, known, "the machine is starting")
    if machine.state in ("stopping", "stopped"):
        endpoint = health.endpoint(deployment, address(deployment, machine), key_file)
        return health.degraded(deployment, endpoint, known, "somebody stopped the machine")
    if machine.state != "running":
        return Observation(phase=Phase.UNKNOWN, detail=f"EC2 says its machine is {machine.state}")
    return None


def deleting(detail: str) -> Observation:
    return Observation(phase=Phase.DELETING, detail=detail, look_again_s=10.0)


def why_gone(machine: Machine) -> str:
    """Why a terminated machine was terminated."""
    code = machine.reason.partition(":")[0]
    known = _ENDS.get(code, "the machine was terminated")
    return f"{known} ({machine.reason})" if machine.reason else known


def address(deployment: Deployment, machine: Machine) -> str:
    """Where clients reach it: the private address, unless the file asks for a public endpoint."""
    return machine.public_address if is_public(deployment.spec) else machine.private_address


def handle(deployment: Deployment, machine: Machine, where: Mapping[str, str]) -> dict[str, str]:
    """What is to be remembered: `where` it is, and what was chosen for it once."""
    kept = {key: value for key, value in deployment.handle.items() if key == health.ANSWERED and value == machine.id}
    return {
        **where,
        INSTANCE: machine.id,
        IMAGE: machine.image,
        TYPE: machine.type,
        ZONE: machine.zone,
        **kept,
    }


def _rank(state: str) -> int:
    return _BEST_FIRST.index(state) if state in _BEST_FIRST else len(_BEST_FIRST)
