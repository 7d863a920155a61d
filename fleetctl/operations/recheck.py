"""The way back into service: checks against a baseline, their result kept, then the return itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fleetctl.config.schema import Config
from fleetctl.errors import ConflictError
from fleetctl.inventory.inventory import Inventory
from fleetctl.model.admin import Actor
from fleetctl.model.states import Admin
from fleetctl.operations.applying import apply
from fleetctl.operations.node_verbs import plan_life, plan_resume
from fleetctl.scheduler.checks import Baseline, Check, NodeEvidence, baseline_of, check_return, passed
from fleetctl.scheduler.picture import load_picture
from fleetctl.store.audit import append_audit
from fleetctl.store.capacity import card_words, latest_card_values, worst_findings
from fleetctl.store.connections import Connections
from fleetctl.store.scheduler_facts import append_verification

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


def recheck(
    db: Connections, inventory: Inventory, host: str, *, who: Actor, now: float, config: Config | None = None
) -> Recheck:
    """Hold one node against its peers and keep the result. Raises NotFoundError for an unknown host."""
    config = config or Config()
    at = int(now)
    declared = inventory.select(host)[0]
    with db.read() as conn:
        picture = load_picture(conn, config, at)
        fact = picture.facts.get(host)
        chip = next((c.chip or c.model for c in picture.cards(host) if c.chip or c.model), None) or declared.chip
        peers = [
            name
            for name, other in picture.facts.items()
            if name != host
            and picture.state(name) is Admin.IN_SERVICE
            and any((c.chip or c.model) == chip for c in other.cards)
        ][:PEERS]
        values = latest_card_values(conn, [host, *peers])
        words = card_words(conn, host)
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
    )
    base = baseline_of(chip or "", [values[p] for p in peers if p in values])
    fresh_s = config.poll.interval_s * config.poll.stale_after
    checks = check_return(evidence, base, at, warm_c=config.thresholds.card_temp_warn_c, fresh_s=fresh_s)
    ok = passed(checks)
    body = {"checks": [asdict(c) for c in checks], "baseline": asdict(base)}
    with db.write(durable=True) as conn:
        number = append_verification(conn, host, at, str(who), ok, body)
        failed = [c.name for c in checks if c.ok is not True]
        append_audit(conn, at, who, "recheck", host, {"verification": number, "ok": ok, "not_ok": failed})
    return Recheck(number, host, at, picture.state(host), ok, tuple(checks), base)


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
