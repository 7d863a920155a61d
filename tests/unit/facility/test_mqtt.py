"""The building bus: topics and payloads as points, and what must never become a value."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.errors import NotFoundError, UsageError
from fleetctl.facility.cooling import read_loop
from fleetctl.facility.endpoint import parse_url
from fleetctl.facility.source import open_source
from fleetctl.model.facility import SourceTrouble
from fleetctl_mqtt.bus import MAX_FINDINGS, Bus, Heard, tell, total_power
from fleetctl_mqtt.source import BusSource

NOW = 1_790_000_000.0
ROOT = "BMS/v1"
RACK = "Rack/RackPower/site-a/row-1/rack-1/power"


def bus_of(*messages: tuple[str, object]) -> Bus:
    bus = Bus(ROOT)
    for topic, body in messages:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        bus.hear(f"{ROOT}/{topic}", payload, NOW)
    return bus


def heard(*messages: tuple[str, object]) -> Heard:
    return tell(bus_of(*messages).select())


def value(number: object, **more: Any) -> dict[str, Any]:
    return {"value": number, "timestamp": int(NOW * 1000) - 5_000, "quality": 1, **more}


def test_a_value_has_its_own_time_and_the_unit_of_its_metadata() -> None:
    told = heard(
        (f"PUB/Metadata/{RACK}", {"engUnit": "kW", "rackLocationName": "row-1 rack-1"}),
        (f"PUB/Value/{RACK}", value(42.5)),
        ("PUB/Metadata/CDU/LiquidFlow/a/flow", {"engUnit": "LPM", "objectName": "CDU-5", "processArea": ["Secondary"]}),
        ("PUB/Value/CDU/LiquidFlow/a/flow", value(980.0)),
        ("PUB/Metadata/CDU/PumpSpeed/a/pump", {"engUnit": "%", "objectName": "CDU-5"}),
        ("PUB/Value/CDU/PumpSpeed/a/pump", value(61)),
    )
    power, flow, pump = told.readings
    assert (power.quantity, power.where, power.value, power.unit) == ("power", "row-1 rack-1 RackPower", 42_500.0, "W")
    assert (power.source, power.as_of) == (RACK, NOW - 5)
    assert (flow.quantity, flow.where, flow.value, flow.unit) == ("flow", "CDU-5 Secondary LiquidFlow", 980, "L/min")
    assert (pump.quantity, pump.value, pump.unit) == ("pump_duty", 61, "%")
    assert total_power(told.readings) == (42_500.0, f"row-1 rack-1 RackPower ({RACK})")


@pytest.mark.parametrize("body", [value(None), value(42.5, quality=0), value("42.5"), value(True), {"value": 4.0}])
def test_null_a_bad_quality_and_words_are_unknown(body: dict[str, Any]) -> None:
    told = heard((f"PUB/Value/{RACK}", body))
    assert told.readings == []
    assert [u.quantity for u in told.unknown] == ["power"]


def test_a_value_without_a_unit_is_unknown_where_the_schema_fixes_none() -> None:
    topic = "Value/PowerMeter/ActivePower/a/b"
    told = heard((f"PUB/{topic}", value(3.0)))
    assert told.readings == []
    assert "no metadata" in told.unknown[0].raw
    assert heard((f"PUB/Value/{RACK}", value(3.0))).readings[0].value == 3_000  # racks: kW by the schema


def test_racks_are_not_added() -> None:
    told = heard((f"PUB/Value/{RACK}", value(3)), ("PUB/Value/Rack/RackPower/b", value(4)))
    assert len(told.readings) == 2
    assert total_power(told.readings) is None


@pytest.mark.parametrize(
    ("number", "texts", "word", "bad"),
    [
        (1, [{"value": 0, "text": "NoLeak"}, {"value": 1, "text": "Leak"}], "Leak", True),
        (0, [{"value": 0, "text": "NoLeak"}, {"value": 1, "text": "Leak"}], "NoLeak", False),
        (0, [{"value": 0, "text": "Leak"}, {"value": 1, "text": "Normal"}], "Leak", True),
        (1, [], "1", True),
        (None, [], "unknown", None),
    ],
)
def test_leaks(number: int | None, texts: list[object], word: str, bad: bool | None) -> None:
    told = heard(
        ("PUB/Metadata/Rack/RackLeakDetect/r1", {"stateText": texts, "rackLocationName": "r1"}),
        ("PUB/Value/Rack/RackLeakDetect/r1", value(number)),
    )
    (state,) = told.states
    assert (state.what, state.word, state.bad) == ("leak", word, bad)
    assert read_loop("cdu", [], told.states).is_leaking is bad  # a detector that cannot tell is not dry


def test_an_integration_speaks_only_for_its_own_points() -> None:
    topic = "CDU/LiquidTemperatureSpRequest/cdu5"
    meta = {"engUnit": "C", "objectName": "CDU5", "integration": "MEPAI"}
    told = heard((f"PUB/Metadata/{topic}", meta), (f"MEPAI/Value/{topic}", value(24)))
    assert [(r.quantity, r.value) for r in told.readings] == [("temperature_setpoint", 24)]
    bus = bus_of((f"PUB/Metadata/{topic}", meta), (f"EVIL/Value/{topic}", value(80)), (f"EVIL/Value/{RACK}", value(1)))
    assert tell(bus.select()).readings == []
    assert [f.kind for f in bus.findings()] == [SourceTrouble.REFUSED]
    assert RACK not in bus.points


def test_a_clock_that_runs_ahead_gives_no_value_of_tomorrow() -> None:
    bus = bus_of((f"PUB/Value/{RACK}", value(5, timestamp=int(NOW * 1000) + 86_400_000)))
    (reading,) = tell(bus.select()).readings
    assert reading.as_of == NOW
    assert "ahead of our clock" in bus.findings()[0].text


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"not json",
        b"[1]",
        b'"text"',
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"9" * 5_000,
        b"{" + b" " * 70_000,
    ],
)
def test_what_is_no_message_is_a_finding(payload: bytes) -> None:
    bus = bus_of((f"PUB/Value/{RACK}", value(5)), (f"PUB/Value/{RACK}", payload), (f"PUB/Metadata/{RACK}", payload))
    assert tell(bus.select()).readings[0].value == 5_000  # the last good value stays
    assert {f.kind for f in bus.findings()} <= {SourceTrouble.UNREADABLE, SourceTrouble.TOO_LARGE}
    assert bus.findings() == []


def test_a_flood_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetctl_mqtt.bus.MAX_POINTS", 20)
    bus = bus_of(*((f"PUB/Value/Rack/RackPower/{i}", value(1)) for i in range(40)))
    assert len(bus.points) == 20
    assert "more than 20 points" in bus.findings()[0].text
    bus = bus_of(*((f"PUB/Value/Rack/RackPower/{i}", b"x") for i in range(200)))
    found = bus.findings()
    assert len(found) == MAX_FINDINGS + 1
    assert "150 more" in found[-1].text


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_KEYS = st.sampled_from(
    ["value", "timestamp", "quality", "engUnit", "stateText", "processArea", "phase", "integration", "objectName"]
)


@given(
    st.lists(
        st.tuples(
            st.text(max_size=60)
            | st.sampled_from(
                [f"{ROOT}/PUB/Value/{RACK}", f"{ROOT}/PUB/Metadata/{RACK}", f"{ROOT}/PUB/Value/CDU/Status/a"]
            ),
            st.binary(max_size=80) | st.dictionaries(_KEYS, _JSON, max_size=6).map(lambda d: json.dumps(d).encode()),
        ),
        max_size=12,
    )
)
def test_no_message_breaks_the_bus(messages: list[tuple[str, bytes]]) -> None:
    bus = Bus(ROOT)
    for topic, payload in messages:
        bus.hear(topic, payload, NOW)
    told = tell(bus.select())
    for reading in told.readings:
        assert reading.value == reading.value
        assert reading.as_of <= NOW + 120
    assert len(told.readings) + len(told.states) + len(told.unknown) + len(told.findings) >= len(bus.points)
    bus.findings()


def test_addresses() -> None:
    source = BusSource(parse_url("mqtts://bus.example/BMS/v1?object=Rack&tag=site/row"))
    assert source.endpoint.port == 8883
    assert source._filters() == ["BMS/v1/PUB/Metadata/Rack/+/site/row/#", "BMS/v1/+/Value/Rack/+/site/row/#"]
    assert BusSource(parse_url("mqtt://b"))._filters() == ["BMS/v1/PUB/Metadata/#", "BMS/v1/+/Value/#"]
    for url in ("mqtt://b/BMS/+", "mqtt://b?object=a/b", "mqtt://b?listen=x", "mqtt://b?listen=-1"):
        with pytest.raises(UsageError):
            BusSource(parse_url(url))


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fleetctl_mqtt.source", "fleetctl_mqtt.session"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "aiomqtt", None)
    with pytest.raises(NotFoundError) as caught:
        open_source(parse_url("mqtt://b"))
    assert "pip install 'fleetctl[mqtt]'" in caught.value.hint
