"""Installed plugins: what each brings, and why a broken one cannot be used."""

from __future__ import annotations

from dataclasses import dataclass

from fleetctl.plugin import load_plugins
from fleetctl.views.column import Column, Table


@dataclass(frozen=True, slots=True)
class PluginRow:
    """error: None for a plugin that works; counts are 0 for a broken one."""

    name: str
    title: str
    doc: str
    probes: int = 0
    parsers: int = 0
    rules: int = 0
    metrics: int = 0
    schemes: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    catalogues: tuple[str, ...] = ()
    error: str | None = None


COLUMNS: tuple[Column[PluginRow], ...] = (
    Column("name", "plugin", lambda r: r.name, width=10, doc="name of its entry point"),
    Column("title", "title", lambda r: r.title, width=20, doc="what it is for"),
    Column("probes", "probes", lambda r: r.probes, width=6, right=True, doc="questions to hosts"),
    Column("parsers", "parsers", lambda r: r.parsers, width=7, right=True, doc="output forms it reads"),
    Column("rules", "rules", lambda r: r.rules, width=5, right=True, wide=True, doc="health rules"),
    Column("metrics", "metrics", lambda r: r.metrics, width=7, right=True, wide=True, doc="metrics beyond the core's"),
    Column("catalogues", "catalogues", lambda r: ",".join(r.catalogues) or None, width=10, doc="chips, faults"),
    Column("schemes", "sources", lambda r: ",".join(r.schemes) or None, width=8, doc="facility endpoints by scheme"),
    Column("backends", "backends", lambda r: ",".join(r.backends) or None, width=8, wide=True, doc="schedulers"),
    Column("commands", "commands", lambda r: ",".join(r.commands) or None, width=8, wide=True, doc="commands"),
    Column("error", "error", lambda r: r.error, width=12, doc="why it cannot be used"),
    Column("doc", "doc", lambda r: r.doc or None, width=20, wide=True, doc="one sentence about it"),
)


def load() -> list[PluginRow]:
    """All of them by name, broken ones among them."""
    working, broken = load_plugins()
    rows = [
        PluginRow(
            name=p.name,
            title=p.title,
            doc=p.doc,
            probes=len(p.probes),
            parsers=len(p.parsers),
            rules=len(p.rules),
            metrics=len(p.metrics),
            schemes=tuple(p.sources),
            backends=tuple(p.backends),
            commands=tuple(p.commands),
            catalogues=tuple(n for n, path in (("chips", p.chips), ("faults", p.faults)) if path is not None),
        )
        for p in working
    ]
    rows += [PluginRow(b.name, b.module, "", error=b.error) for b in broken]
    return sorted(rows, key=lambda r: r.name)


def table(rows: list[PluginRow]) -> Table[PluginRow]:
    return Table("plugin", COLUMNS, rows, lambda r: r.name)
