"""Progress on screen: what a line says, how often a table is drawn, and that nothing is left behind."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence

import pytest

from drivers.base import Phase
from reconciler.progress import FRAME_S, LiveTable, PlainLines, Quiet, Row, open_progress, render_status
from reconciler.text import columns

PULLING = Row(model="llm", driver="llamacpp", phase=Phase.CREATING, detail="pulling the model", progress=0.43)
READY = Row(
    model="llm",
    driver="llamacpp",
    phase=Phase.READY,
    ready_after_s=0.6,
    elapsed_s=90,
    endpoint="http://127.0.0.1:1/v1/",
)


class Terminal(io.StringIO):
    """A terminal of so many columns and lines, which knows just the escapes that are used, and shows its screen."""

    def __init__(self, width: int = 80, height: int = 24) -> None:
        super().__init__()
        self.size = os.terminal_size((width, height))
        self.writes: list[str] = []

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.writes.append(text)
        return super().write(text)

    @property
    def cursor_is_shown(self) -> bool:
        return "".join(self.writes).rpartition("\x1b[?25")[2].startswith("h")

    @property
    def screen(self) -> list[str]:
        lines, row = [""], 0
        for part in re.findall(r"\x1b\[\??[0-9]*[A-Za-z]|\n|\r|[^\x1b\n\r]+", "".join(self.writes)):
            if part == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif part.endswith("A") and part.startswith("\x1b"):
                row -= int(part[2:-1])
                assert row >= 0, "above the first line"
            elif part == "\x1b[2K":
                lines[row] = ""
            elif part == "\x1b[J":
                lines[row:] = [""]
            elif not part.startswith("\x1b") and part != "\r":
                assert columns(part) < self.size.columns, "a line that wraps"
                lines[row] += part
        return lines


def live(terminal: Terminal) -> LiveTable:
    return LiveTable(terminal, lambda: terminal.size)


def plain(*frames: Sequence[Row]) -> list[str]:
    stream = io.StringIO()
    with PlainLines(stream) as progress:
        for number, rows in enumerate(frames):
            progress.update(rows, float(number))
    return stream.getvalue().splitlines()


def row(model: str = "llm", phase: Phase = Phase.CREATING, **given: object) -> Row:
    return Row(**({"model": model, "driver": "llamacpp", "phase": phase} | given))  # type: ignore[arg-type]


def test_plain_lines_tell_the_story_of_a_start() -> None:
    starting = row(detail="starting llama-server")
    assert plain([PULLING], [starting], [READY]) == [
        "llm: pulling the model, 40 %",
        "llm: starting llama-server",
        "llm: ready after 0.6 s at http://127.0.0.1:1/v1/",
    ]


def test_plain_lines_are_silent_while_nothing_changes() -> None:
    later = [row(detail="starting llama-server", elapsed_s=n) for n in range(50)]
    assert plain(*([one] for one in later)) == ["llm: starting llama-server"]


def test_plain_lines_show_every_tenth_per_cent_of_a_transfer() -> None:
    lines = plain(*([row(detail="pulling", progress=n / 1000)] for n in range(1001)))
    assert lines == [f"llm: pulling, {n} %" for n in range(0, 101, 10)]


def test_plain_lines_keep_two_deployments_of_a_model_apart() -> None:
    old, new = row(phase=Phase.READY, deployment="1"), row(deployment="2")
    assert plain([old, new], [old, new]) == ["llm: ready", "llm: starting"]


@pytest.mark.parametrize(
    ("phase", "detail", "line"),
    [
        (Phase.FAILED, "out of memory", "llm: failed: out of memory"),
        (Phase.UNKNOWN, "", "llm: unknown"),
        (Phase.DEGRADED, "no answer", "llm: degraded: no answer"),
        (Phase.DELETING, "", "llm: stopping"),
        (Phase.ABSENT, "", "llm: removed"),
    ],
)
def test_every_phase_has_words(phase: Phase, detail: str, line: str) -> None:
    assert plain([row(phase=phase, detail=detail)]) == [line]


def test_text_of_a_server_cannot_steer_the_terminal() -> None:
    hostile = row(phase=Phase.FAILED, detail="a\x1b[2J\x1b]0;title\x07b\nc\u202e\x9b31m")
    (line,) = plain([hostile])
    assert line.isprintable()
    terminal = Terminal()
    with live(terminal) as progress:
        progress.update([hostile], 0.0)
    assert set(re.findall(r"\x1b\[\??[0-9]*[A-Za-z]", "".join(terminal.writes))) <= {
        "\x1b[?25l",
        "\x1b[?25h",
        "\x1b[2K",
        "\x1b[J",
        "\x1b[1A",
    }
    assert "\x07" not in "".join(terminal.writes)


def test_table_is_redrawn_in_place() -> None:
    terminal = Terminal()
    with live(terminal) as progress:
        progress.update([PULLING, row("emb", detail="waiting")], 0.0)
        assert terminal.screen == [
            "llm  llamacpp  ████░░░░░░  0.0 s  pulling the model, 43 %",
            "emb  llamacpp              0.0 s  waiting",
            "",
        ]
        progress.update([READY], 1.0)
    assert terminal.screen == [
        "llm  llamacpp              1 min 30 s  ready after 0.6 s at http://127.0.0.1:1/v1/"[:78] + "…",
        "",
    ]


def test_table_is_drawn_ten_times_a_second_at_most_and_ends_with_the_last_rows() -> None:
    terminal = Terminal()
    with live(terminal) as progress:
        for tick in range(1000):
            progress.update([row(progress=tick / 1000)], tick / 1000)
        frames = len(terminal.writes) - 1
        progress.update([row(detail="the last")], 0.9991)
        assert "the last" not in terminal.getvalue()
    assert 9 <= frames <= 1 / FRAME_S + 1
    assert "the last" in terminal.screen[0]
    assert terminal.cursor_is_shown


def test_interrupted_table_leaves_nothing_behind() -> None:
    terminal = Terminal()

    def interrupted() -> None:
        with live(terminal) as progress:
            progress.update([PULLING, row("emb")], 0.0)
            assert not terminal.cursor_is_shown
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert terminal.screen == [""]
    assert terminal.cursor_is_shown


def test_line_that_stays_goes_above_the_table() -> None:
    terminal = Terminal()
    with live(terminal) as progress:
        progress.update([row("a"), row("b")], 0.0)
        progress.say("switched a")
        assert [line.split(" ")[0] for line in terminal.screen] == ["switched", "a", "b", ""]
        progress.update([row("c")], 1.0)
    assert [line.split(" ")[0] for line in terminal.screen] == ["switched", "c", ""]


@pytest.mark.parametrize("width", [3, 10, 20, 79])
def test_table_never_wraps(width: int) -> None:
    terminal = Terminal(width)
    with live(terminal) as progress:
        progress.update([row("模型模型模型", detail="拉取" * 40), row(detail="x" * 200)], 0.0)
    assert len(terminal.screen) == 3


def test_table_is_never_higher_than_the_terminal() -> None:
    terminal = Terminal(height=5)
    with live(terminal) as progress:
        for tick in range(3):
            progress.update([row(f"m{n}") for n in range(100)], float(tick))
    assert len(terminal.screen) == 5
    assert terminal.screen[3] == "… and 97 more"


def test_stream_decides_what_is_shown() -> None:
    size = Terminal().size
    shell = {"TERM": "xterm"}
    assert isinstance(open_progress(Terminal(), environment=shell, size=lambda: size), LiveTable)
    assert isinstance(open_progress(Terminal(), environment={"TERM": "dumb"}), PlainLines)
    assert isinstance(open_progress(Terminal(), environment=shell | {"CI": "true"}), PlainLines)
    assert isinstance(open_progress(io.StringIO(), environment=shell), PlainLines)
    assert isinstance(open_progress(Terminal(), quiet=True, environment=shell), Quiet)


def test_quiet_writes_nothing() -> None:
    terminal = Terminal()
    with open_progress(terminal, quiet=True) as progress:
        progress.update([PULLING], 0.0)
        progress.say("x")
    assert terminal.writes == []


def test_status_is_a_table() -> None:
    waiting = row("emb", detail="pulling the model", progress=0.5, elapsed_s=3)
    assert render_status([READY, waiting]) == (
        "MODEL  PLATFORM  PHASE     ENDPOINT                SINCE       DETAIL\n"
        "llm    llamacpp  ready     http://127.0.0.1:1/v1/  1 min 30 s\n"
        "emb    llamacpp  creating  -                       3.0 s       pulling the model, 50 %\n"
    )
    assert render_status([]) == "no models\n"
