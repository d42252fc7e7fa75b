"""What happens behind the reconcilers' backs: the store goes back or is lost, tags, names, files are tampered with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from drivers.base import Endpoint
from drivers.errors import DriverError
from drivers.fake import LocalPlatform, Thing
from state.memory import Snapshot

if TYPE_CHECKING:
    from tests.sim.world import World

KEPT_COPIES = 40
MOST_REWINDS = 2
"""In one run. More than that is no accident any more, and nothing would ever come to an end."""


def keep_copy(world: World) -> None:
    """A commit was made: remember the store as it is now, for the day it goes back."""
    world.copies = [*world.copies[1 - KEPT_COPIES :], world.store.snapshot()]


def rewind(world: World) -> None:
    """An earlier copy takes the store's place while everybody goes on. The leases in it are rows like all others, so
    whoever had one at the time of the copy has it again, and may not notice anything."""
    if world.rewinds < MOST_REWINDS and world.copies:
        world.rewinds += 1
        put_back(world, world.rng.choice(world.copies), leases=True)


def restore(world: World, copy: Snapshot) -> None:
    """As `reconcile recover` wants it: everybody is stopped, a copy is put in place, everybody starts again."""
    _all_die(world)
    put_back(world, copy, leases=False)


def reboot(world: World) -> None:
    """The host starts anew. Its processes are gone, servers and reconcilers alike, with the leases, which are counted
    from the start of a host; what lies on its disk stays, and its containers come back as they were."""
    world.note("-- the host is started anew")
    world.boots += 1
    for platform in world.platforms.values():
        if isinstance(platform, LocalPlatform):
            for thing in platform.things.values():
                if thing.deployment is not None:
                    world.excuse(thing.deployment)
            platform.reboot()
    for name in _all_die(world):
        world.store.died(name)


def _all_die(world: World) -> list[str]:
    """Every process, by name; each is started again a while later."""
    processes = {task.process.name: task.process for task in world.scheduler.tasks if not task.process.dead}
    for _, process in sorted(processes.items()):
        process.die()
    return sorted(processes)


def put_back(world: World, copy: Snapshot, *, leases: bool) -> None:
    counted = _attempts(world)
    world.store.rewind(copy, leases=leases)
    world.ledger.uncounted.update(counted - _attempts(world))
    world.rewound_at = world.scheduler.time
    world.ousted |= {(project, holder): world.rewound_at for project, (_, holder) in world.leases.items()}
    there = [record for place in world.places for record in world.store.load(place).deployments.values()]
    world.taken_out |= set(world.recorded.values()) | {name for _, name, _ in world.live()}
    world.recorded = {record.deployment.id: record.deployment.name for record in there}
    world.taken_out -= set(world.recorded.values())
    world.lost |= {name for name in world.taken_out if not _told_by_files(world, copy, name)}
    world.ledger.put_back += 1
    world.ledger.phases = {record.deployment.id: record.phase for record in there}
    world.leases = {project: (each.epoch, each.holder) for project, each in copy.claims.items()} if leases else {}
    world.given_at = dict.fromkeys(world.leases, world.rewound_at)
    for place in world.places.values():
        place.highest_ruling = place.files.epoch  # an epoch that no file ever carried is forgotten, and comes again
    world.note(f"-- the store goes back to serial {copy.serial}")


def _attempts(world: World) -> Counter[tuple[str, str]]:
    """How many attempts the record counts, by project and model."""
    books = ((place, book) for place in world.places for book in world.store.load(place).models.values())
    return Counter({(place, book.key): book.attempts for place, book in books})


def _told_by_files(world: World, copy: Snapshot, name: str) -> bool:
    """Whether files stand there that prove the copy to be older than what was: then everybody can know that it lacks
    something."""
    if name not in world.issued:
        return False
    place = world.places[world.issued[name].deployment.project]
    recorded = copy.recorded.get(place.name)
    epoch = recorded.epoch if recorded is not None else 0
    return place.files.there and (place.files.serial > copy.serial or place.files.epoch > epoch)


def strip_tags(world: World, model: str) -> None:
    """Somebody removes our tags from the things of a model: they are not ours any more."""
    for driver, platform in world.platforms.items():
        for id, thing in platform.things.items():
            if thing.deployment is not None and thing.deployment.model == model and thing.gone_at is None:
                world.note(f"-- {thing.deployment.name} lost its tags")
                world.excuse(thing.deployment)
                world.ledger.stripped[driver, id] = thing.deployment
                thing.deployment = None
                platform.strangers.add(id)


def deliver_again(world: World, model: str) -> bool:
    """A network that kept a create for longer than any call may live delivers it once more, when its deployment is
    deleted and forgotten; whether there was one."""
    for (driver, id), sent in world.sent.items():
        if sent.model == model and id not in world.recorded:
            world.note(f"-- a create of {sent.name} arrives after everybody forgot it")
            world.ledger.revived.add(sent.name)
            with suppress(DriverError):
                world.platforms[driver].create(sent)
            return True
    return False


def take_name(world: World, driver: str, name: str) -> None:
    """Somebody else has a thing of exactly the name that we are about to use."""
    platform = world.platforms[driver]
    if name not in platform.things and name in world.issued:
        platform.things[name] = Thing(None, world.true_time())
        platform.strangers.add(name)
        world.excuse(world.issued[name].deployment)
        world.note(f"-- {name} is taken by somebody else")


def edit_files(world: World, place: str) -> None:
    """Somebody writes an address of their own into the files."""
    files = world.places[place].files
    nowhere = Endpoint(url="http://192.0.2.1:1/v1/", model_id="mine")
    files.says = dict.fromkeys(files.says, nowhere)
    world.note(f"-- the files of {place} were edited")


def delete_files(world: World, place: str) -> None:
    """Somebody deletes the files; what they said about leases is gone as well."""
    files = world.places[place].files
    files.there, files.epoch, files.serial, files.says = False, 0, 0, {}
    world.places[place].highest_written = world.places[place].highest_ruling = 0
    world.note(f"-- the files of {place} were deleted")


def unrecorded(world: World) -> Iterator[str]:
    """Names of everything of ours that lives and that the record does not know."""
    recorded = {
        record.deployment.name for place in world.places for record in world.store.load(place).deployments.values()
    }
    return (name for _, name, _ in world.live() if name not in recorded)
