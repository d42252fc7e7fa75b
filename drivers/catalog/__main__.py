"""`python -m drivers.catalog`: bring compiled.json and README.md up to date with the YAML."""

from __future__ import annotations

from drivers.catalog.build import outputs

for path, text in outputs().items():
    path.write_text(text, encoding="utf-8")
