"""Findings open, hold, fire and resolve; silence resolves nothing."""

from fleetctl.health.evaluate import Verdict
from fleetctl.health.rule import Condition
from fleetctl.model.report import HostReport
from fleetctl.model.states import Health, Reach
from fleetctl.store import Database
from fleetctl.store.events import list_events
from fleetctl.store.findings import (
    Finding,
    FindingState,
    acknowledge_finding,
    list_findings,
    open_finding,
    resolve_finding,
    save_verdicts,
)
from fleetctl.store.rounds import save_reports

T = 1_700_000_040
HOT = Condition("card_temp", "a", "GPU-0", Health.WARN, "88 °C \x1b[5mhot", 88.0)
HOLDS = {"card_temp": 2}
EVERY = tuple(FindingState)


def say(db: Database, at: int, *conditions: Condition, spoke: frozenset[str] = frozenset({"card_temp"})) -> None:
    with db.write() as conn:
        save_verdicts(conn, at, [Verdict("a", conditions, spoke)], HOLDS)


def found(db: Database) -> list[Finding]:
    with db.read() as conn:
        return list_findings(conn, states=EVERY)


def test_it_must_hold_before_it_fires_and_be_gone_before_it_resolves(db: Database) -> None:
    save_reports(db, T, [HostReport("a", T, Reach.FRESH)])
    say(db, T, HOT)
    say(db, T, HOT)  # the same round told twice counts once
    assert [f.state for f in found(db)] == [FindingState.PENDING]
    say(db, T + 60, HOT)
    (one,) = found(db)
    assert (one.state, one.since_at, one.firing_at, one.text) == (FindingState.FIRING, T, T + 60, "88 °C hot")
    say(db, T + 120)
    say(db, T + 120)
    say(db, T + 180, spoke=frozenset())  # blind is never green
    assert found(db)[0].state is FindingState.FIRING
    say(db, T + 240)
    (one,) = found(db)
    assert (one.state, one.resolved_at, one.seen_at) == (FindingState.RESOLVED, T + 240, T + 60)
    say(db, T + 300, HOT)
    assert [f.state for f in found(db)] == [FindingState.RESOLVED, FindingState.PENDING]
    with db.read() as conn:
        assert [e.text for e in reversed(list_events(conn))] == ["88 °C hot", "over: 88 °C hot"]


def test_one_that_comes_back_while_clearing_goes_on(db: Database) -> None:
    save_reports(db, T, [HostReport("a", T, Reach.FRESH)])
    for n, conditions in enumerate([(HOT,), (HOT,), (), (HOT,), (), (HOT,)]):
        say(db, T + 60 * n, *conditions)
    (one,) = found(db)
    assert (one.state, one.seen_at) == (FindingState.FIRING, T + 300)


def test_one_that_never_fired_leaves_nothing(db: Database) -> None:
    save_reports(db, T, [HostReport("a", T, Reach.FRESH)])
    say(db, T, HOT)
    say(db, T + 60)
    assert found(db) == []


def test_by_hand(db: Database) -> None:
    with db.write() as conn:
        open_finding(conn, T, "disk_full", "no room", severity=Health.CRIT)
        open_finding(conn, T + 5, "disk_full", "still no room", severity=Health.CRIT)
        (one,) = list_findings(conn)
        assert (one.host, one.text, one.seen_at) == (None, "still no room", T + 5)
        assert acknowledge_finding(conn, T + 6, one.id, "ann")
        assert not acknowledge_finding(conn, T + 7, one.id, "bob")
        assert resolve_finding(conn, T + 8, one.id, who="ann")
        assert not resolve_finding(conn, T + 9, one.id)
        assert list_findings(conn) == []
        (one,) = list_findings(conn, states=EVERY, since=T + 8)
        assert (one.acked_by, one.resolved_at) == ("ann", T + 8)
        assert list_findings(conn, states=EVERY, since=T + 9) == []


def test_worst_first(db: Database) -> None:
    save_reports(db, T, [HostReport("a", T, Reach.FRESH), HostReport("b", T, Reach.FRESH)])
    with db.write() as conn:
        for severity, host in ((Health.WARN, "a"), (Health.CRIT, "b"), (Health.UNKNOWN, "a")):
            open_finding(conn, T, f"rule_{severity}", "x", severity=severity, host=host)
        assert [f.severity.value for f in list_findings(conn)] == ["crit", "unknown", "warn"]
        assert [f.severity.value for f in list_findings(conn, host="a", limit=1)] == ["unknown"]
