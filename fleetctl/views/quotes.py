"""Where a request would go, and what it got, as text and as records."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from fleetctl.i18n import _
from fleetctl.inventory.nodesets import fold
from fleetctl.model.lease import Lease, Request
from fleetctl.scheduler.quote import Quote
from fleetctl.views.leases import shape_words
from fleetctl.views.plans import local, moment


def quote_lines(quote: Quote) -> list[str]:
    """Where, when, what it costs, and every refusal with its nodes folded."""
    lines = [f"{shape_words(quote.request.shape)}"]
    if quote.placement is not None:
        lines.append(f"  {_('where')}: {fold(quote.placement.hosts)}")
        held = ", ".join(f"{h.host}:{h.index or h.card}" for h in quote.placement.holds[:16])
        lines.append(f"  {_('cards')}: {held}" + (" ..." if len(quote.placement.holds) > 16 else ""))
    if quote.via:
        lines.append(f"  {_('by')}: {quote.via}")
    when = _("nobody can say") if quote.at is None else local(quote.at)
    lines.append(f"  {_('when')}: {when}" + (f" ({quote.why})" if quote.why else ""))
    if quote.placement is not None:
        price = quote.placement.price_per_hour
        cost = "-" if quote.cost is None else f"{quote.cost:.2f}"
        lines.append(f"  {_('costs')}: {cost} CNY ({'-' if price is None else f'{price:.2f}'} CNY/h)")
    for hosts, why in refusal_groups(quote.refusals):
        lines.append(f"  {_('not on')} {fold(hosts)} ({len(hosts)}): {why}")
    if quote.nearest:
        lines.append(f"  {_('nearest that could')}: {quote.nearest}")
    return lines


# What tells apart reasons that are alike: which process, lease, window or card it is.
_OWN = re.compile(r"\bprocess \d+( of \S+)?|\b[lw]-\w+|\bcard \S+?(?=[: ])")


def refusal_groups(refusals: Mapping[str, str]) -> list[tuple[list[str], str]]:
    """(hosts, reason), most hosts first. Alike reasons stand once, with the words of the first host."""
    groups: dict[str, list[str]] = defaultdict(list)
    for host, why in refusals.items():
        groups[_OWN.sub("...", why)].append(host)
    found = []
    for hosts in sorted(groups.values(), key=len, reverse=True):
        why = refusals[hosts[0]]
        alike = all(refusals[host] == why for host in hosts)
        found.append((hosts, why if alike else _("{why} ({host}; the others alike)").format(why=why, host=hosts[0])))
    return found


def quote_record(quote: Quote) -> dict[str, Any]:
    """A quote for machines."""
    placed = quote.placement
    return {
        "at": moment(quote.at),
        "hosts": list(placed.hosts) if placed else None,
        "holds": [asdict(h) for h in placed.holds] if placed else None,
        "price_per_hour": placed.price_per_hour if placed else None,
        "cost": quote.cost,
        "why": quote.why or None,
        "nearest": quote.nearest or None,
        "ahead": quote.ahead,
        "refusals": dict(quote.refusals),
        "asks": asdict(quote.request.shape),
    }


def lease_line(lease: Lease) -> str:
    """One lease in one line."""
    until = local(lease.end_at) if lease.end_at is not None else _("open")
    cards = sum(h.milli for h in lease.holds if h.card) / 1000
    held = f"{cards:g} {_('cards')}" if cards else _("whole nodes")
    return f"{lease.id} {lease.tenant}: {held} {_('on')} {fold(lease.hosts)} {_('until')} {until}"


def lease_record(lease: Lease) -> dict[str, Any]:
    """A lease for machines."""
    raw = asdict(lease)
    for name in ("start_at", "end_at", "ended_at"):
        raw[name] = moment(raw[name])
    raw["nodeset"] = fold(lease.hosts)
    return raw


def readable(request: Request) -> Request:
    """A moment inside a note is epoch seconds in the store, so that every reader sees its own time zone."""
    head, mark, tail = request.note.rpartition("can start at ")
    if not mark or not tail.isdecimal():
        return request
    at = datetime.fromtimestamp(int(tail)).astimezone().strftime("%Y-%m-%d %H:%M %z")
    return replace(request, note=f"{head}{mark}{at}")


def request_record(request: Request, lease: Lease | None) -> dict[str, Any]:
    """A request and what it got, for machines."""
    raw = asdict(readable(request))
    for name in ("submitted_at", "start_at", "latest_start_at", "decided_at"):
        raw[name] = moment(raw[name])
    raw["lease"] = lease_record(lease) if lease else None
    return raw
