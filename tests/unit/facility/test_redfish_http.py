"""A Redfish service that misbehaves, over real HTTP on loopback: one finding each, and the rest goes on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import tracemalloc
from asyncio.sslproto import SSLProtocol
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from fleetctl.errors import AuthError, ConflictError, ParseError, TimedOutError, UnreachableError
from fleetctl.facility.endpoint import Credentials, parse_url
from fleetctl.model.facility import SourceTrouble
from fleetctl_redfish.session import MAX_BODY_BYTES, MissingError, RedfishSession
from fleetctl_redfish.source import RedfishSource

CH = "/redfish/v1/Chassis/1"
TREE: dict[str, Any] = {
    "/redfish/v1": {"RedfishVersion": "1.6.0", "Chassis": {"@odata.id": "/redfish/v1/Chassis"}},
    "/redfish/v1/Chassis": {"Members": [{"@odata.id": CH}]},
    CH: {
        "@odata.type": "#Chassis.v1.Chassis",
        "@odata.id": CH,
        "ChassisType": "RackMount",
        "Power": {"@odata.id": f"{CH}/Power"},
        "Thermal": {"@odata.id": f"{CH}/Thermal"},
        "Sensors": {"@odata.id": f"{CH}/Sensors"},
    },
    f"{CH}/Power": {"@odata.type": "#Power.v1.Power", "PowerControl": [{"PowerConsumedWatts": 614}]},
    f"{CH}/Thermal": {
        "@odata.type": "#Thermal.v1.Thermal",
        "Temperatures": [{"Name": "Inlet", "ReadingCelsius": 24, "Status": {"State": "Enabled", "Health": "OK"}}],
    },
}


class Bmc:
    """Answers from `tree`; `odd` maps a path to a handler that misbehaves."""

    def __init__(self) -> None:
        self.tree = dict(TREE)
        self.odd: dict[str, Any] = {}
        self.asked: list[str] = []
        self.logins = 0
        self.password = "right"
        self.runner: web.AppRunner | None = None
        self.ended: list[str] = []  # tokens of sessions that the BMC has forgotten

    @property
    def sockets(self) -> int:
        """How many stand open now."""
        return len(self.runner.server.connections) if self.runner and self.runner.server else 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.rstrip("/")
        self.asked.append(f"{request.method} {request.path_qs}")
        if path == "/redfish/v1/SessionService/Sessions":
            self.logins += 1
            given = await request.json()
            if given.get("Password") != self.password:
                return web.Response(status=401)
            headers = {"X-Auth-Token": f"t{self.logins}", "Location": "/redfish/v1/SessionService/Sessions/1"}
            return web.json_response({}, status=201, headers=headers)
        if request.headers.get("X-Auth-Token") in self.ended and request.method == "GET":
            return web.Response(status=401)
        if path in self.odd:
            answer: web.StreamResponse = await self.odd[path](request)
            return answer
        if path not in self.tree:
            return web.Response(status=404)
        return web.json_response(self.tree[path])


@contextlib.asynccontextmanager
async def serving(bmc: Bmc) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", bmc.handle)
    runner = bmc.runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def reading(bmc: Bmc, **more: Any) -> AsyncIterator[RedfishSource]:
    async with serving(bmc) as url:
        source = RedfishSource(parse_url(url, timeout_s=more.pop("timeout_s", 120.0), **more))
        try:
            yield source
        finally:
            await source.close()


async def broken(_: web.Request) -> web.StreamResponse:
    return web.Response(body=b'{"PowerControl": [{"PowerConsumedWatts": 614,}]}', content_type="application/json")


async def busy(_: web.Request) -> web.StreamResponse:
    return web.Response(status=503)


async def cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"half":')
    assert request.transport is not None
    request.transport.abort()
    return response


async def huge(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        for _ in range(1600):
            await response.write(b" " * 65_536)
    return response


async def announced_huge(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(100 * 2**20)})
    await response.prepare(request)
    await response.write(b"x")
    assert request.transport is not None
    request.transport.abort()
    return response


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        (broken, SourceTrouble.UNREADABLE),
        (busy, SourceTrouble.REFUSED),
        (cut, SourceTrouble.UNREADABLE),
        (huge, SourceTrouble.UNREADABLE),
        (announced_huge, SourceTrouble.UNREADABLE),
    ],
)
async def test_one_bad_answer_is_one_finding_and_the_rest_goes_on(handler: Any, kind: SourceTrouble) -> None:
    bmc = Bmc()
    bmc.odd[f"{CH}/Power"] = handler
    async with reading(bmc) as source:
        report = await source.read()
        assert [(f.kind, f.source) for f in report.findings] == [(kind, f"{CH}/Power")]
        assert [r.where for r in report.readings] == ["1/Inlet"]
        assert report.total_power_w is None
        assert not report.complete
        bmc.odd.clear()
        report = await source.read()
        assert report.total_power_w == 614, "it comes back by itself"
        assert report.findings == ()


async def test_an_answer_that_was_cut_is_told_as_that_in_readings_and_polls() -> None:
    bmc = Bmc()
    async with reading(bmc) as source:
        await source.read()
        bmc.odd[f"{CH}/Power"] = cut
        assert [f.text for f in (await source.read()).findings] == [
            f"{CH}/Power: the answer was cut after 8 of 1000 bytes"
        ]
        bmc.odd = dict.fromkeys(bmc.tree, cut)
        for ask in (source.read, source.poll):
            with pytest.raises(ParseError, match="was cut after"):
                await ask()


async def test_a_total_that_was_not_read_again_is_not_told_again() -> None:
    bmc = Bmc()
    async with reading(bmc) as source:
        assert (await source.read()).total_power_w == 614
        bmc.odd[f"{CH}/Power"] = busy
        report = await source.poll()
        assert report.total_power_w is None
        assert [r.where for r in report.readings] == ["1/Inlet"]
        bmc.odd.clear()
        assert (await source.poll()).total_power_w == 614


async def test_circles_of_links_end() -> None:
    bmc = Bmc()
    for i in range(50):
        here = f"/redfish/v1/Chassis/c{i}"
        there = {"@odata.id": f"/redfish/v1/Chassis/c{(i + 1) % 50}"}
        bmc.tree[here] = {"@odata.type": "#Chassis.v1.Chassis", "Power": there, "Sensors": {"@odata.id": here}}
    bmc.tree["/redfish/v1/Chassis"] = {
        "Members": [{"@odata.id": CH}, {"@odata.id": "/redfish/v1/Chassis/c0"}],
        "Members@odata.nextLink": "/redfish/v1/Chassis?$skip=0",
    }
    async with reading(bmc) as source:
        report = await source.read()
    assert report.total_power_w == 614
    assert len(bmc.asked) < 200


async def test_a_slash_and_a_space_in_an_id() -> None:
    bmc = Bmc()
    bmc.tree["/redfish/v1/Chassis"] = {
        "Members": [{"@odata.id": "/redfish/v1/Chassis/A b/1"}, {"@odata.id": CH}, {"@odata.id": 7}]
    }
    bmc.tree["/redfish/v1/Chassis/A b/1"] = {"@odata.type": "#Chassis.v1.Chassis"}
    async with reading(bmc) as source:
        assert (await source.read()).total_power_w == 614
    assert any("A%20b/1" in asked for asked in bmc.asked)


async def test_pages_are_followed() -> None:
    bmc = Bmc()
    sensors = [
        {
            "@odata.id": f"{CH}/Sensors/S{i}",
            "@odata.type": "#Sensor.v1.Sensor",
            "Id": f"S{i}",
            "Reading": i,
            "ReadingType": "Power",
        }
        for i in range(9)
    ]

    async def page(request: web.Request) -> web.StreamResponse:
        skip = int(request.query.get("$skip", "0"))
        body: dict[str, Any] = {"Members": sensors[skip : skip + 3]}
        if skip + 3 < len(sensors):
            body["Members@odata.nextLink"] = f"{CH}/Sensors?$skip={skip + 3}"
        return web.json_response(body)

    bmc.odd[f"{CH}/Sensors"] = page
    async with reading(bmc) as source:
        report = await source.read()
    assert len([r for r in report.readings if "/Sensors/" in r.source]) == 9
    assert not [a for a in bmc.asked if "/Sensors/S" in a], "members that came along are not asked again"


async def test_a_link_that_a_terminal_must_not_see_is_not_kept() -> None:
    bmc = Bmc()
    sensor = {"@odata.type": "#Sensor.v1.Sensor", "Id": "S", "Name": "S", "Reading": 1, "ReadingType": "Power"}
    links = [
        f"{CH}/Sensors/good",
        "\x1b[31mred",
        f"{CH}/Sensors/\x1b[2J",
        "https://elsewhere/",
        f"{CH}/Sensors/{'x' * 2000}",
    ]
    bmc.tree[f"{CH}/Sensors"] = {"Members": [{**sensor, "@odata.id": link} for link in links]}
    async with reading(bmc) as source:
        for report in (await source.read(), await source.poll(), await source.poll()):
            assert {r.source for r in report.readings if "Sensors" in r.source} <= {f"{CH}/Sensors/good"}
            assert all(r.source.isprintable() for r in report.readings)


class Changing(Bmc):
    """A tray whose system names a BMC card first, and that wants to be told which state is changed."""

    def __init__(self, limits: dict[str, Any]) -> None:
        super().__init__()
        card, tray = "/redfish/v1/Chassis/BMC_0", CH
        system = "/redfish/v1/Systems/1"
        self.tree |= {
            "/redfish/v1/Systems": {"Members": [{"@odata.id": system}]},
            system: {
                "@odata.id": system,
                "@odata.etag": 'W/"7"',
                "IndicatorLED": "Off",
                "Links": {"Chassis": [{"@odata.id": card}, {"@odata.id": tray}]},
            },
            card: {"ChassisType": "Component"},
            f"{card}/EnvironmentMetrics": {"PowerLimitWatts": {"SetPoint": 5}},
            **limits,
        }
        self.changes: list[tuple[str, Any]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "PATCH":
            want = self.tree[request.path].get("@odata.etag", "")
            if request.headers.get("If-Match", "") != want:
                return web.Response(status=428)
            self.changes.append((request.path, await request.json()))
            return web.Response(status=204)
        return await super().handle(request)


async def test_the_limit_of_the_whole_server_is_set_never_that_of_a_part() -> None:
    metrics = f"{CH}/EnvironmentMetrics"
    bmc = Changing({f"{CH}/Power": {"PowerControl": [{}]}, metrics: {"@odata.etag": "9", "PowerLimitWatts": {}}})
    async with reading(bmc) as source:
        assert await source.act("cap", 500) == "PowerLimitWatts 500 W accepted"
        assert await source.act("identify") == "IndicatorLED Blinking"
    assert [path for path, _ in bmc.changes] == [metrics, "/redfish/v1/Systems/1"]
    older = Changing({f"{CH}/Power": {"PowerControl": [{"PowerLimit": None}]}})
    async with reading(older) as source:
        assert await source.act("cap", None) == "cap lifted"
    assert older.changes == [(f"{CH}/Power", {"PowerControl": [{"PowerLimit": {"LimitInWatts": None}}]})]
    async with reading(Changing({})) as source:
        with pytest.raises(ConflictError, match="no power limit"):
            await source.act("cap", 500)


async def test_resources_without_a_type_are_known_by_their_place() -> None:
    bmc = Bmc()
    bmc.tree = {path: {k: v for k, v in r.items() if k != "@odata.type"} for path, r in bmc.tree.items()}
    bmc.tree[f"{CH}/Sensors"] = {"Members": [{"@odata.id": f"{CH}/Sensors/S"}]}
    bmc.tree[f"{CH}/Sensors/S"] = {"Name": "S", "Reading": 2.5, "ReadingUnits": "A"}
    async with reading(bmc) as source:
        report = await source.read()
    assert report.total_power_w == 614
    assert {(r.quantity, r.value) for r in report.readings} == {("power", 614), ("temperature", 24), ("current", 2.5)}


async def test_a_wrong_password_is_tried_once() -> None:
    bmc = Bmc()
    async with reading(bmc, credentials=Credentials("fleet", "wrong")) as source:
        for _ in range(3):
            with pytest.raises(AuthError):
                await source.read()
    assert bmc.logins == 1


async def test_a_session_that_ended_is_begun_again_once() -> None:
    bmc = Bmc()
    async with reading(bmc, credentials=Credentials("fleet", "right")) as source:
        await source.read()
        bmc.ended.append("t1")
        assert (await source.poll()).total_power_w == 614
    assert bmc.logins == 2
    assert any(a.startswith("DELETE") for a in bmc.asked), "the session is ended at the BMC"


@pytest.mark.parametrize("basic", [False, True])
async def test_a_resource_that_alone_is_refused_costs_only_itself(basic: bool) -> None:
    bmc = Bmc()

    async def refused(_: web.Request) -> web.StreamResponse:
        return web.Response(status=401)

    bmc.tree["/redfish/v1"] = {
        **TREE["/redfish/v1"],
        "TelemetryService": {"@odata.id": "/redfish/v1/TelemetryService"},
    }
    bmc.odd["/redfish/v1/TelemetryService"] = refused
    bmc.odd[f"{CH}/Thermal"] = refused
    if basic:
        original = bmc.handle

        async def handle(request: web.Request) -> web.StreamResponse:
            if request.method == "POST":
                return web.Response(status=503)
            return await original(request)

        bmc.handle = handle  # type: ignore[method-assign]
    async with reading(bmc, credentials=Credentials("fleet", "right")) as source:
        report = await source.read()
        assert report.total_power_w == 614
        assert (await source.poll()).total_power_w == 614
    assert bmc.logins == (0 if basic else 1), "a refused resource is no reason to log in again"
    assert sum("TelemetryService" in a for a in bmc.asked) == 1, "and it is not asked again"


async def test_a_bmc_without_free_sessions_is_read_with_basic() -> None:
    bmc = Bmc()

    async def full(_: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    seen: list[str] = []

    async def power(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization", ""))
        return web.json_response(TREE[f"{CH}/Power"])

    bmc.odd[f"{CH}/Power"] = power
    original = bmc.handle

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/Sessions"):
            return await full(request)
        return await original(request)

    bmc.handle = handle  # type: ignore[method-assign]
    async with reading(bmc, credentials=Credentials("fleet", "right")) as source:
        assert (await source.read()).total_power_w == 614
    assert seen[0].startswith("Basic ")


async def test_nobody_there() -> None:
    source = RedfishSource(parse_url("http://127.0.0.1:9", timeout_s=1.0))
    with pytest.raises(UnreachableError):
        await source.read()
    await source.close()


async def test_it_answers_something_else() -> None:
    bmc = Bmc()
    bmc.tree = {"/redfish/v1": ["not", "an", "object"]}
    async with reading(bmc) as source:
        with pytest.raises(ParseError):
            await source.read()


async def test_limits_hold_for_a_single_question() -> None:
    bmc = Bmc()
    bmc.odd["/redfish/v1/big"] = huge
    async with serving(bmc) as url:
        session = RedfishSession(parse_url(url))
        with pytest.raises(ParseError, match=str(MAX_BODY_BYTES)):
            await session.get("/redfish/v1/big")
        await session.close()


async def test_a_redirect_is_followed_once() -> None:
    bmc = Bmc()

    async def round_and_round(request: web.Request) -> web.StreamResponse:
        return web.Response(
            status=302, headers={"Location": "/redfish/v1/b" if request.path.endswith("a") else "/redfish/v1/a"}
        )

    bmc.odd["/redfish/v1/a"] = bmc.odd["/redfish/v1/b"] = round_and_round
    async with serving(bmc) as url:
        session = RedfishSession(parse_url(url))
        with pytest.raises(ParseError, match="302"):
            await session.get("/redfish/v1/a")
        await session.close()
    assert len(bmc.asked) == 2


async def test_slow_beyond_the_limit() -> None:
    bmc = Bmc()
    release = asyncio.Event()

    async def never(_: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    bmc.odd["/redfish/v1"] = never
    async with serving(bmc) as url:
        source = RedfishSource(parse_url(url, timeout_s=0.3))
        with pytest.raises(TimedOutError):
            await source.read()
        await source.close()
        release.set()


def test_the_tree_of_this_file_is_json() -> None:
    assert json.loads(json.dumps(TREE)) == TREE


@pytest.mark.parametrize("elsewhere", ["@{there}/redfish/v1", ".{there}/redfish/v1", "http://{there}/redfish/v1", ""])
async def test_a_link_never_takes_the_password_elsewhere(elsewhere: str) -> None:
    other = Bmc()
    async with serving(other) as there:
        session = RedfishSession(
            parse_url("http://127.0.0.1:9", credentials=Credentials(user="ops", password="right"), insecure=True)
        )
        session._session_path = "basic"
        try:
            with pytest.raises(MissingError, match="is no path of"):
                await session.request("GET", elsewhere.format(there=there.removeprefix("http://")))
        finally:
            await session.close()
    assert other.asked == []


async def test_a_walk_uses_two_sockets_and_a_poll_keeps_one() -> None:
    """Thermal is held back until Power is asked, too: one socket would wait for ever."""
    bmc, both = Bmc(), asyncio.Barrier(2)

    async def together(request: web.Request) -> web.StreamResponse:
        if both.n_waiting or not most:  # the first time only
            most.append(bmc.sockets)
            await both.wait()
        return web.json_response(bmc.tree[request.path])

    most: list[int] = []
    bmc.odd[f"{CH}/Power"] = bmc.odd[f"{CH}/Thermal"] = together
    async with serving(bmc) as url, asyncio.timeout(120):
        source = RedfishSource(parse_url(url))
        report = await source.read()
        assert (report.total_power_w, most[-1]) == (614, 2)
        for _ in range(3):
            assert (await source.poll()).total_power_w == 614
        assert bmc.sockets == 1
        await source.close()


async def test_a_redirect_with_a_long_body_does_not_hold_the_one_socket() -> None:
    bmc = Bmc()

    async def moved(request: web.Request) -> web.StreamResponse:
        return web.Response(status=308, headers={"Location": CH}, body=b" " * 1_000_000)

    bmc.odd["/redfish/v1/old"] = moved
    async with serving(bmc) as url:
        session = RedfishSession(parse_url(url, timeout_s=120))
        assert (await session.get("/redfish/v1/old"))["ChassisType"] == "RackMount"
        await session.close()


async def test_asyncio_sets_little_aside_for_each_tls_connection() -> None:
    """Its own 256 KiB would be half a gigabyte at 2,000 BMCs."""
    loop = asyncio.get_running_loop()
    protocol = SSLProtocol(loop, asyncio.Protocol(), ssl.create_default_context(), loop.create_future())
    protocol._get_app_transport()._closed = True
    assert len(protocol._ssl_buffer) == 16 * 1024


async def test_few_large_answers_are_held_at_once_whoever_sends_them() -> None:
    """Forty services that send without end: all are cut off, and together they hold little of our memory."""
    bmc = Bmc()

    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(1_600):
                await answer.write(_SPACES)
        return answer

    bmc.odd["/redfish/v1"] = endless
    async with serving(bmc) as url:
        sessions = [RedfishSession(parse_url(url)) for _ in range(40)]
        tracemalloc.start()
        try:
            told = await asyncio.gather(*(s.get("/redfish/v1") for s in sessions), return_exceptions=True)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        for session in sessions:
            await session.close()
    assert all(isinstance(error, ParseError) and "too many" in str(error) for error in told)
    assert peak < 0.75 * 40 * MAX_BODY_BYTES, "most of them wait with a small part of it"


_SPACES = b" " * 65_536
