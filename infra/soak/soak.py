"""Many minutes of faults against two services on one state, with real model servers and a client that goes on asking.

    make soak MINUTES=10
    make soak MINUTES=60 ARGS='--seed 7 --format json'

Shows what happens as it happens, and ends with figures and a picture over time (`--picture`). Ctrl-C ends it in order,
with the figures so far. Ends with 1 where something did not hold that must, or a service grew beyond its bound.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from infra.lab import CHECKOUT, NotInTime
from infra.soak.client import Client
from infra.soak.faults import DEEDS, possible
from infra.soak.looks import Window
from infra.soak.observer import Observer
from infra.soak.picture import picture
from infra.soak.report import RECOVERY_S, Run, as_json, as_text
from infra.soak.schedule import Fault, Moment, schedule
from infra.soak.stage import Stage

HOPELESS_S = 3 * RECOVERY_S
"""Seconds after which it is no longer waited for that all is well: the run has failed, and goes on all the same."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None, help="the same seed has the same faults (default: by chance)")
    parser.add_argument("--every", type=float, default=60.0, metavar="SECONDS", help="from one fault to the next")
    parser.add_argument("--only", action="append", choices=[fault.name.lower() for fault in Fault], help="these faults")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--picture", type=Path, default=CHECKOUT / "dist" / "soak.svg", metavar="FILE")
    parser.add_argument("--keep", action="store_true", help="leave the folder with the logs")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whichever way it ends, it tidies up
    seed = random.SystemRandom().randrange(10_000) if given.seed is None else given.seed
    only = [Fault[name.upper()] for name in given.only or ()]
    folder = Path(tempfile.mkdtemp(prefix="reconcile-soak-"))
    screen = Screen(sys.stderr if given.format == "json" else sys.stdout)
    run = Soak(folder, screen, seed=seed, seconds=given.minutes * 60, every_s=given.every, only=only).run()
    given.picture.parent.mkdir(parents=True, exist_ok=True)
    given.picture.write_text(picture(run), encoding="utf-8")
    print(json.dumps(as_json(run), indent=2) if given.format == "json" else "\n" + as_text(run), flush=True)
    screen.say(None, f"the picture is in {given.picture}")
    if given.keep or not run.is_good:
        screen.say(None, f"the logs are in {folder}")
    else:
        shutil.rmtree(folder)
    return 0 if run.is_good else 1


class Screen:
    """Lines with the second of the run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def say(self, at_s: float | None, text: str) -> None:
        when = "          " if at_s is None else f"{at_s:8.1f} s"
        print(f"{when}  {text}", file=self._stream, flush=True)


class Soak:
    """One run."""

    def __init__(
        self, folder: Path, screen: Screen, *, seed: int, seconds: float, every_s: float, only: Sequence[Fault] = ()
    ) -> None:
        self._folder, self._screen = folder, screen
        self._seed, self._seconds, self._every_s, self._only = seed, seconds, every_s, only
        self._windows: list[Window] = []
        self._interrupted = False

    def run(self) -> Run:
        """All of it, from the first start to the last stop."""
        with Stage(self._folder, own_disk=not self._only or Fault.FILL_DISK in self._only) as stage:
            faults = [fault for fault in possible(stage) if not self._only or fault in self._only]
            moments = schedule(self._seed, self._seconds, faults, every_s=self._every_s)
            self._screen.say(stage.clock(), f"{self._seconds / 60:g} minutes, --seed {self._seed}; two services start")
            client = Client(lambda: stage.wish, stage.values, stage.clock)
            observer = Observer(stage, client, lambda text: self._screen.say(stage.clock(), text))
            try:
                stage.prepare()
                with client, observer:
                    self._go(stage, observer, moments)
            except KeyboardInterrupt:
                self._interrupted = True
            stage.end()
            self._screen.say(stage.clock(), "the end: services stop, models are destroyed")
            for complaint in stage.close():
                observer.complain(complaint)
            return Run(
                seed=self._seed,
                seconds=stage.clock(),
                looks=observer.looks,
                requests=client.requests,
                windows=self._windows,
                broken=observer.broken,
                worst_orphan_s=observer.judge.worst_orphan_s,
                interrupted=self._interrupted,
            )

    def _go(self, stage: Stage, observer: Observer, moments: Sequence[Moment]) -> None:
        """Everything that is due, and then until all is well for the last time."""
        self._window(stage, observer, Window("the first start", False, 0.0, stage.clock()))
        commits = [moment for moment in moments if moment.fault is None]
        committer = threading.Thread(target=self._commit_all, args=(stage, observer, commits), name="committer")
        committer.start()
        try:
            self._fault_all(stage, observer, [moment for moment in moments if moment.fault is not None])
            stage.pause(self._seconds - stage.clock())
            committer.join()
        except KeyboardInterrupt:
            self._interrupted = True
            self._screen.say(stage.clock(), "interrupted")
            stage.end()
            committer.join()
            return
        if (settled_s := observer.settled_s(stage.clock(), within_s=HOPELESS_S)) is None:
            observer.complain(f"not well at the end: {observer.trouble(0.0)}")
        else:
            self._screen.say(settled_s, "all is well at the end")

    def _commit_all(self, stage: Stage, observer: Observer, moments: Sequence[Moment]) -> None:
        chance = random.Random(f"commits {self._seed}")
        for moment in moments:
            if stage.pause(moment.at_s - stage.clock()):
                return
            began_s = stage.clock()
            try:
                message = stage.change(chance)
            except (OSError, subprocess.SubprocessError) as trouble:
                observer.complain(f"a commit could not be made: {trouble}")
                continue
            self._screen.say(stage.clock(), f"commit: {message}")
            self._window(stage, observer, Window(message, False, began_s, stage.clock()))

    def _fault_all(self, stage: Stage, observer: Observer, moments: Sequence[Moment]) -> None:
        chance = random.Random(f"faults {self._seed}")
        for moment in moments:
            if moment.fault is None or stage.pause(moment.at_s - stage.clock()):
                return
            window = Window(moment.fault.value, True, stage.clock())
            self._windows.append(window)
            self._screen.say(stage.clock(), f"FAULT: {moment.fault.value}")
            with ExitStack() as leave:
                try:
                    detail = DEEDS[moment.fault](stage, chance, leave)
                except (NotInTime, OSError, subprocess.SubprocessError) as trouble:
                    observer.complain(f"{moment.fault.value}: {trouble}")
                    detail = ""
                window.name += f": {detail}" if detail else ""
                window.mended_s = stage.clock()
                self._window(stage, observer, window)

    def _window(self, stage: Stage, observer: Observer, window: Window) -> None:
        """Wait until all is well again, and say how long it took."""
        if window not in self._windows:
            self._windows.append(window)
        since_s = window.mended_s if window.mended_s is not None else window.began_s
        window.ended_s = observer.settled_s(since_s, within_s=HOPELESS_S)
        if window.recovery_s is not None:
            self._screen.say(window.ended_s, f"well again {window.recovery_s:.1f} s after: {window.name}")
        elif not stage.is_over:
            observer.complain(f"not well {HOPELESS_S:g} s after: {window.name}: {observer.trouble(since_s)}")


if __name__ == "__main__":
    sys.exit(main())
