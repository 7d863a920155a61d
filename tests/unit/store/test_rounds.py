"""Saving rounds: what goes in comes out, late, twice, out of order, garbled."""

import sqlite3
from typing import Any

import pytest

from fleetctl.errors import StoreError
from fleetctl.model.metric import Metric
from fleetctl.model.probe import Outcome
from fleetctl.model.reading import Device, Fault, FaultAction, FindingKind, Link, ProbeFinding, Process
from fleetctl.model.report import Block, ErrorKind, HostReport, ProbeState
from fleetctl.model.states import Health, Reach
from fleetctl.store import Database, rounds
from fleetctl.store.devices import list_device_states, list_devices
from fleetctl.store.events import list_events
from fleetctl.store.hosts import host_state, list_host_states, list_links, list_probe_states, list_processes
from fleetctl.store.rounds import recorder_of, save_reports
from fleetctl.store.samples import latest_of, latest_samples, top_now

T = 1_700_000_040
COLUMNS = ("util_pct", "temp_c", "mem_used_bytes")
CARDS = tuple(Device("card", f"GPU-{n}", str(n), "nvidia", "H100", pci=f"0000:{n:02x}:00.0") for n in range(2))


def report(
    host: str, slot: int, *rows: tuple[Any, ...], devices: tuple[Device, ...] = CARDS, **more: Any
) -> HostReport:
    blocks = (Block("card", COLUMNS, devices, rows),) if rows else ()
    return HostReport(host, more.pop("at", slot + 0.5), more.pop("reach", Reach.FRESH), blocks=blocks, **more)


def table(conn: sqlite3.Connection, sql: str) -> list[tuple[Any, ...]]:
    return conn.execute(sql).fetchall()


def test_values_come_back_rounded_to_their_step(db: Database) -> None:
    save_reports(db, T, [report("a", T, (99.6, 61, 5 * 2**20 + 17), (None, 62.4, 0))])
    with db.read() as conn:
        first, second = latest_samples(conn, "card", COLUMNS)
        assert first[1:] == (T, (100, 61, 5 * 2**20))
        assert second[1:] == (T, (None, 62, 0))
        assert all(type(v) is int for v in first[2])
        assert [d.device for d in list_devices(conn, "a")] == list(CARDS)
        state = host_state(conn, "a")
        assert state is not None
        assert (state.reach, state.report_at, state.values_at, state.failures) == (Reach.FRESH, T, T, 0)


def test_late_repeated_and_unordered_reports(db: Database) -> None:
    new = [report("b", T + 60, (3, 3, 3), (4, 4, 4)), report("a", T + 60, (5, 5, 5), (6, 6, 6))]
    old = [report("a", T, (1, 1, 1), (2, 2, 2), reach=Reach.FRESH)]
    for _ in range(2):
        save_reports(db, T + 60, new)
        save_reports(db, T, old)
    with db.read() as conn:
        assert [(s.name, s.slot) for s in list_host_states(conn)] == [("b", T + 60), ("a", T + 60)]
        assert table(conn, "SELECT count(*) FROM card_samples") == [(6,)]
        assert table(conn, "SELECT slot, n, sum FROM fleet_slots WHERE metric = 'temp_c' ORDER BY slot") == [
            (T, 2, 3.0),
            (T + 60, 4, 18.0),
        ]


def test_one_round_in_several_batches_adds_up_in_the_fleet_row(db: Database) -> None:
    save_reports(db, T, [report("a", T, (1, 1, 1), (2, 2, 2))])
    save_reports(db, T, [report("b", T, (3, 3, 3), (4, 40, 4))])
    rounds._RECORDERS.clear()  # as after a restart in the middle of the round
    save_reports(db, T, [report("c", T, (5, 5, 5), (6, None, 6))])
    with db.read() as conn:
        row = "SELECT n, min, max, sum FROM fleet_slots WHERE metric = 'temp_c'"
        assert table(conn, row) == [(5, 1.0, 40.0, 51.0)]


