"""What fleetctl does to nodes by itself: always through the same plan, guards and breaker as a person's wish."""

from __future__ import annotations

import secrets

from fleetctl.config.schema import Config
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.admin import Actor, DrainMode, Reason, Wish
from fleetctl.model.plan import Plan, PlanNode, PlanState
from fleetctl.model.states import Admin, ReasonClass
from fleetctl.scheduler.carry_out import begin_plan
from fleetctl.scheduler.picture import load_picture
from fleetctl.scheduler.states import BY_VERB, derive, why_not
from fleetctl.store.audit import append_audit
from fleetctl.store.connections import Connections
from fleetctl.store.plans import insert_plan


def drain_by_rule(
    db: Connections, inventory: Inventory, config: Config, host: str, rule: Actor, text: str, now: int
) -> str:
    """Drain one node by rule (mode wait). Returns why it did not happen, "" when it did."""
    return act_by_rule(db, inventory, config, "drain", host, rule, Reason(ReasonClass.SW, text[:500]), now)


def act_by_rule(
    db: Connections,
    inventory: Inventory,
    config: Config,
    verb: str,
    host: str,
    rule: Actor,
    reason: Reason,
    now: int,
    *,
    evidence: str = "",
) -> str:
    """One verb on one node by rule. A plan that a guard or the breaker holds back stays, is tried again, and is seen."""
    if host not in inventory.hosts:
        return "is not in this fleet"
    with db.write(durable=True) as conn:
        picture = load_picture(conn, config, now, only=[host])
        record, state = picture.record(host), picture.state(host)
        refused = why_not(verb, record, picture.outside.get(host), state, rule)
        if refused:
            return refused
        wish = BY_VERB[verb].wish
        after = Admin.IN_SERVICE if wish is Wish.SERVE else derive(wish, picture.busy(host))
        node = PlanNode(host, state, after, record.version, picture.leases(host))
        plan = Plan(
            id="p-" + secrets.token_hex(4),
            verb=verb,
            wish=wish,
            created_at=now,
            nodes=(node,),
            reason=reason,
            mode=DrainMode.WAIT,
            evidence=evidence,
            steps=(f"{host} is to {verb}",),
        )
        insert_plan(conn, plan, rule, PlanState.RUNNING)
        append_audit(conn, now, rule, "plan", plan.id, {"verb": verb, "hosts": [host], "reason": str(reason)})
        held = begin_plan(conn, inventory, config, plan, rule, now)
    return "held back by a guard or the breaker" if held is PlanState.HELD else ""
