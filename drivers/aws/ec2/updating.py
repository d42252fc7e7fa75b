"""What changes in place: `cloud.ttl`, by the tags of what is there. Everything else is decided when a machine starts.

The tags that say the spec are written in one call, so that whoever reads them reads one spec or the other. The moment
is what is looked at afterwards, so it comes last: as long as it is not that of the spec, an observation is not settled,
and update is called again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from drivers.aws.ec2 import requests
from drivers.aws.ec2.expiry import EXPIRES
from drivers.aws.ec2.platform import Platform
from drivers.aws.ec2.things import Machine, Template
from drivers.aws.tags import PIECE, SPEC, tags_of
from drivers.base import Deployment


def retag(
    platform: Platform, deployment: Deployment, template: Template | None, machines: Sequence[Machine], *, alone: bool
) -> None:
    """Have launch template and machines say the deployment's spec. `alone`: the machines end by themselves."""
    if template is not None:
        _retag(platform, template, tags_of(deployment))
    for machine in machines:
        _retag(platform, machine, requests.machine_tags(deployment) if alone else tags_of(deployment))


def _retag(platform: Platform, thing: Machine | Template, wanted: Mapping[str, str]) -> None:
    said = {key: value for key, value in wanted.items() if _is_of_the_spec(key)}
    surplus = [key for key in thing.tags if _is_of_the_spec(key) and key not in said]
    # Pieces of a longer spec would be read as part of the new one, so they are emptied in the same call.
    emptied = {key: "" for key in surplus if key.startswith(PIECE)}
    changed = {key: value for key, value in (said | emptied).items() if thing.tags.get(key) != value}
    if changed:
        platform.tag([thing.id], changed)
    if surplus:
        platform.untag(thing.id, surplus)


def _is_of_the_spec(key: str) -> bool:
    """Whether a change in place may change this tag; all others are as they were made, or somebody else's."""
    return key in (SPEC, EXPIRES) or key.startswith(PIECE)
