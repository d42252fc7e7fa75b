"""What most commands share: the arguments that name a project, and the things made from them."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING

from reconciler.errors import InputError, Location, ReconcilerError, SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.compose.load import LoadRequest
    from reconciler.reading import Reader, Reading
    from reconciler.settings import Settings
    from reconciler.source import Snapshot
    from reconciler.wiring import Drivers
    from state.record import Recorded
    from state.store import Store


MOST = 1_000_000
"""Events or lines that one command shows."""


def add_settings_arguments(parser: argparse.ArgumentParser) -> None:
    """--config and --state."""
    group = parser.add_argument_group("settings")
    group.add_argument("--config", metavar="FILE", help="the operator's settings, reconciler.yaml")
    group.add_argument("--state", metavar="URL", help="where the record is kept: sqlite:PATH")


def add_project_arguments(parser: argparse.ArgumentParser) -> None:
    """What docker compose calls them, with the same meaning, and the settings."""
    group = parser.add_argument_group("project, as with docker compose")
    group.add_argument("-f", "--file", metavar="FILE", action="append", default=[], dest="files")
    group.add_argument("-p", "--project-name", metavar="NAME")
    group.add_argument("--profile", metavar="NAME", action="append", default=[], dest="profiles")
    group.add_argument("--env-file", metavar="FILE", action="append", default=[], dest="env_files")
    group.add_argument("--project-directory", metavar="DIR")
    group.add_argument(
        "--allow-variable",
        metavar="NAME",
        action="append",
        default=[],
        help="let the file use this variable of the environment although its name looks like a secret's",
    )
    group.add_argument(
        "--allow-unknown-options", action="store_true", help="warn of unknown cloud.* keys instead of refusing them"
    )
    add_settings_arguments(parser)


def count(text: str) -> int:
    """The type of an argument that says how many."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:10]) <= MOST):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST}")
    return int(text)


def add_output_argument(parser: argparse._ActionsContainer) -> None:
    """--output."""
    parser.add_argument(
        "--output", metavar="PATH", help="the override file, or its folder (default: beside the Compose file)"
    )


def settings_from(arguments: argparse.Namespace) -> Settings:
    """The settings that --config names, else those in the user's configuration folder, else the defaults."""
    # Imported here: `--help` needs no settings.
    from dataclasses import replace

    from reconciler.settings import default_settings, read_settings

    environment = os.environ
    chosen = settings_file(arguments)
    try:
        settings = read_settings(chosen, chosen.read_bytes(), environment)
    except FileNotFoundError:
        if arguments.config is not None:
            raise InputError(
                "there is no such file; name the settings with --config FILE", Location(str(chosen))
            ) from None
        settings = default_settings(environment)
    except OSError as exc:
        raise InputError(f"the settings cannot be read: {exc.strerror}", Location(str(chosen))) from exc
    if arguments.state is not None:
        settings = replace(settings, state=arguments.state)
    if getattr(arguments, "allow_unknown_options", False):
        settings = replace(settings, allow_unknown_options=True)
    return settings


def settings_file(arguments: argparse.Namespace) -> Path:
    """Where the settings are looked for: --config, else the user's configuration folder."""
    from pathlib import Path

    from reconciler.settings import config_folder

    if arguments.config is not None:
        return Path(arguments.config)
    return config_folder(os.environ) / "reconciler.yaml"


class ProjectContext:
    """The project that the arguments name, each part made when it is first asked for."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._recorded: dict[str, Recorded] = {}

    @cached_property
    def settings(self) -> Settings:
        return settings_from(self._arguments)

    @cached_property
    def drivers(self) -> Drivers:
        from reconciler.wiring import Drivers

        return Drivers(self.settings, os.environ)

    @cached_property
    def reader(self) -> Reader:
        """Reads the files as they lie."""
        from reconciler.reading import Reader
        from reconciler.source.fence import named_by
        from reconciler.source.worktree import WorktreeSource
        from reconciler.wiring import desired_settings

        root = self._arguments.project_directory or _here()
        files = [os.path.abspath(file) for file in self._arguments.files if file != "-"]
        named = named_by(os.environ, self._arguments.env_files, _here())
        source = WorktreeSource(root, files, named=named)
        return Reader(source, self._request, desired_settings(self.settings, os.environ))

    @cached_property
    def reading(self) -> Reading:
        """What the files say. Raises InputError and SourceError; the files' own warnings go to standard error."""
        reading = self.reader.read()
        for warning in reading.project.warnings:
            print_warning(warning)
        return reading

    def recorded(self, project: str) -> Recorded:
        """What was recorded of a project when first asked for, without writing anything anywhere; nothing where there
        is no state yet. Raises StateError."""
        if project not in self._recorded:
            self._recorded[project] = self._load(project)
        return self._recorded[project]

    def _load(self, project: str) -> Recorded:
        from state.open import open_store
        from state.record import Recorded
        from state.store import StateLost, StateMissing

        try:
            store = open_store(self.settings.state, readonly=True)
        except StateLost:
            raise
        except StateMissing:
            return Recorded(project=project, lineage="", serial=0, epoch=0)
        with closing(store):
            return store.load(project)

    @cached_property
    def _stdin(self) -> bytes | None:
        if "-" not in self._arguments.files:
            return None
        try:
            return sys.stdin.buffer.read()
        except OSError as exc:
            raise SourceError(f"the standard input cannot be read: {exc.strerror}") from exc

    def _request(self, snapshot: Snapshot) -> LoadRequest:
        from reconciler.compose.load import LoadRequest

        given = self._arguments
        return LoadRequest(
            files=tuple(given.files),
            stdin=self._stdin,
            cwd=_here(),
            project_name=given.project_name,
            profiles=tuple(given.profiles),
            env_files=tuple(given.env_files),
            project_directory=given.project_directory,
            environment=os.environ,
            allow_variables=self.settings.allow_variables | frozenset(given.allow_variable),
        )


def _here() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise SourceError(
            "the current directory was removed; change to another one, or name the files with -f"
        ) from None


def durable_store(settings: Settings) -> Store:
    """The record for a command that acts on platforms; made where none ever was. Raises StateError."""
    from state.open import open_store
    from state.store import StateError

    if settings.state == "memory:":
        raise StateError(
            "a record in memory ends with this command, and nobody would know of what it started: use `sqlite:PATH`"
        )
    return open_store(settings.state, create=True)


def print_warning(text: str) -> None:
    """A line on standard error that stops nothing."""
    from reconciler.text import clean

    sys.stderr.write(f"warning: {clean(text)}\n")


def say(text: str) -> None:
    """The answer of a command, on standard output; at once, so that it stands before the progress that follows."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


class Mistake(ReconcilerError):
    """Something on the command line that cannot be meant; the text says what can."""
