"""One value over time as rows."""

from __future__ import annotations

from dataclasses import dataclass

from fleetctl.model.metric import Metric
from fleetctl.views.column import Column, Table


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """at: epoch seconds; value: the value, or the mean of its step; low, high: extremes; n: values behind it."""

    device: str
    at: float
    value: float
    low: float
    high: float
    n: int


def table(rows: list[SeriesRow], metric: Metric) -> Table[SeriesRow]:
    columns: tuple[Column[SeriesRow], ...] = (
        Column("at", "at", lambda r: r.at, width=20, role="age", doc="when"),
        Column("device", "device", lambda r: r.device, width=12, doc="node, or node/card"),
        Column(metric.name, metric.name, lambda r: r.value, width=10, right=True, doc=metric.doc),
        Column("low", "low", lambda r: r.low, width=10, right=True, doc="lowest value of the step"),
        Column("high", "high", lambda r: r.high, width=10, right=True, doc="highest value of the step"),
        Column("n", "n", lambda r: r.n, width=4, right=True, doc="values of the step"),
    )
    return Table("value", columns, rows, lambda r: f"{r.device}@{r.at:.0f}")
