"""How a report looks in a terminal: the signs of the steps, and colours only when asked."""

from __future__ import annotations

from typing import NamedTuple

from drivers.base import Handling
from reconciler.plan import Action

SIGNS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.REPLACE: "±",
    Action.DELETE: "-",
    Action.FORGET: "x",
    Action.WAIT: "…",
}
"""The sign that begins a step, in text and in Markdown."""

QUIETLY_DONE = frozenset({Handling.HONOURED})
"""What a report on a plan does not list one by one: the user gets what the user wrote."""


class Style(NamedTuple):
    """`PLAIN` adds nothing. `COLOUR` adds ANSI sequences around whole words, never inside padding."""

    colour: bool = False

    def paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code else text

    def action(self, action: Action, text: str) -> str:
        return self.paint(text, _ACTION_CODES[action])

    def handling(self, handling: Handling, text: str) -> str:
        return self.paint(text, _HANDLING_CODES.get(handling, ""))

    def bold(self, text: str) -> str:
        return self.paint(text, "1")

    def faint(self, text: str) -> str:
        return self.paint(text, "2")

    def refused(self, text: str) -> str:
        return self.paint(text, "31")


PLAIN = Style()
COLOUR = Style(colour=True)

_ACTION_CODES = {
    Action.CREATE: "32",
    Action.UPDATE: "33",
    Action.REPLACE: "33",
    Action.DELETE: "31",
    Action.FORGET: "2",
    Action.WAIT: "36",
}
_HANDLING_CODES = {Handling.REJECTED: "31", Handling.TRANSLATED: "33", Handling.IGNORED: "33", Handling.INACTIVE: "2"}
