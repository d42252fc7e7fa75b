"""What must hold after every effect, and what must be true once the faults have stopped. Names as in the reliability
rules: S is safety, L is liveness."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from drivers.base import Deployment, Endpoint, Phase
from drivers.fake import FakeDriver, Thing
from reconciler.desired import DesiredModel
from state.record import DeploymentRecord
from state.store import Lease
from tests.sim import ledger, lifetimes
from tests.sim.mishaps import unrecorded

if TYPE_CHECKING:
    from tests.sim.world import Place, World


def before_call(world: World, holder: str, understood: bool, verb: str, driver: str, deployment: Deployment) -> None:
    """A mutating call is about to be sent by `holder`."""
    name = deployment.name
    _leased(world, holder, f"{verb} of {name}", deployment.project)
    world.calls.append((verb, driver, name))
    key = f"update {deployment.spec.digest}" if verb == "update" else verb
    if (key, name) not in world.resolved:
        world.violated("S7", f"{verb} of {name} without a durable record of it")
    if not understood:
        world.violated("S9", f"{verb} of {name} by one that never understood the source")
    if verb != "delete":
        lifetimes.before_change(world, deployment)
    if verb == "create":
        ledger.before_create(world, deployment)
        lifetimes.before_create(world, deployment)
        _asked_for(world, holder, deployment)
        sent = world.sent.setdefault((driver, deployment.id), deployment)
        if (sent.name, sent.spec) != (name, deployment.spec):
            world.violated("S13", f"create of {name} was sent again with other parameters")


def _leased(world: World, holder: str, call: str, project: str) -> None:
    """S8: whoever begins a call has the lease.

    One call is excepted, the one whose record was durable when the store went back before it could be sent: an older
    copy cannot take back a lease that is counted by its holder's own clock, and until the holder hears from the store
    again, which it does before the next call, nothing tells it.
    """
    epoch, ruling = world.leases.get(project, (0, holder))
    if ruling == holder or world.given_at[project] >= world.sent_at:
        return
    text = f"{call} was begun by {holder} when {ruling} had lease {epoch}"
    if world.heard.get(holder, math.inf) < world.ousted.get((project, holder), -math.inf):
        world.pardoned("S8", "begun before its holder could hear that the store went back", text)
    else:
        world.violated("S8", text)


def _asked_for(world: World, holder: str, deployment: Deployment) -> None:
    """S2: nobody asks for a third one where two are recorded. Excepted is whoever wrote that down before the store went
    back to another two."""
    known = set(world.recorded.values()) - {deployment.name} - world.ledger.revived
    there = (thing for driver, name, thing in world.live() if name in known and not _is_dead(world, driver, thing))
    owners = (thing.deployment for thing in there)
    beside = [each.name for each in owners if each and (each.project, each.model) == _model_of(deployment)]
    if len(beside) < 2:
        return
    text = f"{deployment.name} was asked for beside {', '.join(sorted(beside))}"
    if world.heard.get(holder, math.inf) < world.rewound_at:
        world.pardoned("S2", "begun before its holder could hear that the store went back", text)
    else:
        world.violated("S2", text)


def _is_dead(world: World, driver: str, thing: Thing) -> bool:
    return bool(thing.fails) and world.platforms[driver].capabilities.local


def _model_of(deployment: Deployment) -> tuple[str, str]:
    return deployment.project, deployment.model


def after_commit(world: World, lease: Lease) -> None:
    """A commit was accepted. Only the lease given last may: after a rewind an epoch may come a second time."""
    if world.leases.get(lease.project) != (lease.epoch, lease.holder):
        world.violated("S8", f"a commit under lease {lease.epoch} was accepted")
    place = world.places[lease.project]
    if place.files.there:
        place.highest_ruling = max(place.highest_ruling, lease.epoch)


def after_write(world: World, place: Place, epoch: int) -> None:
    """A write to the files was accepted."""
    if epoch < place.highest_ruling:
        world.violated("S8", f"the files of {place.name} were written under lease {epoch}")


def after_effect(world: World) -> None:
    """Everything that can be seen from outside, after whatever just happened."""
    seen = world.seen
    for driver, platform in world.platforms.items():
        for verb, name in platform.journal[seen[driver] :]:
            if verb == "delete":
                _deleted(world, driver, name)
        seen[driver] = len(platform.journal)
    _numbers(world)
    _strangers(world)
    ledger.after_effect(world)
    world.meter()
    for place in world.places.values():
        _fence(world, place)
    world.look()


def _numbers(world: World) -> None:
    """S1: one thing for one intent. S2: two things for one model at most.

    What a call made that outlived all that was known of it does not count: L4 says for how long that may be so. Nor
    does a server of this host that has died: it costs nothing.

    What was taken out of the record when the store went back does not count among the two where no file was newer than
    the copy: whoever makes another one cannot know that there is anything to be known. `_asked_for` has the other half:
    nobody asks for a third one who knows of two. L4 says how long it may stay unfound, L1 that it is dealt with.
    """
    intents: Counter[str] = Counter()
    models: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for driver, name, thing in world.live():
        assert thing.deployment is not None
        intents[thing.deployment.id] += 1
        if name in world.ledger.revived or _is_dead(world, driver, thing):
            continue
        models[thing.deployment.project, thing.deployment.model].append(name)
    for id, count in intents.items():
        if count > 1:
            world.violated("S1", f"{count} things carry the intent {id}")
    for (project, model), names in models.items():
        if len(names) > 2:
            text = f"{', '.join(sorted(names))} live for {model} of {project}"
            if len(set(names) - world.lost) > 2:
                world.violated("S2", text)
            else:
                world.pardoned("S2", "one was taken out of the record when the store went back", text)


def _strangers(world: World) -> None:
    for platform in world.platforms.values():
        for name in platform.strangers:
            thing = platform.things.get(name)
            if thing is None or thing.gone_at is not None:
                world.violated("S3", f"{name} is somebody else's and was touched")


def _fence(world: World, place: Place) -> None:
    if place.files.there and place.files.epoch < place.highest_written:
        world.violated("S8", f"the files of {place.name} went back from lease {place.highest_written}")
    place.highest_written = max(place.highest_written, place.files.epoch)


def _deleted(world: World, driver: str, name: str) -> None:
    """A delete took effect just now."""
    if name not in world.issued:
        world.violated("S3", f"{name} was deleted and never asked for by us")
        return
    record = world.issued[name]
    place = world.places[record.deployment.project]
    things = world.platforms[driver].things.values()
    thing = next((thing for thing in things if thing.deployment is not None and thing.deployment.name == name), None)
    if thing is None:
        return
    url = address(thing.port)
    is_over = lifetimes.may_be_up(world, place, record.deployment, and_s=world.bake_s)
    baked = world.scheduler.time - place.last_mentioned.get(url, -math.inf) >= world.bake_s - world.slack_s - 1
    if not is_over and not (baked and lifetimes.goes_first(place, record.deployment.model)):
        _in_use(world, place, name, url, failed=bool(thing.fails))


def address(port: int) -> str:
    return f"http://10.9.8.7:{port}/v1/"


def _in_use(world: World, place: Place, name: str, url: str, *, failed: bool) -> None:
    """S4: nothing points there, neither a file nor a running service.

    A call is excepted that was on its way when the store went back: the record that it was sent is gone, so whoever
    came afterwards could not know that it would arrive. So is a thing that failed, of which the record that went back
    does not know where it answered: its platform does not say so of one that does not answer, so no service can be
    asked whether it still has that address, and none is served there.
    """
    if _answering(world, url):
        return
    users = [
        *(["a file points to it"] if url in place.files.urls() else ()),
        *(["a service runs with its address"] if url in place.containers.environment.values() else ()),
    ]
    for user in users:
        text = f"{name} was deleted while {user}"
        if world.sent_at < world.rewound_at:
            world.pardoned("S4", "on its way when the store went back", text)
        elif failed and user.startswith("a service") and _went_back_behind_its_address(world, place, name):
            world.pardoned("S4", "failed, and the record went back behind where it answered", text)
        else:
            world.violated("S4", text)


def _answering(world: World, url: str) -> int:
    """How many things of ours have this address: one that starts after another one is gone may get its port."""
    return sum(address(thing.port) == url for _, _, thing in world.live() if thing.deployment is not None)


def _went_back_behind_its_address(world: World, place: Place, name: str) -> bool:
    records = world.store.load(place.name).deployments.values()
    record = next((record for record in records if record.deployment.name == name), None)
    return record is not None and record.endpoint is None and record.doubted_at is not None


def after_resolving(
    world: World,
    record: DeploymentRecord,
    wanted: Mapping[str, DesiredModel],
    read_at: float,
    without: Mapping[str, int],
) -> None:
    """A deletion became durable, decided on a source read at `read_at`, and on so many good readings in a row that were
    `without` a model, by one whose last good reading asks for `wanted`. S5, S9: one that served goes after its
    successor took over and the bake time, after a removal that lasted, or when its time is up. S10 is about all."""
    deployment, endpoint = record.deployment, record.endpoint
    place = world.places[deployment.project]
    _protected(world, place, deployment, wanted)
    works = record.phase in (Phase.READY, Phase.DEGRADED)
    is_over = lifetimes.after_resolving(world, place, deployment, wanted, works)
    if endpoint is None or endpoint.url not in place.last_mentioned or is_over:
        return
    if lifetimes.goes_first(place, deployment.model) and deployment.model in place.commits[-1][1]:
        return
    model, now = deployment.model, world.scheduler.time
    if model in place.files.says:
        baked = now - place.last_mentioned[endpoint.url]
        if works and _answering(world, endpoint.url) < 2 and baked < world.bake_s - world.slack_s - 1:
            world.violated("S5", f"{deployment.name} was deleted {baked:.0f} s after it was replaced")
        return
    gone = _gone_since(place, model, read_at)
    if gone is None:
        if works:
            world.violated("S5", f"{deployment.name} was deleted, {model} is wanted and nothing else serves it")
    elif not _wanted(place, read_at):
        world.violated("S9", f"{deployment.name} was deleted for a file without any models")
    elif without.get(model, 0) < 2:
        world.violated("S9", f"{deployment.name} was deleted after one good reading without {model}")
    elif now - gone < world.grace_s - world.slack_s - 1:
        world.violated("S9", f"{deployment.name} was deleted {now - gone:.0f} s after {model} left the file")


def _protected(world: World, place: Place, deployment: Deployment, wanted: Mapping[str, DesiredModel]) -> None:
    """S10: what was ever protected does not go because it left the file, whether it served or not.

    Where the store went back behind the protection, and no file that is read says it, nobody can know of it.
    """
    protected_at = place.protected.get(deployment.model)
    if protected_at is None or deployment.model in wanted:
        return
    book = world.store.load(place.name).models.get(deployment.model)
    text = f"{deployment.name} is protected and was deleted"
    if protected_at < world.rewound_at and not (book is not None and book.protected):
        world.pardoned("S10", "its protection was lost when the store went back", text)
    else:
        world.violated("S10", text)


def _gone_since(place: Place, model: str, read_at: float) -> float | None:
    """Since when no commit had the model, as a reader at `read_at` could know; None where it was wanted then."""
    since = None
    for time, wanted in place.commits:
        if time > read_at:
            break
        if model in wanted:
            since = None
        elif since is None:
            since = time
    return since


def _wanted(place: Place, read_at: float) -> Mapping[str, DesiredModel]:
    """What the file asked for, as a reader at `read_at` could know."""
    return next((wanted for time, wanted in reversed(place.commits) if time <= read_at), {})


# -- after the faults ------------------------------------------------------------------------------------------


def unconverged(world: World) -> list[str]:
    """L1, L4: why the world is not yet what the files ask for; nothing where it is."""
    return [
        *(text for place in world.places.values() for text in _place_unconverged(world, place)),
        *_leaks(world),
    ]


def _place_unconverged(world: World, place: Place) -> list[str]:
    recorded = world.store.load(place.name)
    asked = place.commits[-1][1]
    waiting = [key for key, model in asked.items() if lifetimes.has_its_time(world, place, key, model.spec)]
    trouble = [f"{place.name}: the time of {key} is not up yet" for key in waiting]
    over = {key for key, model in asked.items() if lifetimes.must_be_up(world, place, key, model.spec)}
    wanted = {key: model for key, model in asked.items() if key not in place.hopeless | over | {*waiting}}
    for key, model in wanted.items():
        serving = place.files.says.get(key)
        if not any(_serves(world, model.driver, model.spec.digest, key, place, serving)):
            trouble.append(f"{place.name}: {key} is not served as the file asks")
    unwanted = (
        place.files.says.keys() - wanted.keys() - place.hopeless - {*waiting}
    )  # no service asks for what is only protected
    trouble += [f"{place.name}: the files still name {key}" for key in unwanted]
    kept = wanted.keys() | place.protected.keys() | (place.hopeless - over) | {*waiting}
    for id, record in recorded.deployments.items():
        if record.adopted and record.deployment.model not in kept | over:
            continue  # found by its tags and wanted by no file: only a person may say that it goes
        if record.deployment.model not in kept:
            trouble.append(f"{place.name}: {id} of {record.deployment.model} is still in the record")
        elif record.request_open and record.deployment.model in wanted:
            trouble.append(f"{place.name}: a call about {record.deployment.name} is still open")
    counts = Counter(each.deployment.model for each in recorded.deployments.values() if each.deployment.model in wanted)
    doubled = [key for key, count in counts.items() if count > 1]
    trouble += [f"{place.name}: {counts[key]} deployments of {key} are recorded" for key in doubled]
    # One whose models are not all there is not restarted: it keeps what it has, also of one that had its time.
    running = {url for key, url in place.containers.environment.items() if key not in over}
    if running - place.files.urls():
        trouble.append(f"{place.name}: a service runs with an old address")
    return trouble


def _serves(world: World, driver: str, digest: str, key: str, place: Place, serving: Endpoint | None) -> list[bool]:
    """One entry for each thing that serves this model as it should."""
    platform = world.platforms[driver]
    client, found = FakeDriver(platform), []
    for thing in list(platform.things.values()):
        owner = thing.deployment
        if owner is None or (owner.project, owner.model) != (place.name, key) or owner.spec.digest != digest:
            continue
        seen = client.observe(owner)
        found.append(seen.phase is Phase.READY and serving is not None and seen.endpoint == serving)
    return found


def _leaks(world: World) -> list[str]:
    return [f"leak: {name} runs and is not in the record" for name in unrecorded(world)]
