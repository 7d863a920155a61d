"""A plot stays in its frame whatever the values are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetctl.views.plot import Sample, plot_lines


def test_draws_mean_and_extremes() -> None:
    points = [Sample(0, 10, 10, 10), Sample(50, 20, 10, 30), Sample(99, 30, 30, 30)]
    lines = plot_lines(points, 0, 100, width=20, height=5, show=lambda v: f"{v:.0f}")
    assert lines[:6] == [
        "30 |        |      *",
        "   |        |",
        "20 |        *",
        "   |        |",
        "10 |*       |",
        "   +----------------",
    ]


def test_one_flat_line_and_nothing() -> None:
    assert plot_lines([], 0, 1) == []
    lines = plot_lines([Sample(5, 7, 7, 7)], 0, 10, width=30, height=3, show=str)
    assert lines[1].strip().endswith("*")


VALUES = st.floats(min_value=-1e9, max_value=1e9)


@given(
    st.lists(st.tuples(st.floats(min_value=-50, max_value=150), VALUES, VALUES), min_size=1, max_size=60),
    st.integers(min_value=20, max_value=200),
    st.integers(min_value=2, max_value=20),
)
def test_stays_in_its_frame(drawn: list[tuple[float, float, float]], width: int, height: int) -> None:
    points = [Sample(at, (a + b) / 2, min(a, b), max(a, b)) for at, a, b in drawn]
    lines = plot_lines(points, 0, 100, width=width, height=height, show=lambda v: f"{v:.0f}"[:6])
    assert len(lines) == height + 2
    assert max(map(len, lines)) <= max(width, 30)
    assert "".join(lines).isascii()
    assert any("*" in line for line in lines)
