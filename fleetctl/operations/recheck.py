"""The way back into service: checks against a baseline, their result kept, then the return itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from fleetctl.config.schema import Config
from fleetctl.errors import ConflictError
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.admin import Actor
from fleetctl.model.states import Admin
from fleetctl.operations.applying import apply
from fleetctl.operations.node_verbs import plan_life, plan_resume
from fleetctl.scheduler.burns import BurnPlan, plan_burns
from fleetctl.scheduler.checks import Baseline, Check, NodeEvidence, baseline_of, check_return, passed
from fleetctl.scheduler.picture import load_picture
from fleetctl.store.audit import append_audit
from fleetctl.store.capacity import card_words, count_cards, latest_card_values, temperature_spans, worst_findings
from fleetctl.store.connections import Connections
from fleetctl.store.scheduler_facts import append_verification

SETTLING_S = 300  # over which the temperature of a card must not move much
_WARMED = frozenset({"temperature", "settled", "throttling"})
PEERS = 32  # nodes of the same chip in service from which the baseline is taken


@dataclass(frozen=True, slots=True)
class Recheck:
    """One result, as it was kept. id: its number with the node's record."""

    id: int
    host: str
    at: int
    state: Admin
    ok: bool
    checks: tuple[Check, ...]
    baseline: Baseline

    def lines(self) -> list[str]:
        """For people."""
        marks = {True: "ok", False: "FAIL", None: "?"}
        head = f"{self.host}: {'passes' if self.ok else 'does not pass'} (check {self.id}, {self.baseline.peers} peers)"
        return [head, *(f"  {marks[c.ok]:4} {c.name}: {c.text}" for c in self.checks)]

    def record(self) -> dict[str, Any]:
        """For machines."""
        return {
            "id": self.id,
            "host": self.host,
            "at": self.at,
            "state": self.state.value,
            "ok": self.ok,
            "checks": [asdict(c) for c in self.checks],
            "baseline": asdict(self.baseline),
        }


def examine(
    db: Connections, inventory: Inventory, host: str, *, now: float, config: Config | None = None
) -> tuple[list[Check], Baseline, Admin]:
    """Hold one node against its peers, from what the store knows; keeps nothing. Raises NotFoundError."""
    config = config or Config()
    at = int(now)
    declared = inventory.select(host)[0]
    with db.read() as conn:
        picture = load_picture(conn, config, at, only=[host])
        fact = picture.facts.get(host)
        chip = next((c.chip or c.model for c in picture.cards(host) if c.chip or c.model), None) or declared.chip
        peers = [
            name
            for name, chips in count_cards(conn).items()
            if name != host and chip in chips and picture.state(name) is Admin.IN_SERVICE
        ][:PEERS]
        values = latest_card_values(conn, [host, *peers])
        words = card_words(conn, host)
        spans = temperature_spans(conn, host, SETTLING_S)
        critical = worst_findings(conn).get(host, ())
    evidence = NodeEvidence(
        host=host,
        reach=fact.reach if fact else "unknown",
        answer_at=fact.answer_at if fact else None,
        expected_cards=declared.cards if declared.cards is not None else (len(fact.cards) if fact else None),
        cards=values.get(host, {}),
        gone=fact.gone if fact else (),
        critical=critical,
        words=words,
        spans=spans,
    )
    base = baseline_of(chip or "", [values[p] for p in peers if p in values])
    fresh_s = config.poll.interval_s * config.poll.stale_after
    checks = check_return(evidence, base, at, warm_c=config.thresholds.card_temp_warn_c, fresh_s=fresh_s)
    return checks, base, picture.state(host)


def burns_for(
    db: Connections, inventory: Inventory, host: str, *, now: float, config: Config | None = None, wanted: bool = True
) -> BurnPlan:
    """The burns a node is to get: none where other checks fail already, where work runs, or where nobody wants any."""
    config = config or Config()
    checks, _base, state = examine(db, inventory, host, now=now, config=config)
    with db.read() as conn:
        picture = load_picture(conn, config, int(now), only=[host])
    plan = plan_burns(state, picture.busy(host), (c.vendor for c in picture.cards(host) if c.vendor), wanted=wanted)
    failing = [c.name for c in checks if c.ok is False]
    if failing and not plan.why_not:
        return BurnPlan(why_not=f"other checks fail first: {', '.join(failing[:3])}")
    return plan


def recheck(
    db: Connections,
    inventory: Inventory,
    host: str,
    *,
    who: Actor,
    now: float,
    config: Config | None = None,
    burns: Sequence[Check] = (),
) -> Recheck:
    """Hold one node against its peers and keep the result. burns: what its burns came to, or why there were none; a
    burn warms cards, so with one that ran, warmth and its movement are told and not asked for.

    Raises NotFoundError for an unknown host.
    """
    at = int(now)
    checks, base, state = examine(db, inventory, host, now=now, config=config)
    if any(c.ok is not None for c in burns):
        checks = [replace(c, ok=None, needed=False) if c.name in _WARMED and not c.ok else c for c in checks]
    checks = [*checks, *burns]
    ok = passed(checks)
    body = {"checks": [asdict(c) for c in checks], "baseline": asdict(base)}
    with db.write(durable=True) as conn:
        number = append_verification(conn, host, at, str(who), ok, body)
        failed = [c.name for c in checks if c.ok is not True]
        append_audit(conn, at, who, "recheck", host, {"verification": number, "ok": ok, "not_ok": failed})
    return Recheck(number, host, at, state, ok, tuple(checks), base)


def return_to_service(
    db: Connections,
    inventory: Inventory,
    result: Recheck,
    *,
    who: Actor,
    now: float,
    config: Config | None = None,
    reason: str = "",
) -> str:
    """Bring a node back on the strength of a passed check. What was done, in words.

    A quarantined node goes through verify first, so that the record shows both steps. Raises ConflictError.
    """
    if not result.ok:
        raise ConflictError(f"{result.host} did not pass check {result.id}")
    if result.state is Admin.IN_SERVICE:
        return "is in service already"
    evidence = f"check {result.id} passed"
    if result.state in (Admin.QUARANTINED, Admin.RMA, Admin.STAGED, Admin.BURN_IN):
        verify = plan_life(
            db,
            inventory,
            "verify",
            result.host,
            reason or "sw: return-to-service checks",
            who=who,
            now=now,
            config=config,
        )
        apply(db, verify, who, inventory=inventory, config=config, now=now)
        plan = plan_life(
            db, inventory, "accept", result.host, reason, who=who, now=now, config=config, evidence=evidence
        )
    else:
        plan = plan_resume(db, inventory, result.host, reason, who=who, now=now, config=config, evidence=evidence)
    apply(db, plan, who, inventory=inventory, config=config, now=now)
    return f"in service again: {evidence}"
