"""Rows of the chip catalogue and of the fault ladder."""

from __future__ import annotations

from collections.abc import Iterable

from fleetctl.model.chip import Chip
from fleetctl.model.fault import FaultEntry
from fleetctl.views.column import Column, Table


def _peak(precision: str) -> Column[Chip]:
    unit = "TOPS" if precision == "int8" else "TFLOPS"
    doc = f"dense peak at {precision.upper()} per card, {unit}"
    return Column(
        f"{precision}_{unit.lower()}",
        f"{precision.upper()} {unit}",
        lambda c: c.peaks.get(precision),
        lambda v: f"{v:g}",
        width=11,
        right=True,
        wide=precision not in ("fp32", "fp16"),
        doc=doc,
    )


CHIP_COLUMNS: tuple[Column[Chip], ...] = (
    Column("vendor", "vendor", lambda c: c.vendor, width=11, doc="plugin that reads it"),
    Column("chip", "chip", lambda c: c.chip, width=32, doc="name in the catalogue"),
    Column(
        "memory_gb",
        "memory",
        lambda c: c.memory_gb,
        lambda v: f"{v:g} GB",
        width=8,
        right=True,
        doc="as sold, per card",
    ),
    Column("power_w", "power", lambda c: c.power_w, lambda v: f"{v:g} W", width=8, right=True, doc="board power"),
    *(_peak(p) for p in ("fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "int8")),
    Column("rows", "rows", lambda c: c.rows, width=4, right=True, wide=True, doc="rows of the tool per card"),
    Column("confidence", "confidence", lambda c: str(c.confidence), width=10, doc="how far the figures may be trusted"),
    Column("names", "printed as", lambda c: " | ".join(c.names), width=40, wide=True, doc="names as tools print them"),
    Column("note", "note", lambda c: c.note or None, width=60, wide=True, doc="what to know before using the figures"),
    Column("source", "source", lambda c: c.source or None, width=60, wide=True, doc="where the figures come from"),
)

FAULT_COLUMNS: tuple[Column[FaultEntry], ...] = (
    Column("vendor", "vendor", lambda f: f.vendor, width=8, doc="plugin that reads it"),
    Column("family", "family", lambda f: f.family, width=12, doc="xid, sxid, npu, ras, remap, link, driver, bus"),
    Column("code", "code", lambda f: f.code, width=12, doc="as the tool prints it"),
    Column("action", "action", lambda f: str(f.action) if f.action else None, width=16, doc="rung of the ladder"),
    Column("meaning", "meaning", lambda f: f.meaning or f.name or None, width=60, doc="what happened"),
    Column("advice", "advice", lambda f: f.advice or None, width=50, wide=True, doc="what to do, in words"),
    Column("name", "name", lambda f: f.name or None, width=30, wide=True, doc="the vendor's name"),
    Column("level", "level", lambda f: f.level or None, width=20, wide=True, doc="the vendor's own level"),
    Column("source", "source", lambda f: f.source or None, width=60, wide=True, doc="where the entry comes from"),
)


def chip_table(chips: Iterable[Chip]) -> Table[Chip]:
    return Table("chip", CHIP_COLUMNS, list(chips), lambda c: c.chip)


def fault_table(entries: Iterable[FaultEntry]) -> Table[FaultEntry]:
    return Table("fault", FAULT_COLUMNS, list(entries), lambda f: f"{f.family} {f.code}")
