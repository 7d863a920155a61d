"""Register maps: types, word order, codes for nothing, blocks, and what must never be guessed."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.errors import ConfigError
from fleetctl_modbus.decode import blocks, decode, guesses, power_of_ten, score
from fleetctl_modbus.register_map import load_map, parse_map, quantity_of, shipped_maps
from fleetctl_modbus.scan import MAX_ROWS, scan
from fleetctl_modbus.source import RefusedError


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
