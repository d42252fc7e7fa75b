"""What is written about which of Bedrock's two APIs answers chats of a model: for a word in the plan, never a refusal.

No call of AWS's says it without a completion being paid for, its documentation does for people (`catalog/models.yaml`
has what we read there, and when), and its own first answer is always right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers import catalog
from drivers.aws.bedrock.wish import MANTLE, PLATFORM, Mode, Wish

RUNTIME = "runtime"


def warning(wish: Wish) -> str:
    """What people should know before they wait for an answer, or pay for one; empty where nothing speaks against it."""
    if wish.mode is Mode.IMPORT:
        return (
            "whether AWS's OpenAI-compatible URL answers chats of imported models is not written anywhere: the first "
            "request tells"
        )
    api, other = (MANTLE, RUNTIME) if wish.mantle else (RUNTIME, MANTLE)
    known = _known(wish.model)
    if known is None or known[api]:
        return ""
    source = _data()["sources"][known["source"]]
    instead = (
        f"aws.bedrock-api={other} does, by an id of its own"
        if known[other]
        else "aws-sagemaker and aws-ec2 run the weights of open models themselves"
    )
    return (
        f"but as far as is written (read {source['read']}: {source['where']}) bedrock-{api} answers no chats of it, "
        f"and {instead}; AWS's answer to the first request decides"
    )


def _known(model: str) -> Mapping[str, Any] | None:
    """The entry whose beginning fits best. A profile's id has its geography before the model's."""
    entries: Mapping[str, Mapping[str, Any]] = _data()["known"]
    fitting = [begins for begins in entries if model.startswith(begins)]
    return entries[max(fitting, key=len)] if fitting else None


def _data() -> Mapping[str, Any]:
    found: Mapping[str, Any] = catalog.models()["chats"][PLATFORM]
    return found
