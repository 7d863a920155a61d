"""BMC actions as plans: off by default, allowed per site, never on a node that holds a lease, each in the record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fleetctl.config.schema import Config
from fleetctl.errors import ConflictError
from fleetctl.inventory import Inventory
from fleetctl.model.admin import Actor
from fleetctl.model.states import Admin
from fleetctl.operations.planning import new_id
from fleetctl.scheduler.picture import load_picture
from fleetctl.store.audit import append_audit
from fleetctl.store.connections import Connections

HARMFUL = ("off", "off_now", "cycle")  # what ends work that runs


@dataclass(frozen=True, slots=True)
class BmcNode:
    """One node of a plan. skip: why it is left out ("" when it is not)."""

    host: str
    site: str
    state: Admin
    leases: tuple[str, ...]
    skip: str = ""


@dataclass(frozen=True, slots=True)
class BmcPlan:
    """What would be asked of which BMCs. refusals: guards that say no; then nothing may be done."""

    id: str
    verb: str
    value: float | None
    created_at: int
    nodes: tuple[BmcNode, ...]
    skipped: tuple[BmcNode, ...]
    refusals: tuple[str, ...]
    reason: str
    confirm_count: int | None = None

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(n.host for n in self.nodes)


def plan_bmc(
    db: Connections,
    inventory: Inventory,
    config: Config,
    verb: str,
    hosts: Sequence[str],
    known: Sequence[str],
    *,
    now: float,
    reason: str = "",
    value: float | None = None,
) -> BmcPlan:
    """known: hosts that have a BMC in fleet.toml. Reads only; guards stand in the plan as refusals."""
    with db.read() as conn:
        picture = load_picture(conn, config, int(now))
    have = set(known)
    nodes: list[BmcNode] = []
    skipped: list[BmcNode] = []
    sites: set[str] = set()
    for name in hosts:
        host = inventory.hosts[name]
        state, leases = picture.state(name), picture.leases(name)
        skip = ""
        if name not in have:
            skip = "has no BMC in fleet.toml"
        elif verb in HARMFUL and leases:
            skip = f"holds {len(leases)} leases: drain it first"
        elif verb in HARMFUL and state in (Admin.IN_SERVICE, Admin.CORDONED, Admin.DRAINING):
            skip = f"is {state.value}: drain it or take it into maintenance first"
        node = BmcNode(name, host.site, state, tuple(leases), skip)
        (skipped if skip else nodes).append(node)
        if not skip:
            sites.add(host.site)
    refusals = [
        f"site {site} does not allow BMC actions (facility.bmc_action_sites)"
        for site in sorted(sites)
        if site not in config.facility.bmc_action_sites
    ]
    if len(nodes) > config.guards.max_nodes:
        refusals.append(f"{len(nodes)} nodes are more than guards.max_nodes, {config.guards.max_nodes}")
    if verb in HARMFUL and not reason:
        refusals.append('a reason is required: --reason "class: text"')
    return BmcPlan(
        id=new_id("b"),
        verb=verb,
        value=value,
        created_at=int(now),
        nodes=tuple(nodes),
        skipped=tuple(skipped),
        refusals=tuple(refusals),
        reason=reason,
        confirm_count=len(nodes) if _large(config, inventory, nodes) else None,
    )


def _large(config: Config, inventory: Inventory, nodes: Sequence[BmcNode]) -> bool:
    """More than the share of a site above which the number must be typed."""
    for site in {n.site for n in nodes}:
        total = sum(h.site == site for h in inventory.hosts.values())
        if total and 100 * sum(n.site == site for n in nodes) / total > config.guards.confirm_above_pct and total > 10:
            return True
    return False


def begin_bmc(db: Connections, plan: BmcPlan, who: Actor, now: float) -> None:
    """Put the confirmed plan into the record before the first BMC is asked. Raises ConflictError when refused."""
    body = {
        "verb": plan.verb,
        "value": plan.value,
        "hosts": list(plan.hosts),
        "skipped": {n.host: n.skip for n in plan.skipped},
        "reason": plan.reason,
    }
    with db.write(durable=True) as conn:
        append_audit(conn, int(now), who, "bmc_refused" if plan.refusals else "bmc", plan.id, body)
    if plan.refusals:
        raise ConflictError(plan.refusals[0], hint="nothing was asked of any BMC; the attempt stands in the record")


def end_bmc(db: Connections, plan: BmcPlan, who: Actor, answers: dict[str, str], now: float) -> None:
    """What each BMC said."""
    with db.write(durable=True) as conn:
        append_audit(conn, int(now), who, "bmc_done", plan.id, {"verb": plan.verb, "answers": answers})
