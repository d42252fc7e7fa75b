"""The command line: which command, its arguments, and how errors become words and exit codes. The only `print`s.

Exit codes: 0 fine, 1 error, 2 changes pending (only with --detailed-exitcode), 3 refused by a guard, 130 interrupted.
Nothing heavy is imported before a command is known.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

from reconciler.errors import InputError, ReconcilerError, Refused


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Raises SystemExit(0) for `--help` and `--version`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Nearly all that a command makes is kept until its end: to look for garbage after every 700 values finds none.
    gc.set_threshold(100_000)
    _make_streams_usable()
    _refuse_foreign_packages()
    try:
        code = _run(given)
        if arguments is None:
            gc.freeze()  # the process ends with what it has: nobody need look through it once more
        sys.stdout.flush()  # while somebody is there to hear that it failed
    except KeyboardInterrupt:
        print("interrupted; what was begun is recorded and goes on with the next run", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _drop_output()
        return 1
    except OSError as error:
        _complain(error)
        _drop_output()
        return 1
    finally:
        _drop_complaints()
    return code


def _run(given: Sequence[str]) -> int:
    from reconciler.commands import parse

    form = ""
    try:
        parsed = parse(given)
        form = getattr(parsed.arguments, "format", "")
        return parsed.run(parsed.arguments)
    except SystemExit as end:
        sys.stdout.flush()  # `--help` into a pipe that nobody reads
        if end.code in (0, None):
            raise
        # argparse ends with 2, which a script that asked for --detailed-exitcode would take for pending changes.
        return 1
    except ReconcilerError as error:
        if form == "github":
            _annotate(error)
        _complain(error)
        return 3 if isinstance(error, Refused) else 1
    except Exception as error:
        if not _is_expected(error):
            raise
        _complain(error)
        return 1


def _make_streams_usable() -> None:
    """Streams that were closed become empty ones, and a character that a terminal lacks is no reason to fail."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - lives as long as we do
        elif mode == "w" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Whoever read our output has left, or its disk is full: what is still buffered must not fail a second time."""
    stdout = sys.__stdout__
    if stdout is not None and sys.stdout is stdout:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())


def _drop_complaints() -> None:
    """What a log on a full disk did not take is no reason to end with an error of the interpreter's own."""
    stderr = sys.__stderr__
    if stderr is None or sys.stderr is not stderr:
        return
    try:
        stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stderr.fileno())


def _is_expected(error: Exception) -> bool:
    """Errors of the packages below that are meant for people; their modules are loaded when they were raised."""
    from drivers.errors import DriverError

    store = sys.modules.get("state.store")
    return isinstance(error, DriverError) or (store is not None and isinstance(error, store.StateError))


def _complain(error: Exception) -> None:
    from reconciler.text import clean

    print(f"error: {clean(_advised(error))}", file=sys.stderr)


def _annotate(error: ReconcilerError) -> None:
    """On the line of the file that has to change, where a pull request shows it."""
    if isinstance(error, InputError):
        from reconciler.report.github import error_annotation

        print(error_annotation(error))


def _advised(error: Exception) -> str:
    """What is wrong, and what to do about it where the one who raised it could not know."""
    store = sys.modules.get("state.store")
    if store is None:
        return str(error)
    if isinstance(error, store.Held):
        return (
            f"{error}. Leave it the work: commit the change and it acts by itself. "
            "Or stop that process and run this again; `reconcile status` only looks and works at any time"
        )
    if isinstance(error, store.Fenced):
        return f"{error}. Nothing more was changed; run it again, and it goes on where it was"
    return str(error)


def _refuse_foreign_packages() -> None:
    """`drivers` and `state` are common names: another package of that name before ours would be imported instead."""
    import drivers
    import state

    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for package in (drivers, state):
        found = os.path.dirname(os.path.dirname(os.path.abspath(package.__file__ or "")))
        if found != home:
            print(
                f"error: the package '{package.__name__}' was found in {found}, ours is in {home}: another "
                "distribution shadows it. Install this application alone (uv tool install, pipx)",
                file=sys.stderr,
            )
            raise SystemExit(1)


if __name__ == "__main__":
    raise SystemExit(main())
