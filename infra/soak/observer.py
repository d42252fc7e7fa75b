"""Looks at the scene several times a second, all the while, and says when all is well again."""

from __future__ import annotations

import threading
from collections.abc import Callable

from infra.soak.client import Client
from infra.soak.looks import Look
from infra.soak.stage import Stage
from infra.soak.verdicts import Judge, unanswered, unsettled

EVERY_S = 0.25
TELL_AFTER_S = 20.0
"""Seconds after which it is said what is waited for."""


class Observer:
    """Keeps every look. `tell` is given each thing that does not hold, once, and what is waited for."""

    def __init__(self, stage: Stage, client: Client, tell: Callable[[str], None]) -> None:
        self.looks: list[Look] = []
        self.broken: list[str] = []
        self.judge = Judge(stage.hurt)
        self._stage, self._client, self._tell = stage, client, tell
        self._seen: set[str] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observer")

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def complain(self, text: str) -> None:
        """Something does not hold."""
        if text not in self._seen:
            self._seen.add(text)
            self.broken.append(f"at {self._stage.clock():.1f} s: {text}")
            self._tell(f"DOES NOT HOLD: {text}")

    def trouble(self, since_s: float) -> str:
        """Why not everything is well, as seen after that moment; empty when it is."""
        look = self.looks[-1] if self.looks else None
        if look is None or look.at_s < since_s:
            return "nobody has looked since"
        return unsettled(look) or unanswered(look.wish, self._client.answered_s, since_s)

    def settled_s(self, since_s: float, *, within_s: float) -> float | None:
        """When all was well again; None where that did not come in time, or the run ended before."""
        tell_s = since_s + TELL_AFTER_S
        while (trouble := self.trouble(since_s)) and (now := self._stage.clock()) < since_s + within_s:
            if now > tell_s:
                self._tell(f"not well yet: {trouble}")
                tell_s = now + TELL_AFTER_S
            if self._stage.pause(0.1):
                return None
        return None if trouble else self._stage.clock()

    def _run(self) -> None:
        while not self._end.wait(EVERY_S):
            try:
                self._look()
            except (OSError, ValueError) as trouble:
                self.complain(f"nobody could look: {trouble!r}")

    def _look(self) -> None:
        for slot, status in self._stage.revive():
            self.complain(f"the {slot} service ended by itself with {status}")
        look = self._stage.look()
        self.looks.append(look)
        if broken := self.judge.broken(look):
            # The parts of a look are not of one instant: only what is still so in the next one counts.
            for text in broken & self.judge.broken(self._stage.look()):
                self.complain(text)
