"""Which files, which directory, which variables: what `docker compose` settles before it reads a Compose file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from posixpath import dirname, join, normpath
from typing import NamedTuple

from reconciler.compose.dotenv import EnvFile
from reconciler.compose.environment import Environment, Withheld
from reconciler.compose.files import Files
from reconciler.errors import InputError, Location, SourceError

FILE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDE_NAMES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
STDIN = "-"
_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


class LoadRequest(NamedTuple):
    """What somebody asks to be loaded; the fields are the options of `docker compose` by the same names."""

    cwd: str
    """Absolute."""
    environment: Mapping[str, str]
    """The process environment."""
    files: tuple[str, ...] = ()
    """Values of `-f` in order; `-` is stdin."""
    stdin: bytes | None = None
    project_name: str | None = None
    profiles: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    project_directory: str | None = None
    allow_variables: frozenset[str] = frozenset()
    """Variables of the process that look like secrets and may be used all the same."""


class Found(NamedTuple):
    """What to read, and with which variables."""

    files: tuple[str, ...]
    """Absolute paths, or `-`."""
    working_dir: str
    environment: Environment
    env_files: tuple[str, ...]


class Names:
    """How messages call a file: as the user named it, else relative to the working directory where it lies below."""

    def __init__(self, cwd: str) -> None:
        self._cwd = cwd.rstrip("/") + "/"
        self._given: dict[str, str] = {}

    def give(self, path: str, name: str) -> None:
        """Remember the user's own name of an absolute path."""
        self._given.setdefault(path, name)

    def __call__(self, path: str) -> str:
        return self._given.get(path) or path.removeprefix(self._cwd)


def absolute(path: str, directory: str) -> str:
    """The path as seen from an absolute directory, without `.` and `..`."""
    result = normpath(join(directory, path))
    return "/" + result.lstrip("/")


def is_remote(path: str) -> bool:
    """Whether Compose would fetch it over the network."""
    return "://" in path or path.startswith(("git@", "github.com/"))


def discover(request: LoadRequest, files: Files, names: Names, warn: Callable[[str], None]) -> Found:
    """Find the Compose files and the variables. Raises SourceError when there is none, InputError for bad env files."""
    cwd = absolute(request.cwd, "/")
    given = tuple(_given(path, cwd, names) for path in request.files)
    home = absolute(request.project_directory, cwd) if request.project_directory else None
    environment = Environment({**request.environment, "PWD": request.cwd}, request.allow_variables)
    # Twice, as Compose does: COMPOSE_FILE may stand in the .env file of the current directory and lead to another one.
    first = _env_files(request, files, _directory(home, given, cwd), environment)
    environment = _adopt_switch(environment, _read_env(environment, first, files, names))
    paths = given or _from_variable(environment, cwd, files, names) or _search(home or cwd, files, names, warn)
    if not paths:
        raise SourceError(f"no Compose file in {home or cwd} or above it; name one with -f")
    working_dir = _directory(home, paths, cwd)
    second = _env_files(request, files, working_dir, environment)
    if second != first:
        environment = _read_env(environment, second, files, names)
    env_files = tuple(dict.fromkeys(first + second))
    return Found(files=paths, working_dir=working_dir, environment=environment, env_files=env_files)


def setting(environment: Environment, name: str) -> str | None:
    """A variable that tells Compose itself something. Raises InputError where an env file made it from a secret."""
    try:
        return environment.get(name, guarded=True)
    except Withheld as exc:
        raise InputError(str(exc), Location(name)) from None


def _given(path: str, cwd: str, names: Names) -> str:
    if path == STDIN:
        return path
    if is_remote(path):
        raise InputError("remote Compose files are not read; check the repository out", Location(path))
    result = absolute(path, cwd)
    names.give(result, path)
    return result


def _directory(home: str | None, paths: tuple[str, ...], cwd: str) -> str:
    """`--project-directory`, else where the first file lies, else the current directory."""
    if home is not None:
        return home
    return next((dirname(path) for path in paths if path != STDIN), cwd)


