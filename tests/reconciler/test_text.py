"""Durations, sizes and widths as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.text import byte_size, clean, columns, cut, duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0.0 s"),
        (0.04, "0.0 s"),
        (0.6, "0.6 s"),
        (0.3, "0.3 s"),
        (9.96, "9.9 s"),
        (10, "10 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (65, "1 min 5 s"),
        (3600, "1 h"),
        (7380, "2 h 3 min"),
        (86399, "23 h 59 min"),
        (273600, "3 d 4 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (9949, "9.9 kB"), (9950, "10 kB"), (94_000_000, "94 MB"),
     (999_600, "1.0 MB"), (1_234_000_000, "1.2 GB"), (5 * 10**18, "5000 PB")],
)  # fmt: skip
def test_sizes(count: int, words: str) -> None:
    assert byte_size(count) == words


@given(st.text())
def test_clean_text_prints_on_one_line_and_is_stable(text: str) -> None:
    assert clean(text).isprintable()
    assert clean(clean(text)) == clean(text)


def test_clean_keeps_what_prints() -> None:
    assert clean("  über 模型 x ") == "  über 模型 x "
    assert clean("a\x1b[31mb\r\n\u202ec") == "a [31mb c"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])), st.integers(1, 30))
def test_cut_text_fits(text: str, width: int) -> None:
    assert columns(cut(text, width)) <= width
    if columns(text) <= width:
        assert cut(text, width) == text
