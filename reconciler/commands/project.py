"""What most commands share: the arguments that name a project, and the things made from them."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import InputError, Location, ReconcilerError
from reconciler.settings import NAME, Settings, default_settings, read_settings

if TYPE_CHECKING:
    from reconciler.compose.load import LoadRequest
    from reconciler.reading import Reader, Reading
    from reconciler.source import Snapshot
    from reconciler.wiring import Drivers
    from state.record import Recorded
    from state.store import Store


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


def settings_from(arguments: argparse.Namespace) -> Settings:
    """The settings that --config names, else those in the user's configuration folder, else the defaults."""
    environment = os.environ
    home = Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config") / NAME / "reconciler.yaml"
    chosen = Path(arguments.config) if arguments.config else home
    try:
        settings = read_settings(chosen, chosen.read_bytes(), environment)
    except FileNotFoundError:
        if arguments.config:
            raise InputError(
                "there is no such file; name the settings with --config FILE", Location(str(chosen))
            ) from None
        settings = default_settings(environment)
    except OSError as exc:
        raise InputError(f"the settings cannot be read: {exc.strerror}", Location(str(chosen))) from exc
    if arguments.state:
        settings = replace(settings, state=arguments.state)
    if getattr(arguments, "allow_unknown_options", False):
        settings = replace(settings, allow_unknown_options=True)
    return settings


class ProjectContext:
    """The project that the arguments name, each part made when it is first asked for."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments

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
        from reconciler.source.worktree import WorktreeSource
        from reconciler.wiring import desired_settings

        root = self._arguments.project_directory or os.getcwd()
        return Reader(WorktreeSource(root), self._request, desired_settings(self.settings, os.environ))

    @cached_property
    def reading(self) -> Reading:
        """What the files say. Raises InputError and SourceError; the files' own warnings go to standard error."""
        reading = self.reader.read()
        for warning in reading.project.warnings:
            print_warning(warning)
        return reading

    def open_store(self, *, create: bool = False, readonly: bool = False) -> Store:
        """Raises StateError."""
        from state.open import open_store

        return open_store(self.settings.state, create=create, readonly=readonly)

    def recorded(self, project: str) -> Recorded:
        """What is recorded of a project, without writing anything anywhere; nothing where there is no state yet."""
        from state.record import Recorded
        from state.store import StateLost, StateMissing

        try:
            store = self.open_store(readonly=True)
        except StateLost:
            raise
        except StateMissing:
            return Recorded(project=project, lineage="", serial=0, epoch=0)
        try:
            return store.load(project)
        finally:
            store.close()

    @cached_property
    def _stdin(self) -> bytes | None:
        return sys.stdin.buffer.read() if "-" in self._arguments.files else None

    def _request(self, snapshot: Snapshot) -> LoadRequest:
        from reconciler.compose.load import LoadRequest

        given = self._arguments
        return LoadRequest(
            files=tuple(given.files),
            stdin=self._stdin,
            cwd=os.getcwd(),
            project_name=given.project_name,
            profiles=tuple(given.profiles),
            env_files=tuple(given.env_files),
            project_directory=given.project_directory,
            environment=os.environ,
            allow_variables=self.settings.allow_variables | frozenset(given.allow_variable),
        )


def print_warning(text: str) -> None:
    """A line on standard error that stops nothing."""
    from reconciler.text import clean

    sys.stderr.write(f"warning: {clean(text)}\n")


def say(text: str) -> None:
    """The answer of a command, on standard output."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


class NothingRecorded(ReconcilerError):
    """A command that needs a record, where there is none."""
