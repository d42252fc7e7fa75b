"""The variables a project sees, and which of the process's own it may not see."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SECRET_WORDS = frozenset(
    (
        *("SECRET", "SECRETS", "TOKEN", "TOKENS", "PASSWORD", "PASSWORDS", "PASSWD", "PASS", "PASSPHRASE", "PWD"),
        *("KEY", "KEYS", "APIKEY", "APIKEYS", "CREDENTIAL", "CREDENTIALS", "CREDS", "PRIVATE", "AUTH"),
        *("PAT", "JWT", "DSN", "COOKIE", "COOKIES", "SSHPASS", "WEBHOOK"),
    )
)
_SECRET_ENDS = ("PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "APIKEY", "ACCESSKEY", "CREDENTIALS")
"""Also without anything between: PGPASSWORD, AUTHTOKEN."""
_PASSWORD_IN_URL = re.compile(r"://[^@\s]*:[^@\s]+@")
_WORDS = re.compile(r"[^A-Z0-9]+")
_HARMLESS = frozenset(("PWD", "OLDPWD"))


def looks_secret(name: str) -> bool:
    """Whether a variable of this name usually holds a secret: AWS_SECRET_ACCESS_KEY does, MONKEY does not."""
    upper = name.upper()
    words = _WORDS.split(upper)
    return upper not in _HARMLESS and any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDS) for word in words)


class Withheld(Exception):
    """A secret-looking variable of the process was asked for where its value could leave this machine."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the variable {name} looks like a secret and is not taken from the process environment; "
            f"put it into the project's .env file, or pass --allow-variable {name}"
        )


class Environment:
    """The process's variables win over those of env files, as in Compose; secret-looking ones are withheld.

    Withheld means: refused in what we read and act on (models, options, names). Elsewhere in a Compose file such
    variables are ordinary (`environment: DB_PASSWORD: ${DB_PASSWORD}`); there, and in env files, `<DB_PASSWORD>` stands
    in for the value, because an error quotes what is wrong: "the network '…' is not defined".
    """

    def __init__(
        self, process: Mapping[str, str], allowed: frozenset[str] = frozenset(), files: Mapping[str, str] | None = None
    ) -> None:
        self._process = process
        self._allowed = allowed
        self._files = dict(files or {})
        self._tainted: dict[str, str] = {}

    def get(self, name: str, *, guarded: bool = False) -> str | None:
        """The value, or what stands in for it; None when unset. Raises Withheld when `guarded` and only the process has
        it."""
        value = self._process.get(name)
        if value is not None and not self._is_withheld(name):
            return value
        if name in self._files:
            if guarded and name in self._tainted:
                raise Withheld(self._tainted[name])
            return self._files[name]
        if value is not None and guarded:
            raise Withheld(name)
        return f"<{name}>" if value else value

    def source_of(self, name: str) -> str | None:
        """The withheld variable whose value is in this one, None when there is none."""
        if name in self._process:
            return name if self._is_withheld(name) else None
        return self._tainted.get(name)

    def extended(self, values: Mapping[str, str], tainted: Mapping[str, str]) -> Environment:
        """With the variables of an env file added where they are not set yet."""
        new = Environment(self._process, self._allowed, self._files)
        new._tainted = dict(self._tainted)
        for name, value in values.items():
            if name not in new._files:
                new._files[name] = value
                if name in tainted:
                    new._tainted[name] = tainted[name]
        return new

    def only(self, prefix: str) -> Environment:
        """Without the env files' variables, except those with this prefix."""
        files = {name: value for name, value in self._files.items() if name.startswith(prefix)}
        new = Environment(self._process, self._allowed, files)
        new._tainted = dict(self._tainted)
        return new

    def with_values(self, values: Mapping[str, str]) -> Environment:
        """With values that win over everything else (the project's name)."""
        new = Environment({**self._process, **values}, self._allowed, self._files)
        new._tainted = dict(self._tainted)
        return new

    def _is_withheld(self, name: str) -> bool:
        if name in self._allowed:
            return False
        return looks_secret(name) or _PASSWORD_IN_URL.search(self._process.get(name, "")) is not None