def test_a_host_that_fails_keeps_its_values_and_tells_why(db: Database) -> None:
    save_reports(db, T, [report("a", T, (1, 1, 1), (2, 2, 2))])
    for n in (1, 2):
        lost = report(
            "a", T + 60 * n, reach=Reach.UNREACHABLE, error=ErrorKind.TIMED_OUT, error_text="no \x1b[31manswer\x00"
        )
        save_reports(db, T + 60 * n, [lost])
    with db.read() as conn:
        state = host_state(conn, "a")
        assert state is not None
        assert (state.reach, state.reach_since, state.failures) == (Reach.UNREACHABLE, T + 60, 2)
        assert (state.error, state.error_text) == (ErrorKind.TIMED_OUT, "no answer")
        assert (state.answer_at, state.values_at, state.report_at) == (T, T, T + 120)
        assert [row[1] for row in latest_samples(conn, "card")] == [T, T]
        (event,) = list_events(conn, host="a")
        assert (event.kind, event.severity, event.first_at) == ("reach", Health.CRIT, T + 60)


def test_impossible_values_are_unknown_and_told(db: Database) -> None:
    rows = ((float("nan"), float("inf"), 10**400), (1e300, "hot", -5))
    save_reports(db, T, [report("a", T, *rows)])
    with db.read() as conn:
        assert [row[2] for row in latest_samples(conn, "card", COLUMNS)] == [(None, None, None), (None, None, 0)]
        told = {e.name: e.text for e in list_events(conn, kinds=("store",))}
        assert told["card.util_pct"].startswith("2 values")


def test_rows_and_devices_that_do_not_fit_do_not_harm_others(db: Database) -> None:
    broken = HostReport("a", T, Reach.FRESH, blocks=(Block("card", COLUMNS, CARDS, ((1, 2), (3, 4, 5, 6), (7, 8, 9))),))
    strange = HostReport("b", T, Reach.FRESH, blocks=(Block("pets", ("x",), CARDS, ((1,), (2,))),))
    odd = HostReport("c", T, Reach.FRESH, blocks=(Block("card", ("no_such", "temp_c"), CARDS, ((1, 50), (2, 51))),))
    save_reports(db, T, [broken, strange, odd, report("d", T, (1, 1, 1), (2, 2, 2))])
    with db.read() as conn:
        values = [row[2] for row in latest_samples(conn, "card", COLUMNS)]
        assert values == [(1, 2, None), (3, 4, 0), (None, 50, None), (None, 51, None), (1, 1, 0), (2, 2, 0)]
        assert [e.name for e in list_events(conn, kinds=("store",))] == ["card.no_such"]


def test_a_metric_of_a_plugin_gets_its_column(db: Database) -> None:
    recorder_of(db).register([Metric("sparks_total", "card", "", "sparks seen", step=1)])
    block = Block("card", ("sparks_total",), CARDS, ((7,), (8,)))
    save_reports(db, T, [HostReport("a", T, Reach.FRESH, blocks=(block,))])
    with db.read() as conn:
        assert [row[2] for row in latest_samples(conn, "card", ["sparks_total"])] == [(7,), (8,)]
    with pytest.raises(StoreError, match="cannot be stored"):
        recorder_of(db).register([Metric("x); DROP TABLE hosts --", "card", "", "")])


def test_a_slow_metric_stands_with_its_last_value(db: Database) -> None:
    disk = Block("host", ("disk_used_pct",), (Device("host", "a"),), ((81,),))
    load = Block("host", ("load1",), (Device("host", "a"),), ((0.5,),))
    save_reports(db, T, [HostReport("a", T, Reach.FRESH, blocks=(disk,))])
    for n in (1, 2):
        save_reports(db, T + 60 * n, [HostReport("a", T + 60 * n, Reach.FRESH, blocks=(load,))])
    with db.read() as conn:
        ((device, slot, values),) = latest_samples(conn, "host", ["load1", "disk_used_pct"])
        assert (slot, values) == (T + 120, (0.5, 81))
        assert latest_of(conn, "host", [device]) == {device: (T + 120, {"load1": 0.5, "disk_used_pct": 81})}


