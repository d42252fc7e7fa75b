"""Taking models out of the store: what other references need stays, what is being fetched is left alone."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from typing import TYPE_CHECKING

from drivers.errors import Rejected
from drivers.modelstore.files import translated
from drivers.modelstore.reference import Kind, Reference

if TYPE_CHECKING:
    from drivers.modelstore.store import ModelStore, Removal


def remove(store: ModelStore, reference: Reference) -> Removal:
    """Forget a reference, and delete the files that no other one needs."""
    from drivers.modelstore.store import Removal

    if reference.kind is Kind.FILE:
        raise Rejected(f"{reference} is served in place and not in the store; remove the file itself")
    if store.index.read(reference.canonical) is None:
        raise Rejected(f"{reference} is not in the store")
    try:
        with store.index.locked():
            entry = store.index.read(reference.canonical)
            store.index.delete(reference.canonical)
            mine = frozenset(file.digest for file in entry.files) if entry else frozenset()
            needed = {file.digest: other.reference for other in store.index.all() for file in other.files}
            shared = tuple(sorted({needed[digest] for digest in mine & needed.keys()}))
            freed = discard_unneeded(store, mine)
    except OSError as error:
        raise translated(error, f"removing {reference}") from error
    return Removal(reference.canonical, freed, shared)


def prune(store: ModelStore) -> int:
    """Delete what no reference needs and nobody fetches; bytes freed."""
    if not store.root.is_dir():
        return 0
    try:
        with store.index.locked():
            blobs = store.blobs()
            freed = discard_unneeded(store, blobs.all()) + blobs.discard_abandoned_imports()
    except OSError as error:
        raise translated(error, f"pruning {store.root}") from error
    return freed


def discard_unneeded(store: ModelStore, digests: Collection[str]) -> int:
    """Delete those of the blobs that no entry names; bytes freed. The caller holds the index's lock."""
    needed = {file.digest for entry in store.index.all() for file in entry.files}
    blobs = store.blobs()
    freed = sum(blobs.discard(digest) for digest in frozenset(digests) - needed)
    _drop_links(store)
    return freed


def _drop_links(store: ModelStore) -> None:
    """Remove the folders of split models whose parts are gone."""
    folder = store.root / "models"
    for model in folder.iterdir() if folder.is_dir() else ():
        if not all(link.exists() for link in model.iterdir()):
            shutil.rmtree(model, ignore_errors=True)
