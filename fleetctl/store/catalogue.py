"""Which metrics this store has columns for, and how a value of each becomes a whole number of steps.

Columns of the sample tables follow the metric catalogue: what the core or a plugin declares is added when the store is
opened for writing or when a plugin's metrics are registered; nothing is ever dropped.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from fleetctl.errors import StoreError
from fleetctl.model.metric import CORE_METRICS, Metric, MetricKind

KINDS = ("host", "card", "sensor")  # tables exist for these kinds of device
_COLUMN = re.compile(r"[a-z][a-z0-9_]{0,62}")
_KEYS = {"slot", "device", "hour", "grp", "data"}


@dataclass(frozen=True, slots=True)
class Steps:
    """How whole steps become a value: `steps * times / parts`; one of both is 1 unless the step is a crooked number."""

    times: float = 1
    parts: int = 1

    @classmethod
    def of(cls, step: float) -> Steps:
        """1 -> (1, 1); 2**20 -> (2**20, 1); 0.01 -> (1, 100), because n / 100 is the nearest float and n * 0.01 is not."""
        if step >= 1 and step == int(step):
            return cls(times=int(step))
        parts = round(1 / step)
        if parts >= 1 and abs(parts * step - 1) < 1e-9:
            return cls(parts=parts)
        return cls(times=float(step))

    def value(self, steps: int) -> int | float:
        """The value of that many steps: int where the step is whole."""
        if self.parts != 1:
            return steps / self.parts
        return steps * self.times


def sample_columns(conn: sqlite3.Connection, kind: str) -> list[str]:
    """Metric columns of the sample table of a kind, in table order."""
    if kind not in KINDS:
        raise StoreError(f"no samples of kind {kind!r}", hint=f"kinds: {', '.join(KINDS)}")
    return [name for (_, name, *_) in conn.execute(f"PRAGMA table_info({kind}_samples)") if name not in _KEYS]


def list_metrics(conn: sqlite3.Connection, kind: str | None = None) -> list[Metric]:
    """The metrics this file has columns for, by kind and name."""
    rows = conn.execute(
        "SELECT name, of, unit, doc, kind, step FROM metrics WHERE of = ifnull(?, of) ORDER BY of, name", (kind,)
    )
    return [Metric(name, of, unit, doc, MetricKind(how), step) for name, of, unit, doc, how, step in rows]


def register_metrics(conn: sqlite3.Connection, metrics: Iterable[Metric] = CORE_METRICS) -> list[Metric]:
    """Give every metric its column (inside a write transaction); returns those that are new or changed.

    Raises StoreError for a name that cannot be a column, an unknown kind or a step that is not above 0.
    """
    known = {(m.of, m.name): m for m in list_metrics(conn)}
    fresh = []
    for metric in metrics:
        if known.get((metric.of, metric.name)) == metric:
            continue
        if metric.of not in KINDS or not _COLUMN.fullmatch(metric.name) or metric.name in _KEYS:
            raise StoreError(
                f"metric {metric.name!r} of {metric.of!r} cannot be stored",
                hint=f"names are lower case, digits and _; kinds are {', '.join(KINDS)}",
            )
        if not 0 < metric.step < 1e15:
            raise StoreError(f"metric {metric.name!r}: a step of {metric.step} cannot be stored")
        conn.execute(
            "INSERT INTO metrics (of, name, unit, kind, step, doc) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (of, name) DO UPDATE"
            " SET unit = excluded.unit, kind = excluded.kind, step = excluded.step, doc = excluded.doc",
            (metric.of, metric.name, metric.unit, metric.kind.value, metric.step, metric.doc),
        )
        if metric.name not in sample_columns(conn, metric.of):
            # No type: SQLite keeps what it gets, and a whole number takes one to six bytes instead of eight.
            conn.execute(f"ALTER TABLE {metric.of}_samples ADD COLUMN {metric.name}")
        fresh.append(metric)
    return fresh