def test_devices_leave_and_come_back(db: Database) -> None:
    other = tuple(Device("card", f"NPU-{n}", str(n), "ascend") for n in range(2))
    second = Block("card", ("temp_c",), other, ((40,), (41,)))

    def save(slot: int, devices: tuple[Device, ...]) -> None:
        block = Block("card", COLUMNS, devices, tuple((1, 1, 1) for _ in devices))
        save_reports(db, slot, [HostReport("a", slot, Reach.FRESH, blocks=(block, second))])

    def gone() -> dict[str, int | None]:
        with db.read() as conn:
            return {d.device.key: d.gone_at for d in list_devices(conn)}

    save(T, CARDS)
    save(T + 60, CARDS[:1])
    assert gone() == {"GPU-0": None, "GPU-1": T + 60, "NPU-0": None, "NPU-1": None}
    rounds._RECORDERS.clear()
    save(T + 120, CARDS[:1])
    assert gone()["GPU-1"] == T + 60
    save(T + 180, CARDS)
    assert set(gone().values()) == {None}
    with db.read() as conn:
        told = [(e.name, e.device) for e in reversed(list_events(conn, kinds=("device",)))]
    assert told == [("gone", "GPU-1"), ("back", "GPU-1")]
    save(T + 240, CARDS[:1])
    save(T + 300, CARDS)
    assert set(gone().values()) == {None}
    save(T + 360, ())
    assert set(gone().values()) == {None}  # which of two sources lost its devices cannot be told
    second = Block("card", (), (), ())
    save(T + 420, ())
    assert set(gone().values()) == {T + 420}


def test_a_changed_device_keeps_its_row(db: Database) -> None:
    save_reports(db, T, [report("a", T, (1, 1, 1), (2, 2, 2))])
    newer = tuple(Device("card", d.key, d.index, d.vendor, d.model, driver="580.1") for d in CARDS)
    save_reports(db, T + 60, [report("a", T + 60, (1, 1, 1), (2, 2, 2), devices=newer)])
    with db.read() as conn:
        assert [d.device.driver for d in list_devices(conn)] == ["580.1", "580.1"]


def test_faults_fold_and_are_told_once(db: Database) -> None:
    fault = Fault("nvidia", "xid", "79", "GPU has fallen off the bus", "0000:01:00.0", FaultAction.ISOLATE, at=T - 5.0)
    again = Fault("nvidia", "xid", "79", "GPU has fallen off the bus", "0000:01:00.0", FaultAction.ISOLATE, at=T + 55.0)
    ages = Fault("nvidia", "xid", "13", "clock years off", None, None, at=4e9)
    first = report("a", T, (1, 1, 1), (2, 2, 2), faults=(fault, ages))
    save_reports(db, T, [first])
    save_reports(db, T, [first])
    save_reports(db, T + 60, [report("a", T + 60, faults=(again,))])
    with db.read() as conn:
        events = {e.name: e for e in list_events(conn, kinds=("fault",))}
        assert events["nvidia xid 79"].count == 2
        assert events["nvidia xid 79"].device == "GPU-1"
        assert (events["nvidia xid 79"].first_at, events["nvidia xid 79"].last_at) == (T, T + 60)
        assert (events["nvidia xid 13"].count, events["nvidia xid 13"].last_at) == (1, T)


def test_what_rarely_changes_is_written_when_it_changes(db: Database) -> None:
    probes = (ProbeState("nvidia.smi", Outcome.DONE, 0.1),)
    states = {"GPU-0": {"health": "ok"}}
    block = Block("card", COLUMNS, CARDS, ((1, 1, 1), (2, 2, 2)), states)
    process = Process(7, "GPU-0", "python", "ann", 2**30)
    link = Link("GPU-0", "0", "nvlink", True, 50.0, 0, "GPU-1")
    other = Link("GPU-0", "0", "roce", None, 400.0)  # the same number, another kind of port
    one = HostReport(
        "a",
        T,
        Reach.FRESH,
        blocks=(block,),
        probes=probes,
        facts={"os": "Debian 12"},
        processes=(process,),
        links=(link, other),
    )
    save_reports(db, T, [one])
    with db.read() as conn:
        assert list_processes(conn, "a") == [process]
        assert list_links(conn, "a") == [link, other]
        state = host_state(conn, "a")
        assert state is not None
        assert state.facts == {"os": "Debian 12"}
    hung = (ProbeState("nvidia.smi", Outcome.HUNG, None, "still there"),)
    block = Block("card", COLUMNS, CARDS, ((1, 1, 1), (2, 2, 2)), {"GPU-0": {"health": "bad"}})
    save_reports(
        db, T + 60, [HostReport("a", T + 60, Reach.HUNG, blocks=(block,), probes=hung, processes=(), links=None)]
    )
    with db.read() as conn:
        assert list_processes(conn, "a") == []
        assert list_links(conn, "a") == [link, other]
        assert list_probe_states(conn)["a"][0].outcome is Outcome.HUNG
        assert list(list_device_states(conn, "a").values()) == [{"health": "bad"}]
        assert {e.kind for e in list_events(conn)} == {"probe", "reach", "state"}


