"""Register maps: types, word order, codes for nothing, blocks, and what must never be guessed."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.errors import ConfigError, ParseError
from fleetctl.facility.endpoint import parse_url
from fleetctl.model.facility import EndpointReport
from fleetctl_modbus.decode import blocks, decode, guesses, power_of_ten, score
from fleetctl_modbus.register_map import load_map, parse_map, quantity_of, shipped_maps
from fleetctl_modbus.scan import MAX_ROWS, scan
from fleetctl_modbus.source import ModbusSource, RefusedError
from fleetctl_modbus.sunspec import END, MARK, MAX_MODELS, Model, find_chain, find_map


def point(kind: str, **more: object) -> object:
    import json

    data = {"points": [{"name": "p", "addr": 0, "type": kind, "unit": "W", **more}]}
    return parse_map(json.dumps(data), "t").points[0]


def regs(form: str, value: float) -> list[int]:
    raw = struct.pack(">" + form, value)
    return list(struct.unpack(f">{len(raw) // 2}H", raw))


@pytest.mark.parametrize(
    ("kind", "form", "value"),
    [
        ("uint16", "H", 614), ("int16", "h", -41), ("uint32", "I", 812500), ("int32", "i", -5), ("uint64", "Q", 2**40),
        ("int64", "q", -(2**40)), ("float32", "f", 812.5), ("float64", "d", 2084190120.0),
    ],
)  # fmt: skip
def test_types_in_both_word_orders(kind: str, form: str, value: float) -> None:
    assert decode(point(kind), regs(form, value)) == value  # type: ignore[arg-type]
    assert decode(point(kind + "_sw"), regs(form, value)[::-1]) == value  # type: ignore[arg-type]


def test_codes_for_nothing() -> None:
    assert decode(point("uint16"), [0xFFFF]) is None  # type: ignore[arg-type]
    assert decode(point("int16"), [0x8000]) is None  # type: ignore[arg-type]
    assert decode(point("int16", scale=0.1), [0xFFFF]) == pytest.approx(-0.1)  # type: ignore[arg-type]
    assert decode(point("float32"), [0xFFFF, 0xFFFF]) is None  # type: ignore[arg-type]
    assert decode(point("float32"), [0x7F80, 0]) is None  # type: ignore[arg-type]
    assert decode(point("int32", absent="7fffffff"), [0x7FFF, 0xFFFF]) is None  # type: ignore[arg-type]


def test_four_quadrant_power_factor() -> None:
    one = parse_map('{"points": [{"name": "power_factor_4q", "addr": 0, "type": "float32"}]}', "t").points[0]
    assert decode(one, regs("f", 1.25)) == pytest.approx(0.75)


def test_text_without_what_a_terminal_must_not_see() -> None:
    one = parse_map('{"points": [{"name": "s", "addr": 0, "type": "string:4"}]}', "t").points[0]
    assert decode(one, [0x411B, 0x5B33, 0x316D, 0x4200]) == "A[31mB"


def test_blocks_never_cross_a_gap_that_refuses() -> None:
    text = '{"gaps": "%s", "points": [{"name": "a", "addr": 0, "type": "uint16"}, {"name": "b", "addr": 5, "type": "uint32"}]}'
    assert blocks(parse_map(text % "error", "t").points, "error") == [("holding", 0, 1), ("holding", 5, 2)]
    assert blocks(parse_map(text % "zero", "t").points, "zero") == [("holding", 0, 7)]


def test_every_shipped_map_is_whole() -> None:
    maps = shipped_maps()
    assert len(maps) >= 9
    for one in maps:
        assert one.source, one.name
        assert all(count <= 100 for _, _, count in blocks(one.points, one.gaps))


def test_cooling_is_no_electric_power() -> None:
    assert quantity_of("group_cool_output", "kW", "int32") == "cooling_power"
    assert quantity_of("active_power_total", "kW", "float32") == "power"
    assert quantity_of("RPU_Pump1_TACH_RPM", "rpm", "uint16") == "pump_speed"


def test_a_map_that_does_not_explain_what_it_reads_is_not_taken() -> None:
    one = load_map("siemens-pac2200")
    memory = {("input", a): 0x4000 for a in range(900)}
    assert score(one, memory) < 0.9
    assert score(one, {}) == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", '{"points": 3}', '{"points": [3]}', '{"points": [{"name": "a", "addr": -1, "type": "uint16"}]}',
        '{"points": [{"name": "a", "addr": 65536, "type": "uint16"}]}',
        '{"points": [{"name": "a", "addr": 1, "type": "uint128"}]}',
        '{"points": [{"name": "a", "addr": 1, "type": "string:0"}]}',
        '{"points": [{"name": "a", "addr": 1, "type": "uint16", "absent": "xy"}]}',
    ],
)  # fmt: skip
def test_wrong_maps_are_told(text: str) -> None:
    with pytest.raises(ConfigError, match="register map t"):
        parse_map(text, "t")


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=4))
def test_guesses_never_fail(registers: list[int]) -> None:
    assert "uint16" in guesses(registers)


def test_a_scale_that_stands_in_a_register_and_an_offset() -> None:
    one = point("int16", scale_at=5)  # SunSpec: W and W_SF
    assert blocks([one], "error") == [("holding", 0, 1), ("holding", 5, 1)]  # type: ignore[list-item]
    for raw, want in ((0xFFFE, -2), (0, 0), (3, 3), (0x8000, None), (200, None)):
        assert power_of_ten(one, {("holding", 5): raw}) == want  # type: ignore[arg-type]
    assert power_of_ten(one, {}) is None  # type: ignore[arg-type]
    assert decode(one, [2301], -1) == pytest.approx(230.1)  # type: ignore[arg-type]
    assert decode(one, [2301], None) is None, "a value whose scale is unknown is unknown"  # type: ignore[arg-type]
    assert decode(point("uint16", scale=0.1, offset=-40), [650]) == pytest.approx(25)  # type: ignore[arg-type]


class Meter:
    """Answers registers 100 to 105 of the holding area one by one and in blocks inside them; counts questions."""

    def __init__(self, registers: dict[int, int]) -> None:
        self.registers, self.asked = registers, 0

    async def read(self, area: str, first: int, count: int) -> list[int]:
        self.asked += 1
        found = [self.registers.get(first + i) for i in range(count)]
        if area != "holding" or any(v is None for v in found):
            raise RefusedError(2, "no such register")
        return [v for v in found if v is not None]


async def test_an_unknown_meter_is_searched_for_what_answers() -> None:
    meter = Meter(dict(enumerate([0x4366, 0x8000, 0, 2301, 0, 0, 0, 0, 0, 0], 100)))
    rows = await scan(meter.read, shipped_maps(), RefusedError)
    assert [r.source.split()[1] for r in rows] == [str(n) for n in range(100, 107)], "zeros among zeros are left out"
    assert rows[0].decoded.startswith("float32 230.5")
    assert "uint16 2301" in rows[3].decoded
    assert meter.asked < 400
    sunspec = Meter(dict(enumerate([0x5375, 0x6E53, 1, 66], 40000)))
    assert "SunSpec" in (await scan(sunspec.read, (), RefusedError))[0].note


async def test_a_device_that_answers_everything_is_not_read_for_ever() -> None:
    meter = Meter({n: n % 7 + 1 for n in range(65_536)})
    rows = await scan(meter.read, shipped_maps(), RefusedError)
    assert len(rows) == MAX_ROWS + 1
    assert "start=ADDRESS" in rows[-1].note


# -- SunSpec -------------------------------------------------------------------------------------------------------------


def text_registers(text: str, count: int) -> list[int]:
    raw = text.encode().ljust(count * 2, b"\0")
    return list(struct.unpack(f">{count}H", raw))


def solar_inverter() -> dict[int, int]:
    """Common model, three-phase inverter 103 and a meter 203 at base 40000; what is not implemented as SunSpec codes it."""
    common = [
        1,
        65,
        *text_registers("Maker", 16),
        *text_registers("SE33K", 16),
        *[0] * 16,
        *text_registers("7E01", 16),
        1,
    ]
    inverter = [103, 50, *[0xFFFF] * 50]
    for offset, value in {
        2: 4810, 6: 0xFFFE, 8: 0xFFFF, 10: 2301, 13: 0xFFFF, 14: 3312, 15: 1, 16: 4998, 17: 0xFFFE, 22: 0xD8F2, 23: 0xFFFE,
        20: 0x8000, 21: 0, 24: 0x0012, 25: 0xD687, 26: 0, 33: 0x8000, 34: 521, 37: 0xFFFF, 18: 0x8000, 31: 0x8000,
    }.items():  # fmt: skip
        inverter[offset] = value
    meter = [203, 105, *[0x8000] * 105]
    for offset, value in {
        18: 0xF830,
        22: 1,
        16: 500,
        17: 0xFFFF,
        46: 0,
        47: 0,
        38: 0,
        39: 9,
        54: 3,
        33: 97,
        37: 0x8000,
    }.items():
        meter[offset] = value
    return dict(enumerate([*MARK, *common, *inverter, 64001, 3, 1, 2, 3, *meter, END, 0], 40_000))


async def read_registers(registers: dict[int, int], url: str = "modbus://x") -> EndpointReport:
    source = ModbusSource(parse_url(url))
    source._read = Meter(registers).read  # type: ignore[method-assign]
    return await source.read()


async def test_a_sunspec_device_is_read_by_what_it_lists() -> None:
    report = await read_registers(solar_inverter())
    got = {(r.quantity, r.where): (round(r.value, 4), r.unit) for r in report.readings}
    assert got["power", "inverter"] == (33120, "W")
    assert got["current", "inverter"] == (48.1, "A")
    assert got["voltage", "inverter A"] == (230.1, "V")
    assert got["frequency", "inverter"] == (49.98, "Hz")
    assert got["energy", "inverter"] == (1234567, "Wh")
    assert got["power_factor", "inverter"] == (-0.9998, "")
    assert got["temperature", "inverter heat sink"] == (52.1, "C")
    assert got["power", "meter"] == (-20000, "W")
    assert got["energy", "meter exported"] == (9000, "Wh")
    assert not {("temperature", "inverter cabinet"), ("current", "inverter B"), ("power", "inverter DC")} & set(got)
    assert ("energy", "meter imported") not in got, "an accumulator of zero is one that is not kept"
    assert ("power_factor", "meter") not in got, "a value whose scale is not implemented is unknown"
    assert report.total_power_w == 33120, "a meter beside an inverter measures something else"
    assert (report.device["vendor"], report.device["product"], report.device["map"]) == (
        "Maker",
        "SE33K 7E01",
        "sunspec",
    )
    assert not report.findings


async def test_a_float_meter_at_the_second_base() -> None:
    meter = [213, 124, *[0x7FC0, 0] * 62]
    for offset, value in {2: 12.5, 26: 50.01, 28: 8625.0, 52: 0.97, 68: 1.5e6}.items():
        meter[offset : offset + 2] = regs("f", value)
    report = await read_registers(dict(enumerate([*MARK, *meter, END, 0], 50_000)))
    got = {(r.quantity, r.where): r.value for r in report.readings}
    assert got == {
        ("power", "meter"): 8625, ("current", "meter"): 12.5, ("frequency", "meter"): pytest.approx(50.01),
        ("power_factor", "meter"): pytest.approx(0.97), ("energy", "meter imported"): 1.5e6,
    }  # fmt: skip
    assert report.total_power_w == 8625


async def test_two_meters_are_no_total_and_a_chain_without_its_end_is_read_as_far_as_it_goes() -> None:
    meter = [201, 105, *[0x8000] * 105]
    meter[18], meter[22] = 500, 0
    report = await read_registers(dict(enumerate([*MARK, *meter, *meter], 0)))
    assert sorted(r.where for r in report.readings) == ["meter 1", "meter 2"]
    assert report.total_power_w is None


async def test_a_chain_that_leads_nowhere_is_no_sunspec_device() -> None:
    with pytest.raises(ParseError, match="lists no SunSpec model"):
        await read_registers(dict(enumerate([*MARK, 64001, 2, 0, 0, END, 0], 40_000)), "modbus://x?map=sunspec")
    assert await find_chain(Meter(dict.fromkeys(range(65536), 1) | dict(enumerate(MARK))).read, RefusedError) == [
        Model(1, 2 + 3 * i, 1) for i in range(MAX_MODELS)
    ]


@given(st.lists(st.integers(0, 65_535), max_size=300))
async def test_any_chain_ends(registers: list[int]) -> None:
    await find_map(Meter(dict(enumerate([*MARK, *registers]))).read, RefusedError)
