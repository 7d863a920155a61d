"""Power by the minute beside quarters of an hour: what is read, what is never changed by it, and what is taken away."""

from __future__ import annotations

from fleetctl.model.facility import EndpointReport, EndpointResult, Measurement
from fleetctl.store import Database
from fleetctl.store.facility import save_endpoint_results
from fleetctl.store.facility_history import (
    MOST_SERIES,
    SLOT_S,
    TOTAL,
    Seen,
    facility_series,
    power_sums,
    prune_minutes,
    save_facility_history,
)

T0 = 1_700_000_000 // 3600 * 3600


def told(name: str, at: float, watts: float, *readings: Measurement) -> EndpointResult:
    report = EndpointReport("snmp://x", "snmp", at, readings, total_power_w=watts)
    return EndpointResult(name, "pdu", "snmp://x", at, None, "s", report)


def keep(db: Database, *results: EndpointResult, minutes: bool = True, seen: Seen | None = None) -> None:
    with db.write() as conn:
        save_endpoint_results(conn, results, minutes=minutes, seen=seen)


def test_minutes_stand_beside_quarters_and_change_none(db: Database) -> None:
    seen: Seen = {}
    for i in range(180):  # half an hour, each 10 s
        keep(db, told("pdu1", T0 + 10 * i, 100.0 + i), seen=seen)
    with db.read() as conn:
        assert facility_series(conn, "pdu1", TOTAL, T0, T0 + 7200) == [(T0, 100.0), (T0 + SLOT_S, 190.0)]
        fine = facility_series(conn, "pdu1", TOTAL, T0, T0 + 7200, minutes=True)
    assert fine == [(T0 + 60 * i, 100.0 + 6 * i) for i in range(30)]


def test_quarters_are_shown_where_no_minutes_are(db: Database) -> None:
    keep(db, told("pdu1", T0, 1.0), told("pdu1", T0 + 60, 2.0), minutes=False)
    keep(db, told("pdu1", T0 + 3 * SLOT_S + 120, 3.0))
    with db.write() as conn:
        save_facility_history(conn, "pdu1", TOTAL, [(T0 + 9 * SLOT_S, 4.0)])  # brought from elsewhere, later
    with db.read() as conn:
        fine = facility_series(conn, "pdu1", TOTAL, T0 - 86_400, T0 + 86_400, minutes=True)
        assert fine == [(T0, 1.0), (T0 + 3 * SLOT_S + 120, 3.0), (T0 + 9 * SLOT_S, 4.0)]
        assert facility_series(conn, "pdu1", TOTAL, T0 + 60, T0 + SLOT_S, minutes=True) == []
        assert facility_series(conn, "nobody", TOTAL, T0, T0 + SLOT_S, minutes=True) == []


def test_a_lost_memory_of_what_was_written_writes_nothing_twice(db: Database) -> None:
    keep(db, told("pdu1", T0, 1.0))
    keep(db, told("pdu1", T0 + 30, 2.0))
    with db.read() as conn:
        assert facility_series(conn, "pdu1", TOTAL, T0, T0 + 900, minutes=True) == [(T0, 1.0)]


def test_sums_by_five_minutes_bring_endpoints_together_that_are_asked_at_different_moments(db: Database) -> None:
    for i in range(10):
        keep(db, told("a", T0 + 120 * i, 10.0), told("b", T0 + 60 + 120 * i, 5.0))
    with db.read() as conn:
        sums = power_sums(conn, {"a": 1.0, "b": 2.0}, T0, T0 + 1200, 300)
        assert sums[:4] == [(T0 + 300 * i, 20.0, 2) for i in range(4)]
        assert power_sums(conn, {"a": 1.0, "b": 2.0}, T0, T0 + 1200)[:2] == [(T0, 20.0, 2), (T0 + 900, 20.0, 2)]


def test_endpoints_slower_than_the_step_are_not_added_up_by_turns(db: Database) -> None:
    for i in range(6):  # each every ten minutes, never two in the same five
        keep(db, told("a", T0 + 600 * i, 10.0), told("b", T0 + 300 + 600 * i, 5.0))
    with db.read() as conn:
        sums = power_sums(conn, {"a": 1.0, "b": 1.0}, T0, T0 + 3600, 300)
    assert sums[:-1] == [(T0 + 900 * i, 15.0, 2) for i in range(4)]  # the last one is what was told last


def test_old_minutes_go_a_few_at_a_time_and_quarters_stay(db: Database) -> None:
    seen: Seen = {}
    for i in range(60):
        keep(db, told("a", T0 + 60 * i, 1.0 + i), seen=seen)
    with db.write() as conn:
        assert prune_minutes(conn, T0 + 3600 + 1800, 1.0) == 10
        assert [prune_minutes(conn, T0 + 3600 + 1800, 1.0) for _ in range(3)] == [10, 10, 0]
        left = facility_series(conn, "a", TOTAL, T0, T0 + 3600, minutes=True)
        assert [at for at, _w in left] == [T0, T0 + 900, *(T0 + 1800 + 60 * i for i in range(30))]
        assert sum(prune_minutes(conn, T0 + 3600 + 1800, 0.0) for _ in range(9)) == 30
        assert prune_minutes(conn, T0 + 1e6, 0.0) == 0
        assert len(facility_series(conn, "a", TOTAL, T0, T0 + 3600, minutes=True)) == 4


def test_a_device_that_names_its_counters_anew_each_time_fills_nothing(db: Database) -> None:
    for i in range(3):
        odd = [Measurement("energy", f"c{i}", 1.0, "kWh", f"oid{i}-{j}", "", T0 + 60 * i) for j in range(400)]
        keep(db, told("a", T0 + 60 * i, 1.0, *odd))
    with db.read() as conn:
        assert conn.execute("SELECT count(*) FROM facility_series").fetchone() == (MOST_SERIES,)
