"""The project's name: `-p`, else COMPOSE_PROJECT_NAME, else `name:`, else the directory."""

from __future__ import annotations

import re
from collections.abc import Callable
from posixpath import basename

from reconciler.compose.discover import Found, LoadRequest, setting
from reconciler.compose.interpolate import Interpolator
from reconciler.compose.nodes import Node
from reconciler.compose.reader import Document
from reconciler.errors import InputError, Location

_ALLOWED = re.compile(r"[a-z0-9_-]")


def normalised(text: str) -> str:
    """The form a project name must have: `My Project.1` becomes `myproject1`."""
    return "".join(_ALLOWED.findall(text.lower())).lstrip("_-")


def project_name(request: LoadRequest, found: Found, files: list[list[Document]], warn: Callable[[str], None]) -> str:
    """The name, in normal form. Raises InputError where none can be had or a given one is not in normal form."""
    given = request.project_name or setting(found.environment, "COMPOSE_PROJECT_NAME")
    if given:
        return _checked(given, "-p" if request.project_name else "COMPOSE_PROJECT_NAME")
    written = [node for documents in files for document in documents if (node := _written(document))]
    name = ""
    if written:
        text = Interpolator(found.environment, warn).text(written[-1], ("name",))
        name = normalised(text)
    if not name and not _any_first_is_named(files):
        name = normalised(basename(found.working_dir))
    if not name:
        place = written[-1].location if written else Location(found.working_dir)
        raise InputError("the project has no name; pass one with -p", place, path="name")
    return name


def _checked(name: str, place: str) -> str:
    if normalised(name) == name:
        return name
    raise InputError(
        f"{name!r} is no project name: lower-case letters, digits, hyphens and underscores only, "
        "beginning with a letter or a digit",
        Location(place),
    )


def _written(document: Document) -> Node | None:
    """The `name` of a document, as text whatever its type: the schema refuses numbers later, with a place."""
    node = document.root.get("name")
    if node is None or not node.text or node.value is None:
        return None
    return Node(node.text, node.at, node.key_at, node.text)


def _any_first_is_named(files: list[list[Document]]) -> bool:
    """Compose looks for names in the first document of each file only, before it reads on."""
    return any(_written(documents[0]) is not None for documents in files if documents)
