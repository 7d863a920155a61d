"""The slow lane: everybody at his own pace, failures out of the way, last values kept with their age."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from pathlib import Path

import pytest

from fleetctl.collector.facility import AUTH_RETRY_S, FacilityCollector, trouble_of
from fleetctl.config.schema import Config, Facility
from fleetctl.errors import AuthError, FleetctlError, ParseError, TimedOutError, UnreachableError
from fleetctl.facility.endpoint import Endpoint
from fleetctl.facility.endpoints import Asked
from fleetctl.inventory import build_inventory
from fleetctl.model.facility import (
    EndpointReport,
    EndpointResult,
    Measurement,
    PointState,
    RawValue,
    SourceTrouble,
)
from fleetctl.model.states import Health
from fleetctl.store.database import Database
from fleetctl.store.facility import (
    FacilityCondition,
    list_endpoints,
    list_point_states,
    list_readings,
    save_endpoint_results,
    save_facility_conditions,
)
from fleetctl.store.facility_history import SLOT_S, TOTAL, facility_series, prune_facility
from fleetctl.store.findings import list_findings
from tests.fakes.clock import FakeClock, at_once

T0 = 1_700_000_000.0


def report(at: float = T0, watts: float | None = 600.0, *, complete: bool = True, **more: float) -> EndpointReport:
    readings = tuple(Measurement("temperature", k, v, "C", f"src/{k}", str(v), at) for k, v in more.items())
    return EndpointReport("https://x", "redfish", at, readings, total_power_w=watts, complete=complete)


class FakeSource:
    """Answers at once, hangs, or fails, as its script says."""

    def __init__(self, clock: FakeClock, script: str = "ok") -> None:
        self.clock, self.script = clock, script
        self.reads = self.polls = self.closed = 0

    async def _answer(self) -> EndpointReport:
        if self.script == "hang":
            await asyncio.Event().wait()
        if self.script == "slow":
            await self.clock.sleep(50)
        if self.script == "dead":
            raise UnreachableError("no answer")
        if self.script == "auth":
            raise AuthError("refused")
        if self.script == "bug":
            raise RuntimeError("odd")
        return report(self.clock.now())

    async def read(self) -> EndpointReport:
        self.reads += 1
        return await self._answer()

    async def poll(self) -> EndpointReport:
        self.polls += 1
        return await self._answer()

    async def explain(self) -> list[RawValue]:
        return []

    async def close(self) -> None:
        self.closed += 1


class Lane:
    def __init__(
        self, scripts: dict[str, str], every: float = 10.0, *, concurrency: int = 256, full_every: float = 600.0
    ) -> None:
        self.clock = FakeClock()
        self.sources: dict[str, FakeSource] = {}
        self.opened: dict[str, int] = {}
        self.results: list[EndpointResult] = []
        asked = {n: Asked(n, "pdu", f"snmp://{n}", "s", every, full_every, 5.0) for n in scripts}

        def opener(endpoint: Endpoint) -> FakeSource:
            name = endpoint.host
            self.opened[name] = self.opened.get(name, 0) + 1
            self.sources[name] = FakeSource(self.clock, scripts[name])
            return self.sources[name]

        config = Config(facility=Facility(concurrency=concurrency))
        self.lane = FacilityCollector(config, build_inventory(config), self.clock, opener=opener, asked=asked)

    async def keep(self, results: list[EndpointResult]) -> None:
        self.results += results

    @contextlib.asynccontextmanager
    async def running(self):  # type: ignore[no-untyped-def]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio, "to_thread", at_once)
            task = asyncio.create_task(self.lane.run(self.keep))
            try:
                yield self
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def pass_time(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            await self.clock.advance(1)

    def of(self, name: str) -> list[EndpointResult]:
        return [r for r in self.results if r.name == name]


async def test_everybody_at_his_pace_the_first_time_completely() -> None:
    lane = Lane({"a": "ok", "b": "ok"})
    async with lane.running():
        await lane.pass_time(65)
    assert 5 <= len(lane.of("a")) <= 7
    assert (lane.sources["a"].reads, lane.opened["a"]) == (1, 1), "one session, one complete reading"
    assert lane.sources["a"].closed == 1


async def test_one_that_hangs_holds_up_nobody() -> None:
    lane = Lane({"a": "ok", "stuck": "hang", "slow": "slow", "dead": "dead"})
    async with lane.running():
        await lane.pass_time(65)
    assert len(lane.of("a")) >= 5
    assert lane.of("stuck") == []
    assert lane.of("dead")[0].trouble is SourceTrouble.UNREACHABLE


async def test_a_place_is_not_kept_by_those_who_get_no_answer() -> None:
    lane = Lane({"a": "ok"} | {f"stuck{i}": "ok" for i in range(5)}, concurrency=1)
    async with lane.running():
        await lane.pass_time(15)
        for i in range(5):
            lane.sources[f"stuck{i}"].script = "hang"
        before = len(lane.of("a"))
        await lane.pass_time(60)
    assert len(lane.of("a")) - before >= 5, "one place, five that hang: everybody else keeps his pace"


async def test_the_beat_does_not_drift() -> None:
    lane = Lane({"slow": "slow"}, every=60.0)
    async with lane.running():
        await lane.pass_time(400)
    times = [r.at for r in lane.of("slow")]
    assert {round(b - a) for a, b in itertools.pairwise(times)} == {60}


async def test_complete_readings_that_began_together_do_not_stay_together() -> None:
    lane = Lane({f"x{i}": "ok" for i in range(40)}, full_every=100.0)
    async with lane.running():
        await lane.pass_time(75)
        again = sum(s.reads == 2 for s in lane.sources.values())
        assert 10 <= again <= 30, "half of them between half the time and three quarters of it"
        await lane.pass_time(40)
    assert all(s.reads == 2 for s in lane.sources.values())


async def test_who_was_read_before_is_polled_while_too_many_are_read() -> None:
    lane = Lane({"a": "ok", "b": "ok"}, concurrency=1, full_every=30.0)
    async with lane.running():
        await lane.pass_time(11)
        lane.sources["b"].script = "slow"
        await lane.pass_time(80)
    assert max(b.at - a.at for a, b in itertools.pairwise(lane.of("a"))) <= 12


async def test_a_dead_one_is_asked_less_and_less() -> None:
    lane = Lane({"dead": "dead"})
    async with lane.running():
        await lane.pass_time(150)
    assert 3 <= len(lane.of("dead")) <= 6


async def test_a_refused_password_is_not_tried_into_a_lockout() -> None:
    lane = Lane({"locked": "auth"})
    async with lane.running():
        await lane.pass_time(200)
        assert len(lane.of("locked")) == 1
    assert AUTH_RETRY_S > 3600


async def test_a_source_with_a_defect_is_one_finding_on_one_device() -> None:
    lane = Lane({"odd": "bug", "a": "ok"})
    async with lane.running():
        await lane.pass_time(30)
    assert lane.of("odd")[0].trouble is SourceTrouble.UNREADABLE
    assert lane.of("a")


async def test_it_comes_back_by_itself() -> None:
    lane = Lane({"x": "dead"})
    async with lane.running():
        await lane.pass_time(15)
        lane.sources["x"].script = "ok"
        scripts_source = lane.lane
        assert scripts_source.stats.failed >= 1
    results = [r.report is not None for r in lane.of("x")]
    assert results[0] is False


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AuthError("its certificate is not trusted"), SourceTrouble.TLS),
        (AuthError("refused"), SourceTrouble.AUTH),
        (TimedOutError("t"), SourceTrouble.TIMED_OUT),
        (ParseError("not JSON"), SourceTrouble.UNREADABLE),
        (ParseError("100000000 bytes are too many"), SourceTrouble.TOO_LARGE),
        (UnreachableError("u"), SourceTrouble.UNREACHABLE),
    ],
)
def test_troubles(error: FleetctlError, kind: SourceTrouble) -> None:
    assert trouble_of(error) is kind


# -- the store ---------------------------------------------------------------------------------------------------------


def result(at: float, found: EndpointReport | None, name: str = "pdu1", **more: object) -> EndpointResult:
    return EndpointResult(name, "pdu", "snmp://x", at, report=found, **more)  # type: ignore[arg-type]


@pytest.fixture
def db(tmp_path: Path):  # type: ignore[no-untyped-def]
    with Database.open(tmp_path / "f.db", write=True) as opened:
        yield opened


def test_the_last_value_stays_with_its_age(db: Database) -> None:
    with db.write() as conn:
        save_endpoint_results(conn, [result(T0, report(T0, 600.0, inlet=24.0))])
        save_endpoint_results(conn, [result(T0 + 60, None, trouble=SourceTrouble.TIMED_OUT, text="no answer")])
        save_endpoint_results(conn, [result(T0 + 90, None, trouble=SourceTrouble.TIMED_OUT, text="no answer")])
    with db.read() as conn:
        (state,) = list_endpoints(conn)
        (reading,) = list_readings(conn)[state.id]
    assert (state.trouble, state.trouble_since, state.ok_at) == ("timed_out", int(T0) + 60, int(T0))
    assert (state.total_power_w, state.total_at) == (600.0, int(T0))
    assert (reading.value, reading.as_of) == (24.0, T0)


def test_a_poll_brings_some_values_and_a_complete_reading_takes_away(db: Database) -> None:
    with db.write() as conn:
        save_endpoint_results(conn, [result(T0, report(T0, inlet=24.0, outlet=35.0))])
        save_endpoint_results(conn, [result(T0 + 10, report(T0 + 10, inlet=25.0, complete=False))])
    with db.read() as conn:
        assert {r.where: r.value for r in list_readings(conn)[1]} == {"inlet": 25.0, "outlet": 35.0}
    with db.write() as conn:
        save_endpoint_results(conn, [result(T0 + 20, report(T0 + 20, inlet=26.0))])
    with db.read() as conn:
        assert {r.where: r.value for r in list_readings(conn)[1]} == {"inlet": 26.0}


def test_unknown_power_never_becomes_zero(db: Database) -> None:
    with db.write() as conn:
        save_endpoint_results(conn, [result(T0, report(T0, None))])
    with db.read() as conn:
        assert list_endpoints(conn)[0].total_power_w is None
        assert facility_series(conn, "pdu1", TOTAL, 0, T0 * 2) == []


def test_history_is_kept_thinned_and_dropped(db: Database) -> None:
    day = 86_400
    start = T0 // 3600 * 3600
    with db.write() as conn:
        for i in range(8):
            at = start + i * SLOT_S
            save_endpoint_results(conn, [result(at, report(at, 600.0 + i)), result(at + 5, report(at + 5, 999.0))])
        assert len(facility_series(conn, "pdu1", TOTAL, 0, T0 * 2)) == 8
        assert facility_series(conn, "pdu1", TOTAL, 0, T0 * 2)[0] == (start, 600.0)
        prune_facility(conn, start + 20 * day, 400)
        assert [v for _, v in facility_series(conn, "pdu1", TOTAL, 0, T0 * 2)] == [600.0, 604.0]
        prune_facility(conn, start + 500 * day, 400)
        assert facility_series(conn, "pdu1", TOTAL, 0, T0 * 2) == []


def test_what_devices_say_is_cleaned(db: Database) -> None:
    odd = EndpointReport(
        "x", "snmp", T0, (Measurement("power", "a\x1b[31m" + "b" * 999, 1.0, "W", "oid", "\x07", T0),),
        (PointState("leak", "l\nx", "critical\x1b]0;x\x07", "s", "r", T0, True),), device={"model": "\x1b[2J"},
    )  # fmt: skip
    with db.write() as conn:
        save_endpoint_results(conn, [result(T0, odd)])
    with db.read() as conn:
        (state,) = list_endpoints(conn)
        (reading,) = list_readings(conn)[state.id]
        (leak,) = list_point_states(conn, "leak")[state.id]
    for text in (reading.where, reading.raw, leak.word, *state.device.values()):
        assert "\x1b" not in text
    assert len(reading.where) <= 200


def test_a_finding_stays_while_its_subject_cannot_speak(db: Database) -> None:
    leak = FacilityCondition("facility.leak", "cdu1", "leak", Health.CRIT)
    with db.write() as conn:
        save_facility_conditions(conn, T0, [leak], {"cdu1"})
        save_facility_conditions(conn, T0 + 15, [], set())
        assert [f.rule for f in list_findings(conn)] == ["facility.leak"]
        save_facility_conditions(conn, T0 + 30, [], {"cdu1"})
        assert list_findings(conn) == []
