"""The grammar of `.env` files, as Compose reads them: `export`, `K: V`, quotes over several lines, `${}` expansion."""

from __future__ import annotations

import re

from reconciler.compose.environment import Environment
from reconciler.compose.interpolate import BadTemplate, Metered, substitute
from reconciler.errors import InputError, Location

_BLANKS = "\t\v\f\r \x85\xa0"
_SPACES = (
    _BLANKS + "\n\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
_EXPORT = re.compile(r"export[\t\n\f\r ]+")
_ESCAPE = re.compile(r'\\(?:[abcfnrtv$"\\]|0[0-9]{0,3})')
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}
_KEY_CHARACTERS = frozenset("_.-[]")
_LIMIT_BYTES = 1024 * 1024


class EnvFile:
    """What a list of env files says: later files win, and each sees what the earlier ones set."""

    def __init__(self, environment: Environment) -> None:
        self.values: dict[str, str] = {}
        self.tainted: dict[str, str] = {}
        """Variable to the withheld one whose value went into it."""
        self._environment = environment
        self._sources: list[str] = []
        self._characters = 0

    def read(self, data: bytes, name: str) -> None:
        """Add one file. Raises InputError with its line."""
        if len(data) > _LIMIT_BYTES:
            raise InputError(f"the file has {len(data):,} bytes; {_LIMIT_BYTES:,} is the limit", Location(name))
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as exc:
            place = Location(name, data.count(b"\n", 0, exc.start) + 1)
            raise InputError("not UTF-8; save the file as UTF-8", place) from None
        _Parser(text.removeprefix("\ufeff"), name, self).parse()

    def put(self, key: str, value: str) -> None:
        if "\0" in value:  # by an escape; no environment and no path can hold it
            raise BadTemplate("a value cannot contain U+0000")
        self._characters += len(value)
        if self._characters > _LIMIT_BYTES:
            raise BadTemplate(f"the values have more than {_LIMIT_BYTES:,} characters once they are expanded")
        self.values[key] = value
        self.tainted.pop(key, None)
        if self._sources:
            self.tainted[key] = self._sources[0]
        self._sources.clear()

    def lookup(self, name: str) -> str | None:
        """The environment first, then what was set above."""
        value = self._environment.get(name)
        source = self._environment.source_of(name) if value is not None else self.tainted.get(name)
        if source is not None:
            self._sources.append(source)
        return value if value is not None else self.values.get(name)


class _Parser:
    def __init__(self, text: str, name: str, out: EnvFile) -> None:
        self.text = text
        self.name = name
        self.out = out
        self.at = 0

    def parse(self) -> None:
        while self._to_statement():
            begin = self.at
            key, inherited = self._key()
            if " " in key:
                raise self._error("a variable name cannot contain a space", begin)
            value = self.out.lookup(key) if inherited else self._value()
            if value is None:
                continue
            try:
                self.out.put(key, value)
            except BadTemplate as exc:
                raise self._error(str(exc), begin) from None

    def _to_statement(self) -> bool:
        """Skip blank space and comments; False at the end."""
        text = self.text
        while self.at < len(text):
            if text[self.at] in _SPACES:
                self.at += 1
            elif text[self.at] == "#":
                end = text.find("\n", self.at)
                self.at = len(text) if end < 0 else end
            else:
                return True
        return False

    def _key(self) -> tuple[str, bool]:
        """The name, and whether it stands alone and takes its value from outside."""
        text = self.text
        export = _EXPORT.match(text, self.at)
        begin = self.at
        if export:
            begin = self.at + len("export")
            while begin < len(text) and text[begin] in _BLANKS:
                begin += 1
        for index in range(begin, len(text)):
            character = text[index]
            if character in "=:\n":
                self.at = index + 1
                self._skip_blanks()
                return text[begin:index].rstrip(_SPACES), character == "\n"
            if character in _BLANKS or character in _KEY_CHARACTERS or character.isalpha() or character.isnumeric():
                continue
            line = text[begin:].split("\n", 1)[0]
            raise self._error(f"unexpected character {character!r} in the variable name {line!r}", index)
        # Compose quietly drops a last line without a value and without a line end; so do we.
        self.at = len(text)
        return self._nameless(begin)

    def _nameless(self, begin: int) -> tuple[str, bool]:
        if begin >= len(self.text):
            raise self._error("a variable name is missing", begin)
        return "", True

    def _skip_blanks(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in _BLANKS:
            self.at += 1

    def _value(self) -> str:
        quote = self.text[self.at : self.at + 1]
        if quote in ("'", '"') and quote:
            return self._quoted(quote)
        begin = self.at
        end = self.text.find("\n", begin)
        end = len(self.text) if end < 0 else end
        self.at = min(end + 1, len(self.text))
        value = self.text[begin:end].split(" #", 1)[0].rstrip(_SPACES)
        return self._expand(value, begin)

    def _quoted(self, quote: str) -> str:
        begin = self.at
        characters: list[str] = []
        escaped = False
        for index in range(begin + 1, len(self.text)):
            character = self.text[index]
            if character == quote and not escaped:
                self.at = index + 1
                value = "".join(characters)
                return self._expand(_unescape(value), begin) if quote == '"' else value
            if character == "\\" and not escaped:
                escaped = True
                continue
            if escaped and character != quote:
                characters.append("\\")
            escaped = False
            characters.append(character)
        raise self._error("the quoted value has no end", begin)

    def _expand(self, value: str, at: int) -> str:
        try:
            return substitute(value, Metered(self.out.lookup, _LIMIT_BYTES))
        except BadTemplate as exc:
            raise self._error(str(exc), at) from None

    def _error(self, message: str, at: int) -> InputError:
        begin = self.text.rfind("\n", 0, at) + 1
        return InputError(message, Location(self.name, self.text.count("\n", 0, at) + 1, at - begin + 1))


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        found = match[0]
        if found == "\\$":
            return "$$"
        if found[1] == "0":
            digits = found[2:]
            octal = len(digits) == 3 and all(digit in "01234567" for digit in digits) and int(digits, 8) < 256
            # What is no octal escape only loses its zero, as in Compose.
            return chr(int(digits, 8)) if octal else "\\" + digits
        return _SIMPLE.get(found[1], found)

    return _ESCAPE.sub(one, text)
