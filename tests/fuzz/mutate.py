"""A seed → an input: one of the corpus with some changes that know YAML, and sometimes some that know nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from tests.fuzz import pieces
from tests.fuzz.corpus import corpus, sound
from tests.fuzz.inputs import Input
from tests.fuzz.path import CANARY

_LARGEST = 20_000
"""Bytes of one file."""
_TOKEN = re.compile(r"[^\s,:\[\]{}'\"#]+")
_REST_OF_LINE = re.compile(r"^[^\n:]*: *(.*)$", re.MULTILINE)
_IN_BRACES = re.compile(r": *([^,{}\[\]\n]*)")
_OPTIONS = re.compile(r"x-cloud-options: *(\[[^\]\n]*\]|\{(?:[^{}\n]|\{[^{}\n]*\})*\}|[^\n,}]*)")
_FLAGS = re.compile(r"runtime_flags: *(\[[^\]\n]*\]|[^\n,}]*)")
_BLOCK_MODEL = re.compile(r"^( +)model: .*$", re.MULTILINE)
_FLOW_MODEL = re.compile(r"\bmodel: *([^\s,}]+)")
_RAW = (
    b"\0",
    b"\xff",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xf0\x9f\xa6\x99",
    b"\xe2\x80\xae",
    b"\x80",
    b"\n",
)
_SECRETS = {"API_KEY": CANARY, "HF_TOKEN": f"hf_{CANARY}", "DATABASE": f"postgres://user:{CANARY}@host/db"}
_ENVIRONMENT = {"SET": "value", "EMPTY": "", "NUM": "7", "ODD": "a b$c", **_SECRETS}

Change = Callable[[Random, str], str]


def by_seed(seed: int) -> Input:
    """The input of this seed."""
    random = Random(seed)
    base = random.choice(sound() if random.random() < 0.75 else corpus())
    files = dict(base.files)
    if random.random() < 0.08:
        other = random.choice(corpus())
        files[random.choice(("other.yaml", "inc/inc.yaml", "compose.override.yaml"))] = next(iter(other.files.values()))
    for _ in range(random.choice((1, 1, 1, 1, 2, 2, 3, 8))):
        name = random.choice(tuple(files)) if random.random() < 0.5 else "compose.yaml"
        files[name] = _changed(random, name, files.get(name, b""))
    if random.random() < 0.12:
        name = random.choice(tuple(files))
        files[name] = _raw(random, files[name])
    environment = {**base.environment, **_ENVIRONMENT} if random.random() < 0.5 else base.environment
    return Input({name: data[:_LARGEST] for name, data in files.items()}, base.options, environment)


def _changed(random: Random, name: str, data: bytes) -> bytes:
    text = data.decode("utf-8", "surrogateescape")
    changes = _OF_ENV_FILES if name.endswith("env") else _OF_YAML
    return random.choice(changes)(random, text).encode("utf-8", "surrogateescape")


def _token(random: Random, text: str) -> str:
    """Another word where one stood."""
    begin = random.randrange(len(text) + 1)
    found = _TOKEN.search(text, begin) or _TOKEN.search(text)
    if found is None:
        return text + pieces.value(random)
    return text[: found.start()] + _word(random) + text[found.end() :]


def _word(random: Random) -> str:
    kind = random.randrange(5)
    if kind == 0:
        return random.choice(pieces.NAMES)
    if kind == 1:
        return pieces.expression(random)
    return random.choice(pieces.SCALARS) if kind < 4 else random.choice(pieces.OPTION_VALUES)


def _mark(random: Random, text: str) -> str:
    """A piece of grammar where none belongs."""
    at = random.randrange(len(text) + 1)
    return text[:at] + random.choice(pieces.MARKS) + text[at + random.choice((0, 0, 0, 1, 3)) :]


def _value(random: Random, text: str) -> str:
    """Another value behind a key: the whole rest of a line, or one in braces."""
    return _behind(random, text, random.choice((_REST_OF_LINE, _IN_BRACES)), pieces.value(random))


def _options(random: Random, text: str) -> str:
    if "x-cloud-options" not in text:
        return f"x-cloud-options: {pieces.options(random)}\n{text}"
    return _behind(random, text, _OPTIONS, pieces.options(random))


def _flags(random: Random, text: str) -> str:
    if "runtime_flags" not in text:
        indented = _BLOCK_MODEL.search(text)
        if indented is not None:
            line = f"\n{indented[1]}runtime_flags: {pieces.runtime_flags(random)}"
            return text[: indented.end()] + line + text[indented.end() :]
        return _behind(random, text, _FLOW_MODEL, f"x, runtime_flags: {pieces.runtime_flags(random)}")
    return _behind(random, text, _FLAGS, pieces.runtime_flags(random))


def _behind(random: Random, text: str, what: re.Pattern[str], instead: str) -> str:
    found = what.search(text, random.randrange(len(text) + 1)) or what.search(text)
    return text if found is None else text[: found.start(1)] + instead + text[found.end(1) :]


def _line(random: Random, text: str) -> str:
    """A line away, twice, deeper, higher, elsewhere, or a new one."""
    lines = text.split("\n")
    at = random.randrange(len(lines))
    kind = random.randrange(6)
    if kind == 5:
        lines.insert(at, random.choice(pieces.LINES))
        return "\n".join(lines)
    line = lines.pop(at)
    if kind == 1:
        lines[at:at] = [line] * random.choice((2, 2, 3, 50))
    elif kind == 2:
        lines.insert(at, "  " + line)
    elif kind == 3:
        lines.insert(at, line[2:])
    elif kind == 4:
        lines.insert(random.randrange(len(lines) + 1), line)
    return "\n".join(lines)


def _graft(random: Random, text: str) -> str:
    """Some lines of another project, at some depth."""
    other = next(iter(random.choice(corpus()).files.values())).decode("utf-8", "replace").split("\n")
    at = random.randrange(len(other))
    indent = " " * random.choice((0, 0, 2, 4))
    lines = text.split("\n")
    place = random.randrange(len(lines) + 1)
    lines[place:place] = [indent + line for line in other[at : at + random.randint(1, 6)]]
    return "\n".join(lines)


def _repeat(random: Random, text: str) -> str:
    """A piece many times: what recurses, or is quadratic, shows."""
    times = random.choice((10, 60, 60, 400, 1500))
    piece, end = random.choice(_REPEATED)
    at = random.randrange(len(text) + 1)
    return text[:at] + piece * times + random.choice((end * times, end * times, "")) + text[at:]


_REPEATED = (
    *(
        ("[", "]"),
        ("{a: ", "}"),
        ("- ", ""),
        ("? ", ""),
        ("${A:-", "}"),
        ("$$", ""),
        ("$SET", ""),
        ("&a ", ""),
        ("!x ", ""),
    ),
    *(
        ("*a, ", ""),
        ("'", ""),
        ('"', ""),
        ("\\", ""),
        ("a: ", ""),
        ("\n ", ""),
        ("#", ""),
        ("..", ""),
        ("/", ""),
        ("-", ""),
    ),
    *(
        (",", ""),
        ("a=", ""),
        (".a", ""),
        ("x-", ""),
        ("1", ""),
        ("é", ""),
        ("}", ""),
        (" ", ""),
        ("\t", ""),
        ("\n---\n", ""),
    ),
)


def _interpolate(random: Random, text: str) -> str:
    at = random.randrange(len(text) + 1)
    return text[:at] + pieces.expression(random) + text[at:]


def _cut(random: Random, text: str) -> str:
    at = random.randrange(len(text) + 1)
    return text[:at] if random.random() < 0.3 else text[:at] + text[at + random.choice((1, 2, 5, 20)) :]


def _assign(random: Random, text: str) -> str:
    lines = text.split("\n")
    lines.insert(random.randrange(len(lines) + 1), pieces.assignment(random))
    return "\n".join(lines)


_OF_YAML: tuple[Change, ...] = (
    *(_token, _token, _token, _mark, _mark, _value, _value, _options, _options, _flags),
    *(_line, _line, _graft, _repeat, _interpolate, _cut),
)
_OF_ENV_FILES: tuple[Change, ...] = (_assign, _assign, _assign, _token, _mark, _line, _interpolate, _repeat, _cut)


def _raw(random: Random, data: bytes) -> bytes:
    """Bytes without any sense."""
    changed = bytearray(data or b"\0")
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(len(changed) + 1)
        kind = random.randrange(4)
        if kind == 0:
            changed[at:at] = random.choice(_RAW)
        elif kind == 1:
            changed[at : at + 1] = bytes((random.randrange(256),))
        elif kind == 2:
            del changed[at : at + random.choice((1, 4, 16))]
        else:
            changed[at:at] = changed[random.randrange(len(changed) + 1) :][:40]
    return bytes(changed)
