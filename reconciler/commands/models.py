"""Pull, import, list and remove the model files of this host."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.commands.project import Mistake, add_settings_arguments, say, settings_from
from reconciler.errors import Refused

if TYPE_CHECKING:
    from drivers.modelstore.store import ModelStore, StoredModel

EXAMPLES = """\
examples:
  reconcile models pull ai/smollm2
  reconcile models pull hf.co/bartowski/SmolLM2-135M-Instruct-GGUF:Q4_K_M
  reconcile models import ./SmolLM2-135M-Instruct.Q4_1.gguf --as ai/smollm2
  reconcile models ls
  reconcile models rm ai/smollm2
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings_arguments(parser)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="pull|import|ls|rm")
    pull = verbs.add_parser("pull", help="fetch a model from its registry or hub")
    pull.add_argument("reference", metavar="REFERENCE")
    pull.add_argument("--refresh", action="store_true", help="ask the registry although the model is here")
    take = verbs.add_parser("import", help="take a GGUF file into the store")
    take.add_argument("file", metavar="FILE")
    take.add_argument("--as", dest="reference", metavar="REFERENCE", required=True, help="what Compose files call it")
    take.add_argument("--mode", choices=("copy", "hardlink", "reflink"), default="copy")
    listing = verbs.add_parser("ls", help="what is here")
    listing.add_argument("--format", choices=("text", "json"), default="text")
    remove = verbs.add_parser("rm", help="remove models that nothing serves")
    remove.add_argument("references", metavar="REFERENCE", nargs="+")
    remove.add_argument("--force", action="store_true", help="although a server runs with them")
    for verb in (pull, take, listing, remove):
        add_late_settings(verb)


def add_late_settings(parser: argparse.ArgumentParser) -> None:
    """--config and --state behind the verb too; absent, what stood before the verb holds."""
    parser.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument("--state", metavar="URL", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    from reconciler.wiring import Drivers

    settings = settings_from(arguments)
    store = Drivers(settings, os.environ).models
    if arguments.verb == "pull":
        _pull(store, arguments)
    elif arguments.verb == "import":
        _import(store, arguments)
    elif arguments.verb == "rm":
        if not arguments.force:
            _refuse_used(settings.run_dir, arguments.references)
        _remove(store, arguments.references)
    else:
        _list(store, arguments.format)
    return 0


def _pull(store: ModelStore, arguments: argparse.Namespace) -> None:
    from drivers.base import Phase
    from reconciler.clock import SystemClock
    from reconciler.progress import Row, open_progress
    from reconciler.text import byte_size

    clock = SystemClock()
    began = clock.monotonic()
    with open_progress(sys.stderr) as progress:

        def show(done: int, total: int) -> None:
            now = clock.monotonic()
            detail = f"pulling {byte_size(total)}" if total else "asking the registry"
            share = done / total if total else None
            row = Row(
                model=arguments.reference,
                driver="",
                phase=Phase.CREATING,
                detail=detail,
                progress=share,
                elapsed_s=now - began,
            )
            progress.update((row,), now)

        stored = store.pull(arguments.reference, show, refresh=arguments.refresh)
    _tell(stored)


def _import(store: ModelStore, arguments: argparse.Namespace) -> None:
    file = Path(arguments.file)
    if not file.is_file():
        raise Mistake(f"{file} is {'no file' if file.exists() else 'not there'}; name a GGUF file")
    _tell(store.import_file(file, arguments.reference, arguments.mode))


def _tell(stored: StoredModel) -> None:
    from reconciler.text import byte_size, clean

    say(clean(f"{stored.reference}  {byte_size(stored.size)}  {stored.digest or 'served in place'}"))


def _refuse_used(run_root: Path, references: list[str]) -> None:
    """Removed under a server, a model fails at its next start. Raises Refused, before any is removed."""
    from drivers.llamacpp.residents import users_of

    for reference in references:
        users = [f"{user.model} of project {user.project}" for user in users_of(run_root, reference)]
        if users:
            raise Refused(f"{reference} is used by {', '.join(users)}; nothing was removed (--force removes it anyway)")


def _remove(store: ModelStore, references: list[str]) -> None:
    from reconciler.text import byte_size, clean

    for reference in references:
        removal = store.remove(reference)
        kept = f"; files shared with {', '.join(removal.shared)} stay" if removal.shared else ""
        say(clean(f"removed {removal.reference}, {byte_size(removal.freed_bytes)} freed{kept}"))


def _list(store: ModelStore, form: str) -> None:
    from reconciler.text import byte_size, clean

    stored = store.ls()
    if form == "json":
        say(json.dumps([_document(one) for one in stored], indent=2))
        return
    if not stored:
        say("no models here; `reconcile models pull REFERENCE` or `reconcile models import FILE --as REFERENCE`")
    width = max((len(one.reference) for one in stored), default=0)
    for one in stored:
        header = one.header
        say(
            clean(
                f"{one.reference:{width}}  {byte_size(one.size):>9}  {header.architecture}  {(one.digest or '')[:19]}"
            )
        )


def _document(one: StoredModel) -> dict[str, object]:
    return {
        "reference": one.reference,
        "path": str(one.path),
        "digest": one.digest,
        "size": one.size,
        "architecture": one.header.architecture,
        "context_length": one.header.context_length,
        "stored_at": one.stored_at.isoformat() if one.stored_at else None,
    }
