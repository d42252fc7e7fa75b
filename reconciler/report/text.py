"""A plan as text for people: one block per step, what was not plainly honoured beneath it, guards, one summary line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from drivers.base import Finding
from reconciler.plan import Action, FieldChange, Plan, Step, Verdict
from reconciler.report.as_json import summary
from reconciler.report.style import PLAIN, QUIETLY_DONE, SIGNS, Style
from reconciler.text import clean


def plan_text(plan: Plan, style: Style = PLAIN) -> str:
    """The whole plan, ending in a line break. Equal plans give equal text."""
    blocks = ["\n".join(step_lines(step, style)) for step in plan.steps]
    if plan.guards:
        blocks.append("\n".join(_guard_line(verdict, style) for verdict in plan.guards))
    return "\n\n".join([heading(plan, style), *blocks, summary_line(plan, style)]) + "\n"


def heading(plan: Plan, style: Style = PLAIN) -> str:
    return f"{style.bold(clean(plan.project))} at {clean(short_revision(plan.revision))}"


def summary_line(plan: Plan, style: Style = PLAIN) -> str:
    """`1 to create, 2 unchanged`; what does not occur is left out."""
    counts = summary(plan)
    words = {"wait": "waiting", "unchanged": "unchanged"}
    parts = [f"{count} {words.get(what, f'to {what}')}" for what, count in counts.items() if count]
    if plan.refusals:
        parts.append(style.refused(f"refused by {', '.join(sorted({clean(one.guard) for one in plan.refusals}))}"))
    return f"Plan: {', '.join(parts)}." if parts else "Plan: nothing to do."


def short_revision(revision: str) -> str:
    """A commit id as git abbreviates it; anything else cut at a length that still tells two apart."""
    kind, colon, digest = revision.rpartition(":")
    return f"{kind}{colon}{digest[:12]}"


def step_lines(step: Step, style: Style = PLAIN) -> Iterator[str]:
    sign = style.action(step.action, f"{SIGNS[step.action]} {step.action.value}")
    where = f" ({clean(step.driver)})" if step.driver else ""
    yield f"{sign} {style.bold(clean(step.model))}{where}  {_cause(step)}"
    if step.deployment and step.action is not Action.CREATE:
        yield style.faint(f"    deployment {clean(step.deployment)}")
    yield from (f"    {clean(line)}" for line in step.resolution)
    yield from (f"    {_change(change)}" for change in step.changes)
    yield from finding_lines(step.findings, style, flags=_flags(step))


def finding_lines(
    findings: Sequence[Finding], style: Style = PLAIN, *, flags: Sequence[str] = (), all_of_them: bool = False
) -> Iterator[str]:
    """What becomes of what the user wrote; of the plainly honoured, only with `all_of_them`, every one.

    `flags` are the runtime flags as written, shown beside their place.
    """
    for one in findings:
        if all_of_them or one.handling not in QUIETLY_DONE:
            detail = f": {clean(one.detail)}" if one.detail else ""
            yield f"    {_place(one.key, flags)}: {style.handling(one.handling, one.handling.value)}{detail}"


def _place(key: str, flags: Sequence[str]) -> str:
    number = key.removeprefix("runtime_flags[").removesuffix("]")
    if key.startswith("runtime_flags[") and number.isdecimal() and int(number) < len(flags):
        return f"{clean(key)} {clean(flags[int(number)])}"
    return clean(key)


def _flags(step: Step) -> Sequence[str]:
    """The flags that the step would bring, where its changes name them."""
    for change in step.changes:
        if change.key == "runtime_flags" and change.new:
            flags = json.loads(change.new)
            return tuple(str(flag) for flag in flags)
    return ()


def _cause(step: Step) -> str:
    text = f"because {clean(step.cause)}"
    if step.not_before is not None:
        text += f", until {step.not_before:%Y-%m-%d %H:%M:%S} UTC"
    return text


def _change(change: FieldChange) -> str:
    return f"{clean(change.key)}: {_value(change.old)} → {_value(change.new)}"


def _value(text: str | None) -> str:
    return "unset" if text is None else clean(text) or '""'


def _guard_line(verdict: Verdict, style: Style) -> str:
    word = "allowed" if verdict.allowed else style.refused("refused")
    where = f"{verdict.location}: " if verdict.location is not None else ""
    model = f"{clean(verdict.model)}: " if verdict.model else ""
    return f"! {word} by {clean(verdict.guard)}: {clean(where)}{model}{clean(verdict.text)}"
