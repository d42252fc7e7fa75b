"""What this driver needs of a model store. `drivers.modelstore.ModelStore` offers it; so does any small fake."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from drivers.errors import DriverError
from drivers.modelstore.gguf import GgufHeader


class ModelFile(Protocol):
    """One model that lies on this host, complete and verified."""

    @property
    def path(self) -> Path:
        """The GGUF file; of a split model the first part."""
        ...

    @property
    def mmproj(self) -> Path | None:
        """The projector of a model that sees or hears."""
        ...

    @property
    def chat_template(self) -> Path | None:
        """A template that came beside the weights and overrides theirs."""
        ...

    @property
    def context_size(self) -> int | None:
        """Tokens, as the packager of the model recommends."""
        ...

    @property
    def header(self) -> GgufHeader:
        """What the file says of itself, as the store remembers it: nothing is read again at a start."""
        ...


class Pull(Protocol):
    """How far a pull is."""

    @property
    def state(self) -> str:
        """`idle`, `running`, `failed` or `done`."""
        ...

    @property
    def done_bytes(self) -> int: ...

    @property
    def total_bytes(self) -> int | None: ...

    @property
    def error(self) -> DriverError | None:
        """Why a pull failed."""
        ...


class ModelFiles(Protocol):
    """Where model files come from. None of the methods waits for a network."""

    def find(self, reference: str) -> ModelFile | None:
        """The files of a model, None where it is not here."""
        ...

    def start_pull(self, reference: str) -> None:
        """Begin to fetch a model, unless that is under way."""
        ...

    def pull_status(self, reference: str) -> Pull:
        """What became of the last pull."""
        ...
