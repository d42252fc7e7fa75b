"""A run over time as one SVG: memory, descriptors, threads, servers, latency; faults and commits as marks. Pure.

Written by hand: a picture needs no library, and whoever opens it needs nothing but a browser.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from typing import NamedTuple

from infra.soak.figures import measures
from infra.soak.looks import Look, Window
from infra.soak.report import Run, as_text

LEFT, RIGHT, TOP, WIDTH, HEIGHT, GAP = 70, 20, 76, 1000, 110, 42
COLOURS = ("#1f6fb4", "#d9822b", "#3b8f4f", "#7a4fb0")
FAULT, COMMIT, FAILED, GRID, INK = "#c62828", "#78909c", "#c62828", "#e3e6ea", "#263238"
LATENCY_BUCKET_S = 2.0
LINE, MONOSPACE = 15, 'font-family="monospace" xml:space="preserve"'

Points = Sequence[tuple[float, float]]


class Panel(NamedTuple):
    """One graph: its title with the unit, its lines by name, each in pieces with gaps between them, and crosses."""

    title: str
    lines: Mapping[str, Sequence[Points]]
    crosses: Points = ()


def picture(run: Run) -> str:
    """The SVG."""
    panels = _panels(run)
    below = TOP + len(panels) * (HEIGHT + GAP)
    text = as_text(run).splitlines()
    height = below + LINE * (len(text) + 1)
    across = LEFT + WIDTH + RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{across}" height="{height}" viewBox="0 0 {across} {height}"'
        f' font-family="sans-serif" font-size="11" fill="{INK}">',
        f'<rect width="{across}" height="{height}" fill="white"/>',
        _text(LEFT, 22, f"Soak: {run.seconds / 60:.1f} minutes, seed {run.seed}", 'font-size="16" font-weight="bold"'),
        _text(
            LEFT,
            40,
            "Red: a fault, from its beginning until all is well again, by its number below. Grey ticks: commits.",
        ),
        *(part for index, panel in enumerate(panels) for part in _panel(run, panel, TOP + index * (HEIGHT + GAP))),
        *(_text(LEFT, below + LINE * index, line, MONOSPACE) for index, line in enumerate(text)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _panels(run: Run) -> tuple[Panel, ...]:
    wished = [(look.at_s, float(len(look.wish.models))) for look in run.looks]
    servers = [(look.at_s, float(len(look.servers))) for look in run.looks]
    crowd = [(look.at_s, _most_of_one(look)) for look in run.looks]
    failed = [(request.at_s, 0.0) for request in run.requests if request.error]
    return (
        Panel("resident memory of each service, MB", _by_slot(run.looks, "resident MB")),
        Panel("open file descriptors of each service", _by_slot(run.looks, "file descriptors")),
        Panel("threads of each service", _by_slot(run.looks, "threads")),
        Panel("model servers", {"running": [servers], "models in the file": [wished], "most of one model": [crowd]}),
        Panel("time to an answer, ms (crosses: failed requests)", _latencies(run), failed),
    )


def _by_slot(looks: Sequence[Look], measure: str) -> Mapping[str, Sequence[Points]]:
    """One line per service; each life of it is a piece of its own."""
    lines: defaultdict[str, dict[int, list[tuple[float, float]]]] = defaultdict(dict)
    for look in looks:
        for process in look.processes:
            piece = lines[f"the {process.slot} service"].setdefault(process.pid, [])
            piece.append((look.at_s, measures(process)[measure]))
    return {name: list(pieces.values()) for name, pieces in sorted(lines.items())}


def _most_of_one(look: Look) -> float:
    return float(max(Counter(server.model for server in look.servers).values(), default=0))


def _latencies(run: Run) -> Mapping[str, Sequence[Points]]:
    buckets: defaultdict[int, list[float]] = defaultdict(list)
    for request in run.requests:
        if not request.error:
            buckets[int(request.at_s // LATENCY_BUCKET_S)].append(request.took_s * 1000)
    middle = {index: (index + 0.5) * LATENCY_BUCKET_S for index in sorted(buckets)}
    return {
        "median": [[(at_s, sorted(buckets[index])[len(buckets[index]) // 2]) for index, at_s in middle.items()]],
        "slowest": [[(at_s, max(buckets[index])) for index, at_s in middle.items()]],
    }


def _panel(run: Run, panel: Panel, top: float) -> Iterator[str]:
    values = [value for pieces in panel.lines.values() for piece in pieces for _, value in piece]
    step, most = _scale(max(values, default=1.0))

    def x(at_s: float) -> float:
        return LEFT + WIDTH * at_s / max(run.seconds, 1.0)

    def y(value: float) -> float:
        return top + HEIGHT * (1 - value / most)

    yield from _bands(run.windows, run.seconds, x, top)
    yield from _grid(run.seconds, step, most, x, y, top)
    yield _text(LEFT, top - 6, panel.title, 'font-weight="bold"')
    for index, (name, pieces) in enumerate(panel.lines.items()):
        colour = COLOURS[index % len(COLOURS)]
        for piece in pieces:
            path = " ".join(f"{x(at_s):.1f},{y(value):.1f}" for at_s, value in _thinned(piece))
            yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.3"/>'
        yield _text(LEFT + WIDTH - 160 * (len(panel.lines) - index), top - 6, f"— {name}", f'fill="{colour}"')
    for at_s, value in panel.crosses:
        yield _text(x(at_s) - 3, y(value) - 1, "×", f'fill="{FAILED}" font-size="12"')


def _bands(windows: Sequence[Window], seconds: float, x: Callable[[float], float], top: float) -> Iterator[str]:
    numbers = iter(range(1, len(windows) + 1))
    for window in windows:
        begin, end = x(window.began_s), x(window.ended_s if window.ended_s is not None else seconds)
        if not window.is_fault:
            yield _line(begin, top + HEIGHT - 8, begin, top + HEIGHT, COMMIT, 1.5)
            continue
        shape = f'x="{begin:.1f}" y="{top}" width="{max(end - begin, 1):.1f}" height="{HEIGHT}"'
        yield f'<rect {shape} fill="{FAULT}" opacity="0.13"/>'
        yield _line(begin, top, begin, top + HEIGHT, FAULT, 0.8)
        yield _text(begin + 2, top + 10, str(next(numbers)), f'fill="{FAULT}" font-size="10"')


def _grid(
    seconds: float, step: float, most: float, x: Callable[[float], float], y: Callable[[float], float], top: float
) -> Iterator[str]:
    for index in range(round(most / step) + 1):
        yield _line(LEFT, y(index * step), LEFT + WIDTH, y(index * step), GRID, 1)
        yield _text(LEFT - 6, y(index * step) + 4, f"{index * step:g}", 'text-anchor="end"')
    every_s = next((s for s in (5, 10, 30, 60, 120, 300, 600, 1800, 3600) if seconds / s <= 15), 7200)
    for index in range(floor(seconds / every_s) + 1):
        at = x(index * every_s)
        label = f"{index * every_s / 60:g} min" if every_s >= 30 else f"{index * every_s} s"
        yield _line(at, top, at, top + HEIGHT, GRID, 1)
        yield _text(at, top + HEIGHT + 14, label, 'text-anchor="middle"')
    yield _line(LEFT, top, LEFT, top + HEIGHT, INK, 1)
    yield _line(LEFT, top + HEIGHT, LEFT + WIDTH, top + HEIGHT, INK, 1)


def _scale(largest: float) -> tuple[float, float]:
    """A round step of the axis, and its end: a multiple of the step that is not below the largest value."""
    rough = max(largest, 1.0) / 4
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    step = max(step, 1.0)
    return step, step * ceil(max(largest, 1.0) / step)


def _thinned(piece: Points) -> Points:
    """Not more points than the picture can show."""
    every = max(1, len(piece) // WIDTH)
    return piece[::every]


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'
