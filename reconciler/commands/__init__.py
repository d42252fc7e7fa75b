"""The commands, one module each, imported only when it is the one. `up` is what runs without a name.

A module offers `add_arguments(parser)` and `run(arguments) -> exit code`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple

from reconciler import __version__

COMMANDS = {
    "serve": ("serve", "follow checkouts and reconcile whatever is committed"),
    "status": ("status", "what is deployed, and how it is"),
    "history": ("history", "what happened, newest last"),
    "events": ("history", "the same as history"),
    "logs": ("logs", "the log of a model's server"),
    "token": ("token", "a short-lived token for a model whose platform wants one"),
    "config": ("config", "what was read from the Compose files, resolved"),
    "validate": ("validate", "check the file and report what becomes of every option"),
    "explain": ("validate", "the same for one model, in full"),
    "drivers": ("drivers", "the platforms and what this installation can do with them"),
    "doctor": ("doctor", "check this host and the state, and say what to mend"),
    "recover": ("recover", "put a lost or damaged record back, or begin again with what runs"),
    "models": ("models", "pull, import, list and remove model files of this host"),
    "render": ("render", "print the override file, or a service's variables"),
    "destroy": ("destroy", "delete every model of the project"),
    "protect": ("book", "never delete a model"),
    "unprotect": ("book", "let a model be deleted again"),
    "confirm": ("book", "say yes to the removal of models that are gone from the file"),
    "resume": ("book", "try a model again that was given up"),
    "forget": ("book", "drop the record of a deployment; touches no platform"),
}

EXAMPLES = """\
commands:
{commands}

examples:
  reconcile --dry-run                         what would be done; no credentials, no network, no writes
  reconcile                                   do it, until what runs is what the file says
  reconcile -f compose.yaml --dry-run --format json --detailed-exitcode      in CI: 0 nothing to do, 2 changes
  reconcile serve --config reconciler.yaml    as a service: follow commits
  docker compose -f compose.yaml -f compose.models.yaml up                   start the services with their models

exit codes: 0 fine, 1 error, 2 changes pending (only with --detailed-exitcode), 3 refused by a guard
"""

_WITH_VALUE = frozenset(
    (
        *("-f", "--file", "-p", "--project-name", "--profile", "--env-file", "--project-directory"),
        *("--config", "--state", "--allow-variable", "--format", "--output", "--timeout"),
        *(
            "--service",
            "--limit",
            "-n",
            "--lines",
            "--deployment",
            "--as",
            "--mode",
            "--from",
            "--lineage",
            "--platform",
        ),
    )
)
"""Options of any command whose next word is their value: before the command, that word is not the command."""


class Parsed(NamedTuple):
    """A command that is ready to run."""

    run: Callable[[argparse.Namespace], int]
    arguments: argparse.Namespace


def parse(given: Sequence[str]) -> Parsed:
    """Which command it is, with its arguments. Raises SystemExit for `--help` and for arguments that make no sense.

    Options of the project may stand before the name of the command, as with docker compose.
    """
    at = _find_command(given)
    name = given[at] if at is not None else ""
    if name and name not in COMMANDS:
        parser = _parser("", "up")
        parser.error(f"unknown command '{name}'{_suggestion(name)}; `reconcile --help` lists them")
    module_name = COMMANDS[name][0] if name else "up"
    parser = _parser(name, module_name)
    rest = [*given[:at], *given[at + 1 :]] if at is not None else list(given)
    arguments = parser.parse_args(rest)
    arguments.command = name
    run: Callable[[argparse.Namespace], int] = import_module(f"reconciler.commands.{module_name}").run
    return Parsed(run, arguments)


def _parser(name: str, module_name: str) -> argparse.ArgumentParser:
    module = import_module(f"reconciler.commands.{module_name}")
    described = (module.__doc__ or "").split("\n\n")[0] if name else "Make the models of a Compose file real."
    parser = argparse.ArgumentParser(
        prog=f"reconcile {name}".rstrip(),
        description=described,
        usage=None if name else "reconcile [OPTIONS] [COMMAND]",
        formatter_class=_Help,
        epilog=getattr(module, "EXAMPLES", None) if name else EXAMPLES.format(commands=_listing()),
        allow_abbrev=False,
    )
    if not name:
        parser.add_argument("--version", action="version", version=f"compose-model-reconciler {__version__}")
    module.add_arguments(parser)
    return parser


class _Help(argparse.RawDescriptionHelpFormatter):
    """Knows the width of the terminal: to find it out, argparse would import shutil and every compression with it."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    """As `shutil.get_terminal_size` has it: COLUMNS, else the terminal's own width, else 80."""
    try:
        columns = int(os.environ.get("COLUMNS", "0"))
        return columns if columns > 0 else os.get_terminal_size().columns or 80
    except (ValueError, OSError):
        return 80


def _listing() -> str:
    return "\n".join(f"  {name:10} {about}" for name, (_, about) in COMMANDS.items())


def _find_command(given: Sequence[str]) -> int | None:
    """The index of the first word that is neither an option nor an option's value."""
    skip = False
    for index, word in enumerate(given):
        if skip:
            skip = False
        elif word == "--":
            return None
        elif word.startswith("-") and word != "-":
            skip = word in _WITH_VALUE
        else:
            return index
    return None


def _suggestion(name: str) -> str:
    from reconciler.options import nearest

    hint = nearest(name, COMMANDS)
    return f" (did you mean '{hint}'?)" if hint else ""
