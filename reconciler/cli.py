"""The command line: which command, its arguments, and how errors become words and exit codes. The only `print`s.

Exit codes: 0 fine, 1 error, 2 changes pending (only with --detailed-exitcode), 3 refused by a guard, 130 interrupted.
Nothing heavy is imported before a command is known.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from reconciler.errors import ReconcilerError, Refused

_SEE = "`reconcile COMMAND --help` says more about a command."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _refuse_foreign_packages()
    from reconciler.commands import parse

    parsed = parse(given)
    try:
        return parsed.run(parsed.arguments)
    except KeyboardInterrupt:
        print("interrupted; what was begun is recorded and goes on with the next run", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has left; writing the rest of it is nobody's wish.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ReconcilerError as error:
        _complain(error)
        return 3 if isinstance(error, Refused) else 1
    except Exception as error:
        if not _is_expected(error):
            raise
        _complain(error)
        return 1


def _is_expected(error: Exception) -> bool:
    """Errors of the packages below that are meant for people; their modules are loaded when they were raised."""
    from drivers.errors import DriverError

    store = sys.modules.get("state.store")
    return isinstance(error, DriverError) or (store is not None and isinstance(error, store.StateError))


def _complain(error: Exception) -> None:
    from reconciler.text import clean

    print(f"error: {clean(str(error))}", file=sys.stderr)


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
