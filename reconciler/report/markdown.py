"""A plan for a comment on a pull request: whatever came from the repository stands in a fence and stays text there."""

from __future__ import annotations

import re

from reconciler.plan import Plan
from reconciler.report.as_json import summary
from reconciler.report.text import plan_text

LONGEST = 60_000
"""Characters. GitHub refuses a comment of more than 65,536, GitLab's limit is higher."""


def plan_markdown(plan: Plan) -> str:
    """The plan under a heading of ours. Only our own words and numbers stand outside the fence."""
    counts = ", ".join(f"{count} {what}" for what, count in summary(plan).items() if count)
    sentence = "A guard refused part of this plan; by hand nothing of it is done, a service does the rest."
    refused = f"\n**{sentence}**\n" if plan.refusals else ""
    return f"### Models: {counts or 'nothing to do'}\n{refused}\n{fenced(plan_text(plan))}"


def fenced(text: str, language: str = "diff") -> str:
    """`text` between fences longer than any run of backticks in it, cut where a comment would be refused."""
    if len(text) > LONGEST:
        text = text[:LONGEST].rpartition("\n")[0] + "\n(cut here: the plan is too long for a comment)\n"
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"
