"""EC2 as a part of the cloud: its time and its back door. Its operations are moto's, mended in `mending.py`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from infra.localaws.ec2 import fleets, images, mending
from infra.localaws.ec2.machines import Machines
from infra.localaws.ec2.world import World
from infra.localaws.overlay import Overlay, Surroundings, Verb

SPOT_END = ("Server.SpotInstanceTermination", "Spot instance termination")


class Ec2(Overlay):
    """Machines with real states, at addresses of this computer."""

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._machines = Machines(around.containers)
        self.world = World(around, self._machines)
        self._install()

    def verbs(self) -> Mapping[str, Verb]:
        return {
            "ec2-lag": self.lag,
            "interrupt": self.interrupt,
            "impair": self.impair,
            "silence": self._machines.silence,
            "release-image": images.release,
        }

    def lag(self, seconds: float) -> None:
        """From now on a machine that is started is shown so many seconds later."""
        self.world.lag_s = seconds

    def interrupt(self, id: str) -> None:
        """AWS takes a spot machine back."""
        self.world.end(self.world.instance(id), *SPOT_END)

    def impair(self, id: str, impaired: bool = True) -> None:
        """A machine's status check fails, or passes again."""
        (self.world.impaired.add if impaired else self.world.impaired.discard)(id)

    def settle(self, now: datetime) -> None:
        self.world.settle(now)
        fleets.settle(self.world)

    def reset(self) -> None:
        self._machines.stop_all()
        images.reset()
        self.world = World(self.around, self._machines)
        self._install()

    def _install(self) -> None:
        mending.install(self.world)
        fleets.install(self.world)
