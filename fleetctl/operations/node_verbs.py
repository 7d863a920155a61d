"""The verbs of node life as an operator says them, each a thin word for one plan.

All take the same keywords as `build_plan`; `nodes` is a node set or host names, `reason` is `class: text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fleetctl.config.schema import Config
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.admin import Actor, DrainMode
from fleetctl.model.plan import Plan
from fleetctl.operations.planning import build_plan
from fleetctl.scheduler.states import parse_reason
from fleetctl.store.connections import Connections

Nodes = str | Iterable[str]


def plan_cordon(
    db: Connections,
    inventory: Inventory,
    nodes: Nodes,
    reason: str,
    *,
    who: Actor,
    now: float,
    config: Config | None = None,
    ticket: str = "",
    expected_return_at: float | None = None,
    cards: Sequence[str] = (),
) -> Plan:
    """Take no new work; what runs goes on."""
    return build_plan(
        db,
        inventory,
        "cordon",
        nodes,
        who=who,
        now=now,
        config=config,
        reason=parse_reason(reason),
        ticket=ticket,
        expected_return_at=expected_return_at,
        cards=cards,
    )


def plan_drain(
    db: Connections,
    inventory: Inventory,
    nodes: Nodes,
    reason: str,
    *,
    who: Actor,
    now: float,
    config: Config | None = None,
    mode: DrainMode = DrainMode.WAIT,
    deadline_at: float | None = None,
    start_at: float | None = None,
    expected_return_at: float | None = None,
    ticket: str = "",
    evidence: str = "",
    cards: Sequence[str] = (),
    keep_processes: bool = False,
) -> Plan:
    """Take no new work and let running work end; see DrainMode for how long it may take.

    keep_processes: processes without a lease are not ended with it; the node stays draining while they run.
    """
    return build_plan(
        db,
        inventory,
        "drain",
        nodes,
        who=who,
        now=now,
        config=config,
        reason=parse_reason(reason),
        mode=mode,
        deadline_at=deadline_at,
        start_at=start_at,
        expected_return_at=expected_return_at,
        ticket=ticket,
        evidence=evidence,
        cards=cards,
        keep_processes=keep_processes,
    )


def plan_resume(
    db: Connections,
    inventory: Inventory,
    nodes: Nodes,
    reason: str = "",
    *,
    who: Actor,
    now: float,
    config: Config | None = None,
    evidence: str = "",
    cards: Sequence[str] = (),
    take_over: bool = False,
) -> Plan:
    """Bring nodes back. What an outside scheduler took out is skipped unless take_over says otherwise."""
    return build_plan(
        db,
        inventory,
        "resume",
        nodes,
        who=who,
        now=now,
        config=config,
        reason=parse_reason(reason) if reason else None,
        evidence=evidence,
        cards=cards,
        take_over=take_over,
    )


def plan_maint(
    db: Connections,
    inventory: Inventory,
    nodes: Nodes,
    reason: str,
    *,
    who: Actor,
    now: float,
    config: Config | None = None,
    start_at: float | None = None,
    end_at: float | None = None,
    mode: DrainMode = DrainMode.WAIT,
    deadline_at: float | None = None,
    ticket: str = "",
    keep_processes: bool = False,
) -> Plan:
    """A window for people to work on nodes: they drain when it begins and wait for `resume` or `recheck` when it ends.

    With start_at in the future the window is a reservation: no lease is placed that would run into it.
    """
    return build_plan(
        db,
        inventory,
        "maint",
        nodes,
        who=who,
        now=now,
        config=config,
        reason=parse_reason(reason),
        mode=mode,
        deadline_at=deadline_at,
        start_at=start_at,
        end_at=end_at,
        ticket=ticket,
        keep_processes=keep_processes,
    )


def plan_quarantine(
    db: Connections,
    inventory: Inventory,
    nodes: Nodes,
    reason: str,
    *,
    who: Actor,
    now: float,
    config: Config | None = None,
    evidence: str = "",
    ticket: str = "",
    cards: Sequence[str] = (),
) -> Plan:
    """Not to be trusted: no new work until its checks pass (`recheck --resume-if-ok`)."""
    return build_plan(
        db,
        inventory,
        "quarantine",
        nodes,
        who=who,
        now=now,
        config=config,
        reason=parse_reason(reason),
        evidence=evidence,
        ticket=ticket,
        cards=cards,
    )


def plan_life(
    db: Connections,
    inventory: Inventory,
    verb: str,
    nodes: Nodes,
    reason: str,
    *,
    who: Actor,
    now: float,
    config: Config | None = None,
    ticket: str = "",
    expected_return_at: float | None = None,
    evidence: str = "",
) -> Plan:
    """The rest of a node's life: stage, burn_in, accept, verify, rma, retire."""
    return build_plan(
        db,
        inventory,
        verb,
        nodes,
        who=who,
        now=now,
        config=config,
        reason=parse_reason(reason) if reason else None,
        ticket=ticket,
        expected_return_at=expected_return_at,
        evidence=evidence,
    )
