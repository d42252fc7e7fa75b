"""`${VAR}` in values, as Compose 2.40.3 does it: after aliases, before everything else, and eagerly.

Eagerly: the default, the alternative and the message are themselves interpolated even where they are not used, so
`${FOO:-${BAR?needed}}` fails without BAR although FOO is set.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from reconciler.compose.environment import Environment, Withheld
from reconciler.compose.nodes import Node, fail

# Texts, compiled when first used: most projects have no variables.
_PATTERN = (
    r"\$(?i:(?P<escaped>\$)|(?P<named>[_a-z][_a-z0-9]*)"
    r"|\{(?:(?P<braced>[_a-z][_a-z0-9]*(?::?[-+?](?:.*))?)\}|(?P<invalid>)))"
)
_OPERATOR = r":?[-+?]"

Lookup = Callable[[str], str | None]
Path = tuple[str, ...]

_LIMIT_CHARACTERS = 4 * 1024 * 1024
"""What all variables of one load may add up to."""

_SERVICE_KEYS = frozenset(("models", "provider", "extends", "profiles", "network_mode", "extra_hosts", "depends_on"))
_OURS = frozenset(("models", "x-cloud-options", "name", "include"))


class BadTemplate(Exception):
    """The text cannot be interpolated; the message says why."""


class Metered:
    """A lookup that gives out so many characters and no more: variables made of variables grow without end."""

    def __init__(self, lookup: Lookup, characters: int) -> None:
        self._lookup = lookup
        self.left = characters

    def __call__(self, name: str) -> str | None:
        value = self._lookup(name)
        self.left -= len(value or "")
        if self.left < 0:
            raise BadTemplate("the text is too long once its variables are replaced")
        return value


def substitute(template: str, lookup: Lookup, unset: Callable[[str], None] = lambda name: None) -> str:
    """The text with its variables replaced; `unset` is told of each one that is missing and has no default.

    Raises BadTemplate for a malformed expression and for a required variable that is missing.
    """
    if "$" not in template:
        return template
    try:
        return re.sub(_PATTERN, lambda match: _replace(match[0], template, lookup, unset), template)
    except RecursionError:
        raise BadTemplate("too many variables inside each other, or in one line") from None


def _replace(found: str, template: str, lookup: Lookup, unset: Callable[[str], None]) -> str:
    """One match of the pattern. It is greedy: `found` may run on to the last brace of the line, the rest follows."""
    end = _closing_brace(found)
    rest = found[end + 1 :] if end >= 0 else ""
    match = re.search(_PATTERN, found[: end + 1] if end >= 0 else found)
    if match is None:
        return found
    if match["escaped"]:
        return "$"
    if match["named"]:
        return _value(match["named"], lookup, unset)
    expression = match["braced"]
    if not expression:
        raise BadTemplate(f"invalid interpolation format {template!r}; write $$ for a plain $")
    operator = re.search(_OPERATOR, expression)
    if operator is None:
        return _value(expression, lookup, unset)
    name, text = expression[: operator.start()], expression[operator.end() :]
    text = substitute(text, lookup, unset)
    return _apply(operator[0], name, text, lookup) + substitute(rest, lookup, unset)


def _apply(operator: str, name: str, text: str, lookup: Lookup) -> str:
    value = lookup(name)
    given = value is not None and (operator[0] != ":" or value != "")
    if operator[-1] == "+":
        return text if given else value or ""
    if given:
        return value or ""
    if operator[-1] == "?":
        raise BadTemplate(f"required variable {name} is missing a value" + (f": {text}" if text else ""))
    return text


def _value(name: str, lookup: Lookup, unset: Callable[[str], None]) -> str:
    value = lookup(name)
    if value is None:
        unset(name)
    return value or ""


def _closing_brace(text: str) -> int:
    """Index of the brace that closes the first one, -1 for none. The character after an opening brace never counts."""
    if text.startswith("${") and text.count("{") == 1:
        return text.find("}", 3)  # nearly always: nothing inside to count
    opened = index = 0
    while index < len(text):
        if text[index] == "}":
            opened -= 1
            if opened == 0:
                return index
        elif text[index] == "{":
            opened += 1
            index += 1
        index += 1
    return -1


class Interpolator:
    """Interpolates whole documents, shares what has no variable in it, and collects the warnings."""

    def __init__(self, environment: Environment, warn: Callable[[str], None]) -> None:
        self._environment = environment
        self._warn = warn
        self._left = _LIMIT_CHARACTERS

    def document(self, root: Node) -> Node:
        """A mapping document with all its values interpolated. Raises InputError at the value."""
        return self._walk(root, ())

    def text(self, node: Node, path: Path) -> str:
        """One string."""
        return str(self._scalar(node, path).value)

    def _walk(self, node: Node, path: Path) -> Node:
        value = node.value
        if type(value) is str:
            return self._scalar(node, path) if "$" in value else node
        if type(value) is dict:
            changed = {}
            for key, child in value.items():
                new = child
                inner = child.value
                if type(inner) is str:
                    if "$" in inner:
                        new = self._scalar(child, (*path, key))
                elif type(inner) is dict or type(inner) is list:
                    new = self._walk(child, (*path, key))
                if new is not child:
                    changed[key] = new
            return node.with_value({**value, **changed}) if changed else node
        if type(value) is list:
            items = [self._walk(child, (*path, str(index))) for index, child in enumerate(value)]
            return node.with_value(items) if any(a is not b for a, b in zip(items, value, strict=True)) else node
        return node

    def _scalar(self, node: Node, path: Path) -> Node:
        guarded = _is_read_by_us(path)

        def unset(name: str) -> None:
            self._warn(f"{node.location}: the variable {name} is not set; a blank string stands in for it")

        lookup = Metered(lambda name: self._environment.get(name, guarded=guarded), self._left)
        try:
            text = substitute(node.value, lookup, unset)
        except (Withheld, BadTemplate) as exc:
            raise fail(str(exc), node, path) from None
        self._left = lookup.left
        return Node(text, node.at, node.key_at, text)


def _is_read_by_us(path: Path) -> bool:
    """Whether the value can reach a platform, a plan or a file of ours; the others only decide about errors."""
    if path[0] == "services":
        return len(path) > 2 and (path[2] in _SERVICE_KEYS or path[2] == "x-cloud-options")
    return path[0] in _OURS
