"""How a deployment goes: marked, machines terminated and seen terminated, what they used, the launch template last.

The mark is on the launch template and on the machines before anything is removed. Whoever comes after a crash sees that
it is to go, and as long as the template is there knows that parts may be left.

A machine that was asked for may not be shown yet. A security group of its own that can be deleted vouches for there
being none; where there is no such group, the template stays until every machine must have shown itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from drivers.aws.ec2 import names
from drivers.aws.ec2.expiry import moment_of, text_of
from drivers.aws.ec2.keys import Keys
from drivers.aws.ec2.platform import Platform, named
from drivers.aws.ec2.standing import alive, deleting, ours
from drivers.aws.ec2.things import Machine, Template
from drivers.aws.tags import is_ours
from drivers.base import Deployment, Observation, Phase

UNSEEN = timedelta(minutes=5)
"""For so long a listing may lack what was just made (EC2 developer guide, "Eventual consistency")."""


def mark(platform: Platform, template: Template | None, machines: Sequence[Machine], now: datetime) -> None:
    """Say on the platform that it is to go, and since when."""
    things: list[Template | Machine] = [*alive(machines)]
    if template is not None:
        things.append(template)
    unmarked = [thing.id for thing in things if names.DELETING not in thing.tags]
    if unmarked:
        platform.tag(unmarked, {names.DELETING: text_of(now)})


def terminate(platform: Platform, machines: Sequence[Machine]) -> Observation | None:
    """Ask for the machines' end; None when all were seen to have ended."""
    left = alive(machines)
    asked = [machine.id for machine in left if machine.state != "shutting-down"]
    if asked:
        platform.terminate(asked)
    return deleting("the machine is going") if left else None


def is_unseen(template: Template | None, now: datetime) -> bool:
    """Whether a machine may have been started from the template, shortly before that was marked, of which nobody shows
    anything yet."""
    if template is None:
        return False
    since = moment_of(template.tags[names.DELETING]) if names.DELETING in template.tags else now
    return since is not None and now < since + UNSEEN


def remove_rest(platform: Platform, deployment: Deployment, keys: Keys, *, unseen: bool) -> Observation:
    """Security group, key and launch template, once no machine is left. ABSENT when all of them are gone. `unseen`:
    there may be a machine all the same."""
    for group in platform.groups(named(deployment.name)):
        if is_ours(group.tags, deployment):
            if not platform.delete_group(group.id):
                return deleting("something still uses its security group")
            unseen = False
    if unseen:
        return deleting("a machine that was asked for may not be shown yet")
    keys.forget(deployment, platform)
    if ours(platform.template(deployment.name), deployment) is not None:
        platform.delete_template(deployment.name)
    return Observation(phase=Phase.ABSENT)
