"""One table in every format; nothing a host says reaches the terminal as a command."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.cli import output
from fleetctl.cli.output import Format, cells, clean, cut, pad, print_table, table_lines
from fleetctl.i18n import set_language
from fleetctl.model.states import Admin, Health, Load, Reach
from fleetctl.views.column import Column, Table
from fleetctl.views.nodes import NodeRow, table

NOW = 1_000_000.0
ROWS = [
    NodeRow("gpu001", "lingang", cards_found=8, reach=Reach.FRESH, health=Health.OK, load=Load.IDLE, age_at=NOW - 5),
    NodeRow(
        "gpu002",
        "临港智算中心",
        cards_found=7,
        reach=Reach.UNREACHABLE,
        health=Health.CRIT,
        admin=Admin.DRAINING,
        load=Load.ALLOCATED,
        temp_c=91.0,
        power_w=5600.0,
        age_at=NOW - 900,
    ),
    NodeRow("gpu003", "lingang"),
]


@pytest.fixture(autouse=True)
def _english() -> Any:
    set_language("en")
    yield
    set_language(None)


def printed(fmt: str, rows: list[NodeRow] = ROWS) -> str:
    out = io.StringIO()
    print_table(table(rows), fmt, stream=out, now=NOW)
    return out.getvalue()


def test_table() -> None:
    assert printed("table").splitlines() == [
        "NODE    SITE          CARDS  REACH        HEALTH   ADMIN       LOAD       UTIL  TEMP  POWER  AGE",
        "gpu001  lingang           8  fresh        ok       in service  idle          -     -      -   5s",
        "gpu002  临港智算中心      7  unreachable  crit     draining    allocated     -   91C  5600W  15m",
        "gpu003  lingang           -  unknown      unknown  in service  unknown       -     -      -    -",
    ]


def test_the_table_fits_into_80_columns_and_cuts_text_not_numbers() -> None:
    lines = table_lines(table(ROWS), width=80, now=NOW)
    assert max(map(cells, lines)) <= 80
    assert "gpu002" in lines[2]
    assert "5600W" in lines[2]
    assert "~" in lines[2]


def test_the_same_columns_in_json_yaml_and_csv() -> None:
    as_json = json.loads(printed("json"))
    as_yaml = yaml.safe_load(printed("yaml"))
    as_csv = list(csv.DictReader(io.StringIO(printed("csv"))))
    assert as_json == as_yaml
    assert [*as_json[0]] == [*as_csv[0]] == [c.name for c in table([]).columns]
    assert as_json[0]["age_at"] == "1970-01-12T13:46:35Z"
    assert as_json[2]["temp_c"] is None
    assert as_csv[2]["temp_c"] == ""
    assert as_json[1]["admin"] == "draining"


def test_name_folds_nodes() -> None:
    assert printed("name") == "gpu[001-003]\n"


def test_no_rows() -> None:
    assert printed("json", []) == "[]\n"
    assert printed("yaml", []) == "[]\n"
    assert printed("name", []) == ""
    assert printed("table", []) == ""
    assert printed("csv", []).count("\n") == 1


@pytest.mark.parametrize("fmt", [f.value for f in Format])
def test_what_a_host_says_is_not_obeyed(fmt: str) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egpj.exe\u2066\x00\r\n\u2028end\udc80"
    rows = [NodeRow("gpu001", evil, findings=evil, reason=evil), NodeRow(evil, "x")]
    text = printed(fmt, rows)
    assert not any(c in text for c in "\x1b\x07\x9b\u202e\u2066\x00\r\u2028\udc80\x7f")
    text.encode()
    if fmt == "json":
        back = json.loads(text)[0]["site"]
        assert back == evil
    if fmt == "yaml":
        assert len(yaml.safe_load(text)) == 2
    if fmt == "csv":
        assert len(list(csv.reader(io.StringIO(text)))) == 3


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
        ("-5 C", "-5 C"),
        ("-", "-"),
        ("ecc on gpu 5", "ecc on gpu 5"),
    ],
)
def test_no_cell_of_a_csv_is_a_formula(told: str, kept: str) -> None:
    (row,) = csv.DictReader(io.StringIO(printed("csv", [NodeRow("gpu001", "x", reason=told)])))
    assert row["reason"] == kept


@given(st.text())
def test_clean_is_printable_and_leaves_plain_text_alone(text: str) -> None:
    assert not output._UNSAFE.search(clean(text))
    clean(text).encode()
    if text.isascii() and text.isprintable():
        assert clean(text) == text


@given(st.text(alphabet="ab温度卡é ", max_size=20), st.integers(min_value=1, max_value=30))
def test_pad_is_exact_in_cells(text: str, width: int) -> None:
    assert cells(pad(text, width)) == width
    assert cells(cut(text, width)) <= width


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
        max_leaves=8,
    )
)
def test_yaml_reads_back(data: Any) -> None:
    back = yaml.safe_load(output.to_yaml(data))
    assert back == json.loads(output.to_json(data))


def test_colour_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert output.use_colour(Terminal())
    assert not output.use_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not output.use_colour(Terminal())
    monkeypatch.setenv("NO_COLOR", "")
    assert output.use_colour(Terminal())
    lines = table_lines(table(ROWS), colour=True, now=NOW)
    assert "\x1b[31mcrit   \x1b[0m" in lines[2]


def test_chinese_headings_keep_columns_aligned() -> None:
    columns: list[Column[tuple[str, int]]] = [
        Column("a", "site", lambda r: r[0]),
        Column("b", "cards", lambda r: r[1], right=True),
    ]
    set_language("zh")
    lines = table_lines(Table("site", columns, [("临港", 8), ("x", 16)], lambda r: r[0]))
    assert len({cells(line) for line in lines}) == 1
