"""Stops automation after too many actions in a window; only a person lets it go on."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from fleetctl.config.schema import Config
from fleetctl.errors import ConflictError
from fleetctl.model.admin import Actor, ActorKind
from fleetctl.store.audit import append_audit
from fleetctl.store.scheduler_facts import append_automatic, count_automatic, get_fact, set_fact


@dataclass(frozen=True, slots=True)
class BreakerState:
    """tripped_at: None while automation may act; recent: nodes it touched in the window of `limit`."""

    tripped_at: int | None
    why: str
    recent: int
    limit: int


def breaker_state(conn: sqlite3.Connection, config: Config, now: int) -> BreakerState:
    """Whether automation is stopped, why, and how many actions count in the window. now: epoch seconds."""
    fact = get_fact(conn, "breaker") or {}
    recent = count_automatic(conn, _since(fact, config, now))
    return BreakerState(fact.get("tripped_at"), fact.get("why", ""), recent, config.guards.breaker_actions)


def pass_breaker(
    conn: sqlite3.Connection, config: Config, now: int, who: Actor, verb: str, hosts: Sequence[str]
) -> str:
    """Count an automatic action inside the caller's transaction. Returns why it may not happen, "" when it may.

    The refusal is data and not an exception, because tripping must be committed while the action is not.
    """
    if who.kind is not ActorKind.RULE:
        return ""
    state = breaker_state(conn, config, now)
    if state.tripped_at is not None:
        return f"automation is stopped: {state.why}; `fleetctl plans reset-breaker` lets it go on"
    if state.recent + len(hosts) > state.limit:
        why = f"{state.recent + len(hosts)} nodes within {config.guards.breaker_window_s:g} s, {state.limit} allowed"
        fact = get_fact(conn, "breaker") or {}
        set_fact(conn, "breaker", {**fact, "tripped_at": now, "why": why})
        append_audit(conn, now, who, "breaker_tripped", "breaker", {"why": why, "verb": verb, "hosts": list(hosts)})
        return f"automation is stopped: {why}; `fleetctl plans reset-breaker` lets it go on"
    append_automatic(conn, now, who.name, verb, hosts)
    return ""


def reset_breaker(conn: sqlite3.Connection, config: Config, now: int, who: Actor) -> bool:
    """Let automation go on, counting afresh. False when it was not stopped. Raises ConflictError for a rule."""
    if who.kind is not ActorKind.PERSON:
        raise ConflictError("only a person resets the breaker")
    fact = get_fact(conn, "breaker") or {}
    if fact.get("tripped_at") is None:
        return False
    set_fact(conn, "breaker", {"tripped_at": None, "why": "", "reset_at": now, "reset_by": who.name})
    append_audit(conn, now, who, "breaker_reset", "breaker", {"why": fact.get("why", "")})
    return True


def _since(fact: dict[str, object], config: Config, now: int) -> int:
    reset_at = fact.get("reset_at")
    window = now - int(config.guards.breaker_window_s)
    return max(window, reset_at) if isinstance(reset_at, int) else window
