"""Rows of `fleetctl probe list`: what is asked of hosts, and every output form that can be read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fleetctl.plugin import Plugin
from fleetctl.views.column import Column, Table


@dataclass(frozen=True, slots=True)
class ProbeRow:
    """kind: "probe" (asked of hosts) or "parser" (a form that can be read)."""

    plugin: str
    name: str
    kind: str
    every_s: float | None
    timeout_s: float | None
    background: bool | None
    what: str


def probe_rows(plugins: Iterable[Plugin]) -> list[ProbeRow]:
    rows = []
    for plugin in plugins:
        for probe in plugin.probes:
            rows.append(
                ProbeRow(plugin.name, probe.name, "probe", probe.every_s, probe.timeout_s, probe.background, probe.doc)
            )
        rows += [ProbeRow(plugin.name, p.name, "parser", None, None, None, p.command) for p in plugin.parsers]
    return rows


PROBE_COLUMNS: tuple[Column[ProbeRow], ...] = (
    Column("name", "name", lambda r: r.name, width=22, doc="plugin and what"),
    Column("kind", "kind", lambda r: r.kind, width=6, doc="probe: asked of hosts; parser: a form that can be read"),
    Column("every_s", "every", lambda r: r.every_s, lambda v: f"{v:g} s" if v else "round", width=7, right=True, doc="cadence"),
    Column("timeout_s", "limit", lambda r: r.timeout_s, lambda v: f"{v:g} s", width=6, right=True, doc="time limit on the host"),
    Column("background", "beside", lambda r: r.background, lambda v: "yes" if v else "no", width=6, wide=True,
           doc="runs beside the round"),
    Column("plugin", "plugin", lambda r: r.plugin, width=10, wide=True, doc="who brings it"),
    Column("what", "what", lambda r: r.what or None, width=60, doc="what it tells, or the command it reads"),
)  # fmt: skip


def probe_table(rows: Iterable[ProbeRow]) -> Table[ProbeRow]:
    return Table("probe", PROBE_COLUMNS, list(rows), lambda r: r.name)
