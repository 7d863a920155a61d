"""Sums per host: what is summed, what is left out, and where values come from while a round is being written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetctl.model.reading import Device
from fleetctl.model.report import Block, ErrorKind, HostReport
from fleetctl.model.states import Reach
from fleetctl.store.database import Database
from fleetctl.store.devices import list_devices
from fleetctl.store.rounds import save_reports
from fleetctl.store.samples import top_now
from fleetctl.store.summaries import count_cards, fleet_figures, host_answers, host_values, name_devices, sum_cards
from fleetctl.views import devices, node_history

SLOT = 1_000_020
COLUMNS = ("util_pct", "temp_c", "power_w", "mem_used_bytes", "mem_total_bytes")
GIB = 1 << 30


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "fleet.db", write=True) as database:
        yield database


def card(key: str, **more: object) -> Device:
    return Device("card", key, key[-1], "nvidia", "H100", "H100", **more)  # type: ignore[arg-type]


def save(db: Database, slot: int, host: str, devices: tuple[Device, ...], rows: list[tuple[object, ...]]) -> None:
    block = Block("card", COLUMNS, devices, tuple(rows))  # type: ignore[arg-type]
    itself = Block("host", ("load1", "cpu_pct"), (Device("host", host),), ((slot % 100 / 10, 50),))
    save_reports(db, slot, [HostReport(host, slot + 5, Reach.FRESH, blocks=(block, itself))])


def test_mean_hottest_and_sums_without_what_is_repeated(db: Database) -> None:
    devices = (
        card("a0"),
        card("a1"),
        card("a2", shares=("power_w",)),  # the second half of a board whose draw stands on the first
        card("a3", parent="a0", partition="1g.10gb"),  # a slice: its memory is part of a0's
    )
    rows = [
        (100, 60, 300, 10 * GIB, 80 * GIB),
        (50, 90, 200, 20 * GIB, 80 * GIB),
        (None, None, 200, None, None),
        (0, 61, 300, 5 * GIB, 10 * GIB),
    ]
    save(db, SLOT, "h1", devices, rows)
    with db.read() as conn:
        found = sum_cards(conn)["h1"]
        assert count_cards(conn)["h1"].cards == found.cards == 3
    assert (found.chip, found.vendor) == ("H100", "nvidia")
    assert found.values == {
        "util_pct": 50.0,
        "temp_c": 90,
        "power_w": 500,
        "mem_used_bytes": 30 * GIB,
        "mem_total_bytes": 160 * GIB,
    }


def test_a_round_that_is_still_being_written_borrows_from_the_one_before(db: Database) -> None:
    for n in range(3):
        save(db, SLOT, f"h{n}", (card(f"{n}0"),), [(10, 50, 100, 0, GIB)])
    save(db, SLOT + 60, "h1", (card("10"),), [(20, 55, 110, 0, GIB)])
    with db.read() as conn:
        sums, values = sum_cards(conn), host_values(conn)
    assert [sums[f"h{n}"].values["temp_c"] for n in range(3)] == [50, 55, 50]
    assert values["h1"]["load1"] == (SLOT + 60) % 100 / 10
    assert values["h0"]["load1"] == SLOT % 100 / 10
    with db.read() as conn:
        assert list(sum_cards(conn, "h1")) == ["h1"]
        assert list(host_values(conn, "h1")) == ["h1"]


def test_many_hosts_are_read_as_few_are(db: Database) -> None:
    """Above a hundred hosts the round is read from end to end; the answer must not depend on that."""
    block = lambda n: Block("card", COLUMNS, (card(f"{n:03}0"),), ((n % 100, 30 + n % 60, 100, n * GIB, 80 * GIB),))  # noqa: E731
    names = [f"h{n:03}" for n in range(150)]
    save_reports(db, SLOT, [HostReport(name, SLOT, Reach.FRESH, blocks=(block(n),)) for n, name in enumerate(names)])
    with db.read() as conn:
        together = sum_cards(conn)
        assert together == {name: sum_cards(conn, name)[name] for name in names}


def test_a_metric_that_is_asked_rarely_stands_with_its_last_value(db: Database) -> None:
    save(db, SLOT, "h0", (card("00"),), [(10, 50, 100, GIB, 2 * GIB)])
    for later in (60, 120, 180):
        save(db, SLOT + later, "h0", (card("00"),), [(11, 51, None, GIB, 2 * GIB)])
    with db.read() as conn:
        assert sum_cards(conn)["h0"].values["power_w"] == 100
        assert sum_cards(conn)["h0"].values["temp_c"] == 51


def test_old_values_are_history_and_unknown_is_not_zero(db: Database) -> None:
    save(db, SLOT, "old", (card("00"),), [(10, 50, 100, 0, GIB)])
    save(db, SLOT + 3600, "new", (card("10"),), [(None, None, None, None, None)])
    with db.read() as conn:
        sums = sum_cards(conn)
    assert sums["old"].values == {}
    assert sums["old"].cards == 1
    assert set(sums["new"].values.values()) == {None}


def test_answers(db: Database) -> None:
    save(db, SLOT, "h0", (card("00"),), [(10, 50, 100, 0, GIB)])
    save_reports(db, SLOT + 60, [HostReport("h0", SLOT + 65, Reach.UNREACHABLE, ErrorKind.TIMED_OUT, "no answer")])
    with db.read() as conn:
        (answer,) = host_answers(conn).values()
    assert (answer.reach, answer.report_at, answer.answer_at) == ("unreachable", SLOT + 65, SLOT + 5)
    assert answer.error == "timed_out: no answer"


def test_fleet_figures_come_from_the_newest_complete_round(db: Database) -> None:
    for n in range(3):
        save(db, SLOT, f"h{n}", (card(f"{n}0"),), [(10 * n, 50 + n, 100, 0, GIB)])
    save(db, SLOT + 60, "h0", (card("00"),), [(99, 99, 99, 0, GIB)])
    with db.read() as conn:
        assert fleet_figures(conn, ("util_pct", "temp_c", "fan_pct")) == {
            "util_pct": (3, 30, 20),
            "temp_c": (3, 153, 52),
        }
        named = name_devices(conn, [d.id for d in list_devices(conn, "h1", kind="card")] + [999])
    assert [(d.host, d.key, d.number) for d in named.values()] == [("h1", "10", "0")]


def test_a_card_that_tells_its_hot_spot_alone_is_as_hot_as_that(db: Database) -> None:
    def report(host: str, metric: tuple[str, ...], rows: tuple[tuple[float | None, ...], ...]) -> HostReport:
        cards = tuple(card(f"{host}{n}") for n in range(len(rows)))
        return HostReport(host, SLOT + 5, Reach.FRESH, blocks=(Block("card", metric, cards, rows),))

    with db.read() as conn:
        assert fleet_figures(conn, ["temp_c"]) == {}
    save_reports(db, SLOT, [report("amd", ("hotspot_temp_c",), ((81,), (92,)))])
    with db.read() as conn:
        assert sum_cards(conn)["amd"].values["temp_c"] == 92
        assert fleet_figures(conn, ["temp_c"])["temp_c"][2] == 92
    save_reports(db, SLOT, [report("h100", ("temp_c", "hotspot_temp_c"), ((60, 99), (70, 99)))])
    with db.read() as conn:
        assert sum_cards(conn)["h100"].values["temp_c"] == 70  # its own core is told: the hot spot is another figure
        assert fleet_figures(conn, ["temp_c"])["temp_c"][2] == 92
        names = name_devices(conn, [r.device for r in top_now(conn, "card", "temp_c")])
        ranked = [(names[r.device].host, r.value) for r in top_now(conn, "card", "temp_c", 3)]
        assert ranked == [("amd", 92), ("amd", 81), ("h100", 70)]
        curves = node_history.load(conn, "amd", SLOT - 60, SLOT + 60, interval_s=10)
        assert [c.points for c in curves if c.title == "hottest card"] == [[(float(SLOT), 92.0)]]
        rows = devices.load(conn, {"amd": "s", "h100": "s"})
        assert {r.temp_c for r in devices.fold_devices(rows)} == {92}


def test_a_card_stays_one_card_when_only_its_second_source_still_answers(db: Database) -> None:
    def named(slot: int, *cards: Device) -> None:
        rows = tuple((50.0,) for _ in cards)
        save_reports(
            db, slot, [HostReport("h1", slot + 5, Reach.FRESH, blocks=(Block("card", ("util_pct",), cards, rows),))]
        )

    full = Device("card", "0000:1a:00.0", "0", "ascend", "910B3", "Ascend 910B3", serial="790187", pci="0000:1a:00.0")
    board = Device("card", "790187", "0", "ascend", "IT21HMDC01", None, serial="790187", pci="0000:1a:00.0")
    named(SLOT, full)
    named(SLOT + 60, board)
    with db.read() as conn:
        assert [(d.device.key, d.device.chip) for d in list_devices(conn, "h1")] == [(full.key, full.chip)]
        assert sum_cards(conn)["h1"].cards == 1
    named(SLOT + 120, full)
    other = Device("card", "790188", "1", "ascend", "IT21HMDC01", None, serial="790188", pci="0000:2b:00.0")
    named(SLOT + 180, board, other)
    with db.read() as conn:
        assert len(list_devices(conn, "h1")) == 2
