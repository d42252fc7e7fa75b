"""What must hold after every effect, and what must be true once the faults have stopped. Names as in the reliability
rules: S is safety, L is liveness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from drivers.base import Deployment, Endpoint, Phase
from drivers.fake import FakeDriver
from reconciler.desired import DesiredModel
from state.record import DeploymentRecord
from state.store import Lease
from tests.sim import ledger
from tests.sim.mishaps import unrecorded

if TYPE_CHECKING:
    from tests.sim.world import Place, World


def before_call(world: World, holder: str, understood: bool, verb: str, driver: str, deployment: Deployment) -> None:
    """A mutating call is about to be sent by `holder`."""
    name = deployment.name
    epoch, ruling = world.leases.get(deployment.project, (0, holder))
    if ruling != holder and world.given_at[deployment.project] < world.sent_at:
        world.violated("S8", f"{verb} of {name} was begun by {holder} when {ruling} had lease {epoch}")
    world.calls.append((verb, driver, name))
    key = f"update {deployment.spec.digest}" if verb == "update" else verb
    if (key, name) not in world.resolved:
        world.violated("S7", f"{verb} of {name} without a durable record of it")
    if not understood:
        world.violated("S9", f"{verb} of {name} by one that never understood the source")
    if verb == "create":
        ledger.before_create(world, deployment)
        sent = world.sent.setdefault((driver, deployment.id), deployment)
        if (sent.name, sent.spec) != (name, deployment.spec):
            world.violated("S13", f"create of {name} was sent again with other parameters")


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
    intents: Counter[str] = Counter()
    models: Counter[tuple[str, str]] = Counter()
    for _, name, thing in world.live():
        assert thing.deployment is not None
        intents[thing.deployment.id] += 1
        if not _beyond_knowledge(world, name):
            models[thing.deployment.project, thing.deployment.model] += 1
    for id, count in intents.items():
        if count > 1:
            world.violated("S1", f"{count} things carry the intent {id}")
    for (project, model), count in models.items():
        if count > 2:
            world.violated("S2", f"{count} things live for {model} of {project}")


def _beyond_knowledge(world: World, name: str) -> bool:
    """Whether a rewind took away what was known of a thing, and nobody has found it since, or a call outlived all that
    was known of it: L4 says for how long that may be so. It cannot count among the two that a model may have."""
    return name in world.ledger.revived or (world.ledger.put_back > 0 and name in set(unrecorded(world)))


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
    _in_use(world, place, name, url)


def address(port: int) -> str:
    return f"http://10.9.8.7:{port}/v1/"


def _in_use(world: World, place: Place, name: str, url: str) -> None:
    """S4: nothing points there, neither a file nor a running service.

    A call that was on its way when the store went back is judged by nobody: the record that it was sent is gone, so
    whoever came afterwards could not know that it would arrive.
    """
    if world.sent_at < world.rewound_at:
        return
    answers_elsewhere = sum(address(thing.port) == url for _, _, thing in world.live() if thing.deployment is not None)
    if answers_elsewhere:
        return
    if url in place.files.urls():
        world.violated("S4", f"{name} was deleted while a file points to it")
    if url in place.containers.environment.values():
        world.violated("S4", f"{name} was deleted while a service runs with its address")


def after_resolving(world: World, record: DeploymentRecord, read_at: float, without: Mapping[str, int]) -> None:
    """A deletion became durable, decided on a source read at `read_at`, and on so many good readings in a row that were
    `without` a model. S5, S9, S10: one that served goes after its successor took over and the bake time, or after a
    removal that lasted."""
    deployment, endpoint = record.deployment, record.endpoint
    place = world.places[deployment.project]
    if endpoint is None or endpoint.url not in place.last_mentioned:
        return
    model, now = deployment.model, world.scheduler.time
    works = record.phase in (Phase.READY, Phase.DEGRADED)
    if model in place.files.says:
        baked = now - place.last_mentioned[endpoint.url]
        if works and baked < world.bake_s - world.slack_s - 1:
            world.violated("S5", f"{deployment.name} was deleted {baked:.0f} s after it was replaced")
        return
    gone = _gone_since(place, model, read_at)
    if model in place.protected:
        world.violated("S10", f"{deployment.name} is protected and was deleted")
    elif gone is None:
        if works:
            world.violated("S5", f"{deployment.name} was deleted, {model} is wanted and nothing else serves it")
    elif not _wanted(place, read_at):
        world.violated("S9", f"{deployment.name} was deleted for a file without any models")
    elif without.get(model, 0) < 2:
        world.violated("S9", f"{deployment.name} was deleted after one good reading without {model}")
    elif now - gone < world.grace_s - world.slack_s - 1:
        world.violated("S9", f"{deployment.name} was deleted {now - gone:.0f} s after {model} left the file")


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
    wanted = {key: model for key, model in place.commits[-1][1].items() if key not in place.hopeless}
    trouble = []
    for key, model in wanted.items():
        serving = place.files.says.get(key)
        if not any(_serves(world, model.driver, model.spec.digest, key, place, serving)):
            trouble.append(f"{place.name}: {key} is not served as the file asks")
    unwanted = place.files.says.keys() - wanted.keys() - place.protected - place.hopeless
    trouble += [f"{place.name}: the files still name {key}" for key in unwanted]
    kept = wanted.keys() | place.protected | place.hopeless
    for id, record in recorded.deployments.items():
        if record.adopted and record.deployment.model not in kept:
            continue  # found by its tags and wanted by no file: only a person may say that it goes
        if record.deployment.model not in kept:
            trouble.append(f"{place.name}: {id} of {record.deployment.model} is still in the record")
        elif record.request_open and record.deployment.model in wanted:
            trouble.append(f"{place.name}: a call about {record.deployment.name} is still open")
    counts = Counter(each.deployment.model for each in recorded.deployments.values() if each.deployment.model in wanted)
    doubled = [key for key, count in counts.items() if count > 1]
    trouble += [f"{place.name}: {counts[key]} deployments of {key} are recorded" for key in doubled]
    if set(place.containers.environment.values()) - place.files.urls():
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
