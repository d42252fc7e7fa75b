"""The models and configurations of a deployment, whichever update they came from: found by name, believed by tag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from drivers.aws.sagemaker import names
from drivers.aws.sagemaker.api import Api
from drivers.aws.tags import is_ours
from drivers.base import Deployment

MODEL, CONFIG = "model", "endpoint_config"


class Piece(NamedTuple):
    """One of them."""

    kind: str
    name: str
    arn: str
    tags: Mapping[str, str]

    @property
    def is_leaving(self) -> bool:
        return names.LEAVING in self.tags


def pieces(api: Api, deployment: Deployment) -> tuple[Piece, ...]:
    """Configurations first, then models: the order in which they go. Those that carry other tags are not ours."""
    found = []
    for kind in (CONFIG, MODEL):
        listed = dict(api.named(kind, names.prefix(deployment)))
        latest = names.revision(deployment)
        if latest not in listed and (arn := api.arn(kind, latest)) is not None:
            listed[latest] = arn  # a listing may not have it yet
        found += [Piece(kind, name, arn, api.tags(arn)) for name, arn in listed.items()]
    return tuple(piece for piece in found if is_ours(piece.tags, deployment))


def revisions(found: tuple[Piece, ...], latest: str) -> tuple[str, ...]:
    """All revisions that pieces belong to, and the latest one."""
    return tuple(dict.fromkeys((*(piece.name for piece in found), latest)))


def remains(api: Api, deployment: Deployment) -> bool:
    """Without an endpoint: whether a deletion has left something, which a create never leaves. A create makes the model
    first and a deletion removes it last, and marks it before anything else."""
    found = pieces(api, deployment)
    models = [piece for piece in found if piece.kind == MODEL]
    return any(piece.is_leaving for piece in models) or (bool(found) and not models)


def mark(api: Api, found: tuple[Piece, ...]) -> None:
    """Note on the models that their deployment is being deleted, for whoever looks after a crash."""
    for piece in found:
        if piece.kind == MODEL and not piece.is_leaving:
            api.tag(piece.arn, {names.LEAVING: "true"})


def remove(api: Api, found: tuple[Piece, ...], *, keep: str = "") -> None:
    """Remove all but the revision to keep, unmarked models before marked ones, so that a mark stays to the end."""
    for piece in sorted(found, key=lambda piece: (piece.kind == MODEL, piece.is_leaving)):
        if piece.name != keep:
            api.remove(piece.kind, piece.name)