def _env_files(request: LoadRequest, files: Files, directory: str, environment: Environment) -> tuple[str, ...]:
    """`--env-file`, else COMPOSE_ENV_FILES of the process, else the `.env` of the directory unless that is off."""
    variables = request.environment
    listed = request.env_files or tuple(name for name in variables.get("COMPOSE_ENV_FILES", "").split(",") if name)
    if listed:
        user = variables.get("HOME", "")
        at_home = (user + name[1:] if user and name.startswith("~/") else name for name in listed)
        return tuple(absolute(name, absolute(request.cwd, "/")) for name in at_home)
    default = join(directory, ".env")
    return (default,) if not _switched_off(environment) and files.is_file(default) else ()


def _switched_off(environment: Environment) -> bool:
    value = setting(environment, "COMPOSE_DISABLE_ENV_FILE")
    if value is None or value in _FALSE:
        return False
    if value not in _TRUE:
        raise InputError(f"{value!r} is not a boolean", Location("COMPOSE_DISABLE_ENV_FILE"))
    return True


def _adopt_switch(before: Environment, after: Environment) -> Environment:
    """An `.env` file that switches `.env` files off still counts for what it says to Compose itself."""
    if _switched_off(before) or not _switched_off(after):
        return after
    return after.only("COMPOSE_")


def _read_env(environment: Environment, paths: tuple[str, ...], files: Files, names: Names) -> Environment:
    return read_env_files(environment, [(path, Location(names(path))) for path in paths], files, names)


def read_env_files(
    environment: Environment, paths: list[tuple[str, Location]], files: Files, names: Names
) -> Environment:
    """The environment with the variables of these files added where they are unset. Raises InputError at the place
    given with a file when that cannot be read, or inside the file."""
    out = EnvFile(environment)
    for path, place in paths:
        try:
            data = files.read(path)
        except OSError as exc:
            raise InputError(f"the env file {names(path)} cannot be read: {reason(exc)}", place) from None
        out.read(data, names(path))
    return environment.extended(out.values, out.tainted)


def reason(exc: OSError) -> str:
    """Why a file could not be read, without its path."""
    if isinstance(exc, FileNotFoundError):
        return "there is no such file"
    return "it is a directory" if isinstance(exc, IsADirectoryError) else exc.strerror or "permission denied"


def _from_variable(environment: Environment, cwd: str, files: Files, names: Names) -> tuple[str, ...]:
    """COMPOSE_FILE, several of them separated by COMPOSE_PATH_SEPARATOR or a colon."""
    value = setting(environment, "COMPOSE_FILE")
    if value is None:
        return ()
    separator = setting(environment, "COMPOSE_PATH_SEPARATOR") or ":"
    paths = tuple(_given(path, cwd, names) for path in value.split(separator))
    for path in paths:
        if path != STDIN and not files.is_file(path):
            raise SourceError(f"COMPOSE_FILE names {names(path)}, which is not there")
    return paths


def _search(directory: str, files: Files, names: Names, warn: Callable[[str], None]) -> tuple[str, ...]:
    """The first directory upwards that holds a Compose file, and the override file beside it."""
    while True:
        main = _first(FILE_NAMES, directory, files, names, warn)
        if main:
            override = _first(OVERRIDE_NAMES, directory, files, names, warn)
            return (main, override) if override else (main,)
        if directory == "/":
            return ()
        directory = dirname(directory)


def _first(
    candidates: tuple[str, ...], directory: str, files: Files, names: Names, warn: Callable[[str], None]
) -> str | None:
    found = [path for path in (join(directory, name) for name in candidates) if files.is_file(path)]
    if len(found) > 1:
        others = ", ".join(names(path) for path in found[1:])
        warn(f"{names(found[0])}: several files could be meant; this one is used, not {others}")
    return found[0] if found else None
