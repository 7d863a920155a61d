"""A value reads the same from plain rows, from chunks and from rollups."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetctl.config.schema import Store as Policy
from fleetctl.errors import NotFoundError
from fleetctl.model.metric import Metric
from fleetctl.store import Database, rounds
from fleetctl.store.devices import device_id
from fleetctl.store.sealing import seal_step
from fleetctl.store.series import Point, in_steps, read_fleet, read_metrics, read_series
from fleetctl.store.upkeep import upkeep_step
from tests.unit.store.fleet import COLUMNS, HOUR, HOUR_S, save_round

VALUE = st.one_of(st.none(), st.integers(0, 120), st.floats(-1e6, 1e12), st.sampled_from([float("nan"), 2**50]))
ROWS = st.lists(st.tuples(*[VALUE] * len(COLUMNS)), min_size=1, max_size=3)
ROUNDS = st.dictionaries(st.integers(0, 59), st.dictionaries(st.sampled_from(["a", "b"]), ROWS, min_size=1), min_size=1)
KEEP = Policy(path="x", raw_hours=0.1, chunk_days=14, rollup_days=400)


def seal(db: Database, now: float) -> None:
    while seal_step(db, now):
        pass


def keep(db: Database, now: float, policy: Policy = KEEP) -> None:
    for _ in range(1000):
        if not upkeep_step(db, policy, now):
            return
    raise AssertionError("upkeep never ends")


def everything(db: Database, until: int = HOUR + HOUR_S) -> dict[int, dict[str, list[Point]]]:
    with db.read() as conn:
        ids = [number for (number,) in conn.execute("SELECT id FROM devices")]
        return {number: read_metrics(conn, number, COLUMNS, 0, until) for number in ids}


@pytest.fixture
def fresh() -> Iterator[Database]:
    with TemporaryDirectory() as folder, Database.open(Path(folder) / "a.db", write=True) as db:
        yield db


@settings(deadline=None, max_examples=40)
@given(
    ROUNDS,
    st.dictionaries(st.integers(0, 59), st.dictionaries(st.sampled_from(["a", "b"]), ROWS, min_size=1)),
    st.booleans(),
)
def test_rows_and_chunks_say_the_same(
    told: dict[int, dict],  # type: ignore[type-arg]
    late: dict[int, dict],  # type: ignore[type-arg]
    restarted: bool,
) -> None:
    with TemporaryDirectory() as folder, Database.open(Path(folder) / "a.db", write=True) as db:
        for minute, hosts in told.items():
            save_round(db, HOUR + 60 * minute, hosts)
        before = everything(db)
        if restarted:  # the hour is sealed from its rows, not from memory
            rounds._RECORDERS.clear()
        seal(db, HOUR + 2 * HOUR_S)
        assert everything(db) == before
        keep(db, HOUR + 3 * HOUR_S)
        with db.read() as conn:
            assert conn.execute("SELECT count(*) FROM card_samples").fetchone() == (0,)
        assert everything(db) == before
        for minute, hosts in late.items():  # the hour is sealed already
            save_round(db, HOUR + 60 * minute, hosts)
        with_late = everything(db)
        keep(db, HOUR + 4 * HOUR_S)
        assert everything(db) == with_late


def card(db: Database, host: str = "a", number: int = 0) -> int:
    with db.read() as conn:
        found = device_id(conn, host, "card", f"{host}-{number}")
        assert found is not None
        return found


def fill(db: Database, hours: int) -> None:
    """Two cards; temp 50 + minute, energy grows by 100 a round and starts again each hour, util one lower each hour."""
    for hour in range(hours):
        for minute in range(0, 60, 5):
            row = (50 + minute, 100 * minute, minute % 2, 2**20 * (hour + 1), 90 - hour)
            save_round(db, HOUR + HOUR_S * hour + 60 * minute, {"a": [row, row], "b": [(None,) * 5]})


def test_steps_of_hours_are_the_same_from_rollups_and_from_values(db: Database) -> None:
    fill(db, 3)
    device, end = card(db), HOUR + 3 * HOUR_S
    with db.read() as conn:
        before = read_metrics(conn, device, COLUMNS, HOUR, end, HOUR_S)
    assert before["temp_c"][0] == Point(HOUR, 77.5, 50, 105, 12)
    assert [p.value for p in before["util_pct"]] == [90, 89, 88]
    assert [p.value for p in before["throttled"]] == [1, 1, 1]
    seal(db, HOUR + 2 * HOUR_S + 600)  # two hours sealed, one still open
    with db.read() as conn:
        assert read_metrics(conn, device, COLUMNS, HOUR, end, HOUR_S) == before
        halves = read_series(conn, device, "temp_c", HOUR, end, 1800)
    assert [p.value for p in halves[:2]] == [62.5, 92.5]


def test_when_chunks_are_gone_the_hours_remain(db: Database) -> None:
    fill(db, 2)
    device = card(db)
    short = Policy(path="x", raw_hours=0.1, chunk_days=1, rollup_days=3)
    keep(db, HOUR + 25 * HOUR_S + 600, short)  # the first hour's chunk is older than a day
    with db.read() as conn:
        points = read_series(conn, device, "temp_c", 0, HOUR + 5 * HOUR_S)
        assert points[0] == Point(HOUR, 77.5, 50, 105, 12)
        assert [p.at for p in points[1:]] == [HOUR + HOUR_S + 300 * n for n in range(12)]
        fleet = read_fleet(conn, "card", "temp_c", 0, HOUR + 5 * HOUR_S)
        assert fleet[0] == Point(HOUR, 77.5, 50, 105, 24)
        assert len(fleet) == 13
    keep(db, HOUR + 100 * HOUR_S, short)
    with db.read() as conn:
        assert read_series(conn, device, "temp_c", 0, HOUR + 5 * HOUR_S) == []
        for table in ("card_samples", "card_chunks", "card_rollups", "seals", "fleet_slots"):
            assert conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


def test_the_fleet_mean_reads_no_card(db: Database) -> None:
    fill(db, 1)
    with db.read() as conn:
        assert read_fleet(conn, "card", "temp_c", HOUR, HOUR + 600) == [
            Point(HOUR, 50, 50, 50, 2),
            Point(HOUR + 300, 55, 55, 55, 2),
        ]
        assert read_fleet(conn, "card", "temp_c", HOUR, HOUR + HOUR_S, HOUR_S) == [Point(HOUR, 77.5, 50, 105, 24)]


def test_unknown_names_are_told(db: Database) -> None:
    fill(db, 1)
    with db.read() as conn:
        with pytest.raises(NotFoundError, match="no device"):
            read_series(conn, 99, "temp_c", 0, 1)
        with pytest.raises(NotFoundError, match="no metric named 'tmp_c'"):
            read_series(conn, card(db), "tmp_c", 0, 1)


def test_a_damaged_chunk_is_a_gap(db: Database) -> None:
    fill(db, 2)
    keep(db, HOUR + 3 * HOUR_S)
    with db.write() as conn:
        conn.execute("UPDATE card_chunks SET data = substr(data, 1, 40) WHERE hour = ?", (HOUR,))
        conn.execute("UPDATE card_rollups SET data = zeroblob(9)")
    with db.read() as conn:
        assert read_series(conn, card(db), "temp_c", 0, 2**40)[0].at == HOUR + HOUR_S


def test_an_hour_in_two_goes_after_a_crash(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(db, 1)
    before = everything(db)
    monkeypatch.setattr("fleetctl.store.sealing.DEVICES_PER_STEP", 16)
    assert seal_step(db, HOUR + 2 * HOUR_S)
    late = {"a": [(1, 2, 3, 4, 5)]}
    save_round(db, HOUR + 60, late)  # between two steps of the same hour
    after = everything(db)
    assert after != before
    keep(db, HOUR + 3 * HOUR_S)
    assert everything(db) == after


def test_points_in_steps() -> None:
    points = [Point(0, 1, 1, 1, 1), Point(60, 4, 3, 5, 2), Point(180, 7, 7, 7, 1)]
    gauge = Metric("temp_c", "card", "", "")
    assert in_steps(points, 120, gauge) == [Point(0, 3.0, 1, 5, 3), Point(120, 7, 7, 7, 1)]
