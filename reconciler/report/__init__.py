"""A plan for everyone who reads one: people, programs, reviewers of a pull request, the CI that shows errors in place.

    text.py        compact text, coloured when asked          as_json.py  for programs, versioned
    markdown.py    for a comment on a pull request            github.py   annotations on the right line
    validation.py  what `validate` and `explain` found        config.py   what `reconcile config` read
    style.py       signs and colours

Pure: everything here is a function from values to text.
"""

from reconciler.report.as_json import plan_document, plan_json, summary
from reconciler.report.config import config_json, config_yaml
from reconciler.report.github import error_annotation, finding_places, plan_annotations
from reconciler.report.markdown import plan_markdown
from reconciler.report.style import COLOUR, PLAIN, Style
from reconciler.report.text import plan_text, step_lines, summary_line

__all__ = [
    "COLOUR",
    "PLAIN",
    "Style",
    "config_json",
    "config_yaml",
    "error_annotation",
    "finding_places",
    "plan_annotations",
    "plan_document",
    "plan_json",
    "plan_markdown",
    "plan_text",
    "step_lines",
    "summary",
    "summary_line",
]
