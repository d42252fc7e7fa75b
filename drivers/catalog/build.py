"""What is made from the YAML: compiled.json, which programs read at start, and README.md, which people read.

The YAML is the source; a parser for it costs more at start than everything else that a dry run does with the catalogue.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from drivers.base import Handling
from drivers.catalog import OptionEntry, Vocabulary, parse_vocabulary

FOLDER = Path(__file__).parent
PARTS = ("options", "platforms", "sizes", "models", "flags")
_SIGNS = {Handling.HONOURED: "●", Handling.TRANSLATED: "○", Handling.IGNORED: "–", Handling.REJECTED: "✗"}
_SHORT = {
    "llamacpp": "llama.cpp",
    "docker-model-runner": "DMR",
    "aws-bedrock": "Bedrock",
    "aws-sagemaker": "SageMaker",
    "aws-ec2": "EC2",
    "gcp-vertex": "Vertex",
    "gcp-gce": "GCE",
}


def outputs() -> Mapping[Path, str]:
    """Every generated file with the text it should have."""
    data = {part: _read(FOLDER / f"{part}.yaml") for part in PARTS}
    compiled = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return {FOLDER / "compiled.json": compiled + "\n", FOLDER / "README.md": readme(data)}


def readme(data: Mapping[str, Any]) -> str:
    """The reference page of `x-cloud-options`."""
    known = parse_vocabulary(data["options"])
    return "\n".join(
        (
            "# `x-cloud-options`: the vocabulary",
            "",
            f"Made from the YAML beside this page by `python -m drivers.catalog`; catalogue {known.version}.",
            "",
            *_INTRODUCTION,
            "",
            *_portable(known),
            "",
            "## Keys of one platform",
            "",
            *_passthrough(known),
            "",
            "## In this release",
            "",
            *_release(data["platforms"]),
            "",
            "## Friendly sizes",
            "",
            *_sizes(data["sizes"]),
            "",
            "## Models",
            "",
            *_models(data["models"]),
            "",
        )
    )


_INTRODUCTION = (
    "Written as a list (`- cloud.region=us-west-2`), as a map (`cloud.region: us-west-2`) or nested; a bare key means",
    "`true`. The model's own options win over a top-level `x-cloud-options`, which wins over the operator's settings.",
    "",
    "● honoured · ○ translated, or in part · – no meaning there, reported as ignored · ✗ refused.",
    "**R**: the reconciler itself honours the key, no driver sees it. **O**: the value is a name of the operator's",
    "settings, never an id, an ARN or a key. *later*: in the vocabulary, not yet honoured by this release, and",
    "reported so. What a driver of this release leaves out beyond that, every plan says.",
    "",
    "Durations are written `90s`, `15m`, `2h`, `1d` or `off`; sizes `24GB` or `512MiB`; ranges `1..4`; lists with",
    "commas, the first choice first.",
    "",
    "## Portable keys",
)


def _portable(known: Vocabulary) -> Iterator[str]:
    yield "| Key | Value | Default | " + " | ".join(_SHORT[name] for name in known.columns) + " | | |"
    yield "|--|--|--|" + ":-:|" * len(known.columns) + "--|--|"
    for entry in known.keys.values():
        if entry.key.startswith("cloud."):
            signs = " | ".join(_SIGNS[entry.handling[name]] for name in known.columns)
            default = f"`{entry.default}`" if entry.default else ""
            yield f"| `{entry.key}` | {_value(entry)} | {default} | {signs} | {_marks(entry)} | {_about(entry)} |"


def _value(entry: OptionEntry) -> str:
    if entry.choices:
        return ", ".join(f"`{choice}`" for choice in entry.choices)
    return entry.type.replace("-", " ") + (f", {entry.unit}" if entry.unit else "")


def _marks(entry: OptionEntry) -> str:
    marks = (("**R**", entry.engine), ("**O**", entry.operator), ("*later*", entry.planned))
    return " ".join(mark for mark, holds in marks if holds)


def _about(entry: OptionEntry) -> str:
    notes = "; ".join(f"{_SHORT[platform]}: {how}" for platform, how in entry.how.items())
    return f"{entry.about} {notes}".strip() if not notes else f"{entry.about} *{notes}.*"


def _passthrough(known: Vocabulary) -> Iterator[str]:
    yield "They may stay in the file while another platform is active, where they are reported as inactive."
    yield ""
    yield "| Key | Value | |"
    yield "|--|--|--|"
    for entry in known.keys.values():
        if not entry.key.startswith("cloud."):
            yield f"| `{entry.key}` | {_value(entry)} | {entry.about} |"
    for name, namespace in known.namespaces.items():
        if not namespace.closed:
            words = ", ".join(namespace.forbidden)
            yield f"| `{name}.*` | text | Handed to {', '.join(namespace.platforms)}; never a key with {words} in it. |"


def _release(data: Mapping[str, Any]) -> Iterator[str]:
    """What is really done, beside the table of what is meant."""
    entries = data["platforms"]
    for entry in entries.values():
        if entry.get("available"):
            keys = ", ".join(f"`{key}`" for key in entry["honoured"])
            yield f"* **{entry['title']}** honours, beside the reconciler's own keys: {keys}."
    others = ", ".join(entry["title"] for entry in entries.values() if not entry.get("available"))
    yield f"* Known, checked and planned for, with drivers still to come: {others}."


def _sizes(data: Mapping[str, Any]) -> Iterator[str]:
    platforms = ("aws-ec2", "aws-sagemaker", "gcp-gce", "gcp-vertex")
    yield "| Size | Meaning | " + " | ".join(_SHORT[name] for name in platforms) + " |"
    yield "|--|--|--|--|--|--|"
    for name, entry in data["sizes"].items():
        cells = " | ".join(" → ".join(entry.get(platform, ("—",))) for platform in platforms)
        yield f"| `{name}` | {entry['meaning']} | {cells} |"


def _models(data: Mapping[str, Any]) -> Iterator[str]:
    yield "| Name | Without a tag | Task | Context | Download | Licence | Managed as |"
    yield "|--|--|--|--|--|--|--|"
    for name, entry in data["models"].items():
        task = f"{entry['task']}, {entry['dim']} dimensions" if "dim" in entry else entry["task"]
        cells = (entry.get("tag", "unknown"), task, entry.get("context", "—"), entry.get("size", "—"), entry["licence"])
        yield f"| `{name}` | {' | '.join(str(cell) for cell in cells)} | {'; '.join(_managed(entry)) or '—'} |"


def _managed(entry: Mapping[str, Any]) -> Iterator[str]:
    for platform, by_size in entry.get("managed", {}).items():
        for size, offers in by_size.items():
            for offer in offers:
                yield f"{_SHORT[platform]} {size}: `{offer['id']}` ({offer['match']})"


def _read(path: Path) -> Any:
    # Only a developer who builds the catalogue needs a YAML parser for it.
    import yaml

    return yaml.safe_load(path.read_text(encoding="utf-8"))
