"""A smaller input with the same finding: without the files, lines and characters that have nothing to do with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.fuzz.inputs import Input

Still = Callable[[Input], bool]
"""Whether an input still shows the finding."""


def minimise(
    given: Input, still: Still, *, within_s: float = 20.0, clock: Callable[[], float] = time.monotonic
) -> Input:
    """The smallest that was found in the time there is; `given` itself where nothing can go."""
    until = clock() + within_s
    smaller: Input | None = given
    while smaller is not None:
        given = smaller
        smaller = next((less for less in _smaller(given) if clock() < until and still(less)), None)
    return given


def _smaller(given: Input) -> Iterator[Input]:
    """Ever smaller bites, so that most of it goes at once."""
    if given.environment:
        yield replace(given, environment={})
    if given.options:
        yield replace(given, options={})
    for name, data in given.files.items():
        others = {other: text for other, text in given.files.items() if other != name}
        if others:
            yield replace(given, files=others)
        for less in (
            *_without(data.splitlines(keepends=True)),
            *_without([data[at : at + 1] for at in range(len(data))]),
        ):
            yield replace(given, files={**given.files, name: b"".join(less)})


def _without(pieces: list[bytes]) -> Iterator[list[bytes]]:
    bite = len(pieces) // 2
    while bite:
        for at in range(0, len(pieces), bite):
            yield pieces[:at] + pieces[at + bite :]
        bite //= 2
