"""What a node of a plan waits for, in one sentence: leases, processes, jobs of another scheduler, or its word."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence

from fleetctl.config.schema import Config
from fleetctl.i18n import _
from fleetctl.model.lease import Lease
from fleetctl.model.plan import StepState
from fleetctl.scheduler.picture import Picture, load_picture
from fleetctl.store.capacity import list_work
from fleetctl.store.leases import list_leases
from fleetctl.store.plans import PlanNodeRow, list_backend_steps
from fleetctl.store.process_ends import EndState, ProcessEnd, list_process_ends
from fleetctl.views.units import show_age

NAMED = 3  # leases and processes named; the rest is counted
READ = 2000  # waiting nodes whose processes are read; nobody reads on


def waits_for(
    conn: sqlite3.Connection, config: Config, rows: Sequence[PlanNodeRow], now: float
) -> dict[tuple[str, str], str]:
    """(host, card) -> what it waits for, of the waiting nodes of one plan."""
    waiting = [r for r in rows if r.state in (StepState.WAITING, StepState.DOING)]
    if not waiting:
        return {}
    picture = load_picture(conn, config, int(now), only=())
    leases = {lease.id: lease for lease in list_leases(conn)}
    asked = {s.host: s.backend for s in list_backend_steps(conn, plan=waiting[0].plan)}
    ends: dict[str, list[ProcessEnd]] = defaultdict(list)
    for end in list_process_ends(conn, plan=waiting[0].plan):
        ends[end.host].append(end)
    found = {}
    for number, row in enumerate(waiting):
        parts = _leases(picture.leases(row.host, row.card or None), leases, now)
        if jobs := picture.jobs.get(row.host, ()):
            parts.append(_named(_("jobs"), jobs))
        if number < READ:
            parts += _processes(conn, config, picture, row, ends.get(row.host, ()), now)
        if row.host in asked:
            parts.append(_("{backend} has not confirmed it yet").format(backend=asked[row.host]))
        found[row.host, row.card] = "; ".join(parts)
    return found


def _named(what: str, names: Sequence[str]) -> str:
    more = f" +{len(names) - NAMED}" if len(names) > NAMED else ""
    return f"{what} {', '.join(names[:NAMED])}{more}"


def _leases(ids: Sequence[str], leases: dict[str, Lease], now: float) -> list[str]:
    if not ids:
        return []
    names = []
    for one in ids:
        lease = leases.get(one)
        text = one
        if lease is not None:
            text += " " + _("of {tenant}").format(tenant=lease.tenant)
            if lease.state.value == "ending":
                text += ", " + _("its epilog runs")
            elif lease.end_at is not None and lease.end_at > now:
                text += ", " + _("ends in {age}").format(age=show_age(2 * now - lease.end_at, now))
            elif lease.end_at is None:
                text += ", " + _("no end")
        names.append(text)
    return [_named(_("leases"), names)]


def _processes(
    conn: sqlite3.Connection,
    config: Config,
    picture: Picture,
    row: PlanNodeRow,
    ends: Sequence[ProcessEnd],
    now: float,
) -> list[str]:
    if not config.scheduling.drain_waits_for_processes:
        return []
    work = list_work(conn, row.host, config.scheduling.drain_ignores)
    names = {
        p.pid: f"{p.pid} {p.name or '?'}" + (f" {_('of {tenant}').format(tenant=p.user)}" if p.user else "")
        for p in work
        if not row.card or p.device == row.card
    }
    if not names:
        return []
    told = {p.pid: p for p in ends}
    parts = [_named(_("processes"), list(names.values()))]
    states = [told[pid] for pid in names if pid in told]
    for state, words in (
        (EndState.TOLD, _("TERM sent {age} ago")),
        (EndState.KILLED, _("KILL sent {age} ago")),
        (EndState.REFUSED, _("cannot be ended")),
        (EndState.FOUND, _("about to be ended")),
    ):
        mine = [p for p in states if p.state is state]
        if mine:
            text = words.format(age=show_age(min(p.changed_at for p in mine), now))
            may_not = _('the login may not: set scheduling.kill_prefix, for example "sudo -n"')
            notes = dict.fromkeys(may_not if "ermitted" in p.note else p.note for p in mine if p.note)
            parts.append(text + (f" ({'; '.join(list(notes)[:2])})" if notes else ""))
    return parts
