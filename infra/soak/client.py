"""A client that goes on asking every model that should be served, with nothing but the service's variables."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPException

from infra.lab import complete
from infra.soak.looks import Request
from infra.soak.wishes import MOST, Wish, prefix

PAUSE_S = 0.4
"""Between two requests to one model: with none, the servers would fight over the cores, and that is not the point."""
TIMEOUT_S = 10.0
PROMPT = "One, two,"


class Client:
    """Asks until it is ended, one thread per model, so that one that hangs holds up no other.

    It reads the variables anew before each request, as a service does that starts anew. A model counts from the moment
    at which it has an address for the first time, until the file no longer asks for it.
    """

    def __init__(
        self, wish: Callable[[], Wish], values: Callable[[], Mapping[str, str]], clock: Callable[[], float]
    ) -> None:
        self.requests: list[Request] = []
        self.answered_s: dict[str, float] = {}
        self._wish, self._values, self._clock = wish, values, clock
        self._due: set[str] = set()
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(index,), name=f"client-{index}") for index in range(MOST)
        ]

    def __enter__(self) -> Client:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _run(self, index: int) -> None:
        while not self._end.wait(PAUSE_S):
            models = sorted(self._wish().models)
            self._due.intersection_update(models)
            if index < len(models):
                with suppress(FileNotFoundError):
                    self._ask(models[index])

    def _ask(self, model: str) -> None:
        began_s, error = self._clock(), ""
        try:
            values = self._values()
            if f"{prefix(model)}_URL" not in values and model not in self._due:
                return  # it was never ready yet
            self._due.add(model)
            complete(values, PROMPT, tokens=2, prefix=prefix(model), timeout_s=TIMEOUT_S)
        except (OSError, HTTPException, ValueError, LookupError) as trouble:
            error = repr(trouble)
        if model not in self._wish().models:
            return  # it was taken out of the file while it was asked
        self.requests.append(Request(began_s, model, self._clock() - began_s, error))
        if not error:
            self.answered_s[model] = began_s