def test_probe_findings_are_told_once_while_they_stay(db: Database) -> None:
    finding = ProbeFinding(FindingKind.UNREADABLE, "no such column", 3, "x" * 9000)
    for n in range(3):
        save_reports(db, T + 60 * n, [report("a", T + 60 * n, findings=(finding,))])
    with db.read() as conn:
        (event,) = list_events(conn)
        assert (event.kind, event.name, event.count) == ("probe", "unreadable", 1)
        assert len(event.text) == 2048


def test_a_batch_that_fails_leaves_nothing_and_the_next_is_whole(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(rounds, "_host_row", explode)
        with pytest.raises(ZeroDivisionError):
            save_reports(db, T, [report("a", T, (1, 1, 1), (2, 2, 2))])
    with db.read() as conn:
        assert table(conn, "SELECT count(*) FROM hosts") == [(0,)]
    save_reports(db, T, [report("a", T, (1, 1, 1), (2, 2, 2))])
    with db.read() as conn:
        assert table(conn, "SELECT n FROM fleet_slots WHERE metric = 'temp_c'") == [(2,)]


def test_a_slot_outside_of_time_is_refused(db: Database) -> None:
    for slot in (-1, 2**41):
        with pytest.raises(StoreError, match="cannot be stored"):
            save_reports(db, slot, [])


def test_top_now_over_two_half_rounds(db: Database) -> None:
    save_reports(db, T, [report("a", T, (1, 90, 1), (2, 20, 2)), report("b", T, (1, 80, 1), (2, 85, 2))])
    save_reports(db, T + 60, [report("a", T + 60, (1, 30, 1), (2, 88, 2))])
    with db.read() as conn:
        assert [(r.value, r.slot) for r in top_now(conn, "card", "temp_c", 3)] == [(88, T + 60), (85, T), (80, T)]
        assert [r.value for r in top_now(conn, "card", "temp_c", 1, lowest=True)] == [30]


def test_ids_are_given_out_in_groups_of_one_kind(db: Database) -> None:
    host = Block("host", ("load1",), (Device("host", "h"),), ((1,),))
    many = tuple(Device("card", f"c{n}") for n in range(20))
    cards = Block("card", ("temp_c",), many, tuple((n,) for n in range(20)))
    for name in ("a", "b"):
        save_reports(db, T, [HostReport(name, T, Reach.FRESH, blocks=(host, cards))])
        rounds._RECORDERS.clear()
    with db.read() as conn:
        groups = table(conn, "SELECT count(DISTINCT kind) FROM devices GROUP BY id / 16")
        assert set(groups) == {(1,)}
        assert table(conn, "SELECT count(*), max(id) FROM devices") == [(42, 55)]


def test_a_process_is_seen_by_the_uptime_of_its_host(db: Database) -> None:
    up = Block("host", ("load1", "uptime_s"), (Device("host", "a"),), ((0.5, 4711.5),))
    process = Process(7, "GPU-0", "python", "ann")
    told = [("a", (up,)), ("b", ())]
    save_reports(db, T, [HostReport(n, T, Reach.FRESH, blocks=blocks, processes=(process,)) for n, blocks in told])
    with db.read() as conn:
        rows = conn.execute("SELECT h.name, p.up_s FROM processes p JOIN hosts h ON h.id = p.host ORDER BY 1")
        assert rows.fetchall() == [("a", 4711.5), ("b", None)]
