"""Device maps and what their columns mean. Values in the shape of the MIBs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.errors import ConfigError
from fleetctl.facility.endpoint import parse_url
from fleetctl.model.facility import EndpointReport, SourceTrouble
from fleetctl_snmp.decode import Decoded, Spot, columns_of, decode, find_spots, total_power
from fleetctl_snmp.device_map import known_maps, load_map, parse_map, shipped_maps
from fleetctl_snmp.source import SnmpSource, column_full, tenths, told_apart

E = "1.3.6.1.4.1."
UPS = "1.3.6.1.2.1.33.1."


def read(name: str, columns: dict[str, dict[str, object]] | None = None, **scalars: object) -> Decoded:
    return decode(load_map(name), columns or {}, dict(scalars), 1000.0)  # type: ignore[arg-type]


def by_oid(decoded: Decoded) -> dict[str, tuple[str, float, str]]:
    return {r.source: (r.quantity, round(r.value, 6), r.unit) for r in decoded.readings}


def test_every_shipped_map_is_whole() -> None:
    maps = shipped_maps()
    assert len(maps) >= 100
    for one in maps:
        assert one.source, one.name
        assert one.present, one.name
        assert one.points, one.name
        for point in one.points:
            assert point.quantity or point.quantities or point.words, (one.name, point.oid)
            # columns are read, a vendor's whole tree never
            assert point.oid.count(".") >= 9, (one.name, point.oid)
    assert {r for m in maps for r in m.replaces} <= {m.name for m in maps}


def test_hundredths_of_a_kilowatt_and_minus_one() -> None:
    p = E + "318.1.1.26.4.3.1."
    got = by_oid(read("apc-rpdu2", {p + "5": {"1": 121}, p + "9": {"1": 19516}}))
    assert got[p + "5.1"] == ("power", 1210.0, "W")
    assert got[p + "9.1"] == ("energy", 1951.6, "kWh")
    absent = read("apc-rpdu2", {p + "5": {"1": -1}})
    assert not absent.readings
    assert total_power(absent) is None


def test_digits_stand_in_another_table() -> None:
    p = E + "13742.6."
    columns: dict[str, dict[str, object]] = {
        p + "5.2.3.1.4": {"1.1.1": 680, "1.1.5": 138, "1.1.23": 500, "1.1.4": 233},
        p + "3.3.4.1.7": {"1.1.1": 3, "1.1.5": 0, "1.1.23": 1},
    }
    decoded = read("raritan-pdu2", columns)
    got = by_oid(decoded)
    assert got[p + "5.2.3.1.4.1.1.1"] == ("current", 0.68, "A")
    assert got[p + "5.2.3.1.4.1.1.23"] == ("frequency", 50.0, "Hz")
    assert p + "5.2.3.1.4.1.1.4" not in got, "digits unknown: no value rather than a wrong one"
    assert total_power(decoded) == (138.0, p + "5.2.3.1.4.1.1.5")


def test_line_voltages_in_tenths_against_the_rfc() -> None:
    columns: dict[str, dict[str, object]] = {UPS + "3.3.1.3": {"1": 2363, "2": 230}, UPS + "3.3.1.2": {"1": 5000}}
    decoded = read("ups-mib", columns)
    got = by_oid(decoded)
    assert got[UPS + "3.3.1.3.1"][1] == 236.3
    assert got[UPS + "3.3.1.3.2"][1] == 230.0
    assert decoded.findings[0].kind is SourceTrouble.IMPLAUSIBLE


def test_fahrenheit_leaves_in_celsius() -> None:
    p = E + "318.1.1.10.3.13.1.1."
    columns: dict[str, dict[str, object]] = {
        p + "3": {"1": 81}, p + "2": {"1": b"Loc Env Probe 1"}, p + "10": {"1": 2}, p + "6": {"1": -1}
    }  # fmt: skip
    decoded = decode(load_map("apc-environment"), columns, {E + "318.1.1.10.3.12.11.0": 2}, 0.0)  # type: ignore[arg-type]
    assert [(r.where, round(r.value, 2), r.unit, r.raw) for r in decoded.readings] == [
        ("Loc Env Probe 1", 27.22, "C", "81")
    ]
    assert [u.quantity for u in decoded.unknown] == ["humidity"]


def test_the_unit_stands_as_text_beside_the_value() -> None:
    w = E + "21796.3.3.3.1."
    columns: dict[str, dict[str, object]] = {
        w + "6": {"1": 303, "5": 249, "9": 7},
        w + "2": {"1": b"H.Hall", "5": b"T.Hall"},
        w + "10": {"1": b"%RH", "5": b"C", "9": b"furlongs"},
    }
    got = [(r.quantity, r.where, round(r.value, 1)) for r in read("hwg-poseidon", columns).readings]
    assert got == [("humidity", "H.Hall", 30.3), ("temperature", "T.Hall", 24.9)]


def test_milli_and_codes_of_the_standard_sensor_table() -> None:
    n = "1.3.6.1.2.1.99.1.1.1."
    columns: dict[str, dict[str, object]] = {
        n + "4": {"1": 3300, "2": 415, "3": 12}, n + "1": {"1": 4, "2": 8, "3": 8}, n + "2": {"1": 8, "2": 9, "3": 9},
        n + "3": {"1": 0, "2": 1, "3": 0}, n + "5": {"1": 1, "2": 1, "3": 3},
        "1.3.6.1.2.1.47.1.1.1.1.7": {"1": b"3.3 V", "2": b"Inlet"},
    }  # fmt: skip
    got = [(r.quantity, r.where, round(r.value, 3)) for r in read("entity-sensor", columns).readings]
    assert got == [("voltage", "3.3 V", 3.3), ("temperature", "Inlet", 41.5)]


def test_a_single_phase_ups_that_repeats_itself_three_times() -> None:
    g = E + "705.1.7."
    decoded = decode(load_map("mge-ups"), {g + "2.1.2": {"1": 2310, "2": 2310, "3": 2310}}, {g + "1.0": 1}, 0.0)
    assert [round(r.value, 1) for r in decoded.readings] == [231.0]


def test_a_map_continues_its_base_and_shares_its_codes_for_nothing() -> None:
    one = parse_map(
        'base = "1.3.6.1.4.1.99"\nabsent = [9999]\nobject_ids = [".7"]\npresent = [".1"]\n'
        'point = [ { column = ".1.1.2", quantity = "voltage", unit = "V", where = "{name}", name = ".1.1.1" } ]',
        "x",
    )
    decoded = decode(one, {E + "99.1.1.2": {"1": 230, "2": 9999}, E + "99.1.1.1": {"1": b"L1", "2": b"L2"}}, {}, 0.0)
    assert (one.object_ids, one.present) == ((E + "99.7",), (E + "99.1",))
    assert [(r.where, r.value) for r in decoded.readings] == [("L1", 230)]
    assert [u.where for u in decoded.unknown] == ["L2"]


def test_no_two_values_share_a_name_and_none_is_taken_twice() -> None:
    def spots(name: str, columns: dict[str, dict[str, object]]) -> list[tuple[Spot, str]]:
        return [(s, name) for s in find_spots(load_map(name), columns, {E + "318.1.1.12.1.16.0": 300})]  # type: ignore[arg-type]

    once = spots("apc-rpdu", {E + "318.1.1.12.3.5.1.1.7": {"1": 10}})
    assert told_apart(once + once) == [s for s, _ in once]
    twins = find_spots(load_map("hwg-poseidon"), {
        E + "21796.3.3.3.1.6": {"1": 240, "2": 250},
        E + "21796.3.3.3.1.2": {"1": b"Rack", "2": b"Rack"},
        E + "21796.3.3.3.1.10": {"1": b"C", "2": b"C"},
    }, {})  # fmt: skip
    assert [s.where for s in told_apart([(s, "x") for s in twins])] == ["Rack", "Rack (2)"]


def test_air_of_no_humidity_is_a_probe_that_measures_none() -> None:
    got = read("hwg-poseidon", {
        E + "21796.3.3.3.1.6": {"1": 0}, E + "21796.3.3.3.1.2": {"1": b"T"}, E + "21796.3.3.3.1.10": {"1": b"%RH"}
    })  # fmt: skip
    assert (got.readings, [u.quantity for u in got.unknown]) == ([], ["humidity"])


class Agent:
    """An agent of these values; counts what it was asked."""

    def __init__(self, values: dict[str, object]) -> None:
        self.values, self.asked = values, 0

    async def get(self, oids: list[str]) -> dict[str, object]:
        return {o: self.values[o] for o in oids if o in self.values}

    async def column(self, oid: str) -> dict[str, object]:
        return {o[len(oid) + 1 :]: v for o, v in self.values.items() if o.startswith(oid + ".")}

    async def first_below(self, oid: str) -> tuple[str, object] | None:
        self.asked += 1
        return next(((o, v) for o, v in self.values.items() if o.startswith(oid + ".")), None)

    async def close(self) -> None: ...


async def ask(values: dict[str, object]) -> tuple[EndpointReport, int]:
    source = SnmpSource(parse_url("snmp://x"))
    source._client = Agent(values)  # type: ignore[assignment]
    return await source.read(), source._client.asked  # type: ignore[union-attr]


async def test_a_product_takes_the_map_of_its_own_and_not_its_sisters() -> None:
    values: dict[str, object] = {
        "1.3.6.1.2.1.1.2.0": E + "34278.8.6",
        E + "34278.1.7.0": 16295,
        E + "34278.2.1.0": 10041,
    }
    report, _ = await ask(values)
    assert report.device["map"] == "janitza-umg96"
    assert [(r.quantity, round(r.value, 3)) for r in report.readings] == [("current", 16.295), ("power", 10041)]
    assert report.total_power_w == 10041


async def test_a_map_that_is_both_its_makers_and_a_standard_is_used_once() -> None:
    values: dict[str, object] = {"1.3.6.1.2.1.1.2.0": E + "534.1", E + "534.1.4.4.1.4.1": 2057, E + "534.1.2.4.0": 100}
    report, _ = await ask(values)
    assert (report.device["map"], report.total_power_w) == ("eaton-xups", 2057)


async def test_an_agent_that_says_nothing_of_itself_is_not_asked_for_every_map() -> None:
    _, asked = await ask({"1.3.6.1.4.1.99999.1.0": 1})
    makers = {p.split(".")[6] for m in shipped_maps() for p in m.present if p.startswith(E)}
    assert asked < len(makers) + 12


def test_a_zero_beside_a_load_is_no_measurement() -> None:
    loaded = read("ups-mib", {UPS + "4.4.1.4": {"1": 0}, UPS + "4.4.1.5": {"1": 26}})
    assert total_power(loaded) is None
    idle = read("ups-mib", {UPS + "4.4.1.4": {"1": 0}, UPS + "4.4.1.5": {"1": 0}})
    assert total_power(idle) == (0.0, UPS + "4.4.1.4.1")


def test_a_state_is_a_word_and_says_whether_it_is_bad() -> None:
    decoded = decode(load_map("apc-ats"), {}, {E + "318.1.1.8.5.1.3.0": 1, E + "318.1.1.8.5.1.2.0": 1}, 0.0)
    assert [(s.what, s.word, s.bad) for s in decoded.states] == [
        ("selected source", "A", None),
        ("redundancy", "lost", True),
    ]


def test_columns_of_a_map_hold_all_it_needs() -> None:
    assert E + "13742.6.3.3.4.1.7" in columns_of(load_map("raritan-pdu2"))


@pytest.mark.parametrize(
    "text",
    [
        "not toml [",
        '[[point]]\nquantity = "power"\n',
        '[[point]]\noid = "1.3.x"\nquantity = "power"\n',
        '[[point]]\noid = "1.3.6.1.4.1.1"\ncolour = "red"\n',
        '[[point]]\noid = "1.3.6.1.4.1.1"\nscale = "tenth"\n',
        '[[point]]\noid = "1.3.6.1.4.1.1"\ntotal = inf\n',
        '[[point]]\noid = "1.3.6.1.4.1.1"\nwords = 3\n',
        "point = 3",
    ],
)
def test_a_wrong_map_is_told_by_its_point(text: str) -> None:
    with pytest.raises(ConfigError, match="device map x"):
        parse_map(text, "x")


@given(
    st.sampled_from([m.name for m in shipped_maps()]),
    st.one_of(st.none(), st.integers(), st.binary(max_size=60), st.text(max_size=60), st.floats()),
)
def test_any_value_in_any_column_is_read_without_a_crash(name: str, value: object) -> None:
    one = load_map(name)
    columns = {oid: {"1": value, "1.1.5": value, "": value} for oid in columns_of(one)}
    scalars = {p.oid: value for p in one.points}
    decoded = decode(one, columns, scalars, 0.0)  # type: ignore[arg-type]
    assert all(r.value == r.value for r in decoded.readings)
    total_power(decoded)


@pytest.mark.parametrize(
    ("name", "columns", "scalars", "want"),
    [
        ("phoenixtec-ups", {}, {E + "935.1.1.1.8.3.5.0": 235}, {E + "935.1.1.1.8.3.5.0": ("load", 23.5, "%")}),
        (
            "eaton-matrix",
            {E + "935.10.2.1.2.2.1.7": {"1": 1}, E + "935.10.2.1.2.2.1.10": {"1": 10}},
            {},
            {
                E + "935.10.2.1.2.2.1.7.1": ("current", 0.1, "A"),
                E + "935.10.2.1.2.2.1.10.1": ("apparent_power", 10.0, "VA"),
            },
        ),
        ("eltek-smartpack", {}, {E + "12148.10.10.5.5.0": 5439}, {E + "12148.10.10.5.5.0": ("voltage", 54.39, "V")}),
        (
            "ict-distribution-panel",
            {E + "39145.10.8.1.3": {"8": b"0.2"}},
            {},
            {E + "39145.10.8.1.3.8": ("current", 0.2, "A")},
        ),
        ("cisco-cimc", {E + "9.9.719.1.9.44.1.17": {"1": 0}}, {}, {}),
        (
            "apc-inrow",
            {},
            {E + "318.1.1.13.3.2.2.2.2.0": 93, E + "318.1.1.13.3.2.2.2.22.0": 71, E + "318.1.1.13.3.2.2.2.9.0": -1},
            {
                E + "318.1.1.13.3.2.2.2.2.0": ("cooling_power", 9.3, "kW"),
                E + "318.1.1.13.3.2.2.2.22.0": ("flow", 0.71, "L/s"),
            },
        ),
        (
            "enlogic-pdu",
            {E + "38446.1.2.4.1.4": {"1": 4210}, E + "38446.1.3.4.1.5": {"1.1": 1803}},
            {},
            {
                E + "38446.1.2.4.1.4.1": ("power", 4210.0, "W"),
                E + "38446.1.3.4.1.5.1.1": ("current", 18.03, "A"),
            },
        ),
        (
            "socomec-netvision",
            {},
            {E + "4555.1.1.1.1.2.5.0": 3391},
            {E + "4555.1.1.1.1.2.5.0": ("voltage", 339.1, "V")},
        ),
    ],
)
def test_scales_of_the_makers_own(name: str, columns: object, scalars: object, want: object) -> None:
    assert by_oid(read(name, columns, **scalars)) == want  # type: ignore[arg-type]


def test_banks_are_not_added_to_the_phases_they_hang_on() -> None:
    p = E + "3808.1.1.3.2.3.1.1."
    decoded = read("cyberpower-pdu", {p + "7": {"1": 219, "2": 100, "3": 119}, p + "5": {"1": 0, "2": 1, "3": 2}})
    assert total_power(decoded) == (219.0, p + "7.1")
    assert [r.where for r in decoded.readings] == ["phase 1", "bank 2", "bank 3"]


def test_a_log_of_thousands_of_rows_does_not_hide_what_stands_behind_it() -> None:
    seen: dict[str, int] = {}
    log = [f"{E}13742.6.7.1.2.{n}" for n in range(1, 40)]
    assert [i for i, oid in enumerate(log) if column_full(oid, seen)] == [3], "four rows of a column are enough"
    assert not any(column_full(f"{E}99.1.2.{n}.0", seen) for n in range(500)), "single values all stay"
    wide = [column_full(f"{E}99.3.1.{c}.{i}", seen) for c in range(1, 20) for i in (1, 2)]
    assert not any(wide), "a table of many columns stays"


def test_whole_numbers_with_decimals_to_choose_from() -> None:
    assert tenths(2301) == "/10: 230.1, /100: 23.01"
    assert [tenths(v) for v in (2, True, b"230", "x", None, 10**9)] == [""] * 6


def test_ones_own_maps_come_before_the_shipped_ones(tmp_path: Path) -> None:
    point = '[[point]]\noid = "1.3.6.1.4.1.99.1.2.3.0"\nquantity = "power"\nunit = "W"\nwhere = "device"\n'
    head = 'title = "mine"\nsource = "the label"\npresent = ["1.3.6.1.4.1.99"]\n'
    (tmp_path / "apc-rpdu.toml").write_text(head + point)
    (tmp_path / "new.toml").write_text(head + point)
    known = {m.name: m for m in known_maps(tmp_path)}
    assert (known["apc-rpdu"].title, known["new"].title) == ("mine", "mine")
    assert len(known) == len(shipped_maps()) + 1
    assert load_map("new", tmp_path).points[0].quantity == "power"
    with pytest.raises(ConfigError, match="no folder"):
        known_maps(tmp_path / "nowhere")
    (tmp_path / "broken.toml").write_text("title = ")
    known_maps.cache_clear()
    with pytest.raises(ConfigError, match="broken"):
        known_maps(tmp_path)
