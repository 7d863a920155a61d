"""The filter language: what it keeps, and how it says no."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.errors import UsageError
from fleetctl.model.states import Admin, Health, Load, Reach
from fleetctl.views.filter import compile_filter, is_filter, sort_rows
from fleetctl.views.nodes import COLUMNS, NodeRow

NOW = 1_000_000.0
ROWS = [
    NodeRow(
        "gpu001",
        "lingang",
        rack="r1",
        pools=("train", "big"),
        chip="Ascend 910B",
        temp_c=85.0,
        power_w=5600.0,
        reach=Reach.FRESH,
        health=Health.OK,
        load=Load.IDLE,
        age_at=NOW - 5,
    ),
    NodeRow(
        "gpu002",
        "lingang",
        rack="r1",
        chip="H100",
        temp_c=60.0,
        reach=Reach.FRESH,
        health=Health.CRIT,
        admin=Admin.DRAINING,
        load=Load.ALLOCATED,
        reason="hw: Xid 79",
        findings="fell off the bus",
        age_at=NOW - 5,
    ),
    NodeRow("gpu010", "pudong", rack="r2", reach=Reach.UNREACHABLE, admin=Admin.DRAINED, age_at=NOW - 900),
    NodeRow("cpu001", "pudong", load=Load.MIXED),
]


def kept(text: str) -> list[str]:
    test = compile_filter(text, COLUMNS, now=lambda: NOW)
    return [r.name for r in ROWS if test(r)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["gpu001", "gpu002", "gpu010", "cpu001"]),
        ("site=lingang", ["gpu001", "gpu002"]),
        ("site=LINGANG chip~910", ["gpu001"]),
        ("temp>80", ["gpu001"]),
        ("temp>80C", ["gpu001"]),
        ("temp>=60 temp<85", ["gpu002"]),
        ("temp=-", ["gpu010", "cpu001"]),
        ("temp!=-", ["gpu001", "gpu002"]),
        ("state=drain*", ["gpu002", "gpu010"]),
        ("state!=drain*", ["gpu001", "cpu001"]),
        ("admin=in_service", ["gpu001", "cpu001"]),
        ('admin="in service"', ["gpu001", "cpu001"]),
        ("health=crit or reach=unreachable", ["gpu002", "gpu010"]),
        ("site=lingang and not health=crit", ["gpu001"]),
        ("not (site=lingang or reach=unreachable)", ["cpu001"]),
        ("!site=lingang", ["gpu010", "cpu001"]),
        ("site!=lingang", ["gpu010", "cpu001"]),
        ("site=lingang,pudong load=idle,mixed", ["gpu001", "cpu001"]),
        ("pools=train", ["gpu001"]),
        ("name=gpu[001-002]", ["gpu001", "gpu002"]),
        ("name=gpu[001,010],cpu*", ["gpu001", "gpu010", "cpu001"]),
        ("age>5m", ["gpu010"]),
        ("age<1m", ["gpu001", "gpu002"]),
        ("power>5kW", ["gpu001"]),
        ("910b", ["gpu001"]),
        ('"xid 79"', ["gpu002"]),
        ("site!~^ling", ["gpu010", "cpu001"]),
        ("cards_leased=0 name=gpu001", ["gpu001"]),
    ],
)
def test_keeps(text: str, names: list[str]) -> None:
    assert kept(text) == names


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("sit=x tmp>3", 7, "no column named 'tmp'"),
        ("temp>hot", 6, "not a number"),
        ("(site=a", 1, "not closed"),
        ("site=a)", 7, "unexpected"),
        ("site=", 6, "missing"),
        ('site="a', 6, "quotation"),
        ("chip~[", 6, "regular expression"),
        ("or", 1, "unexpected"),
        ("site=a and", 11, "too early"),
        ("name=gpu[5-1]", 6, "not a node set"),
        ("l=x", 1, "ambiguous"),
        ("(" * 200, 51, "nested"),
    ],
)
def test_says_where_it_is_wrong(text: str, position: int, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        compile_filter(text, COLUMNS)
    assert f"position {position}:" in str(caught.value)
    assert words in str(caught.value)


def test_names_the_nearest_column() -> None:
    with pytest.raises(UsageError) as caught:
        compile_filter("helth=crit", COLUMNS)
    assert "did you mean health?" in caught.value.hint


def test_refuses_a_node_set_of_millions() -> None:
    with pytest.raises(UsageError):
        compile_filter("name=gpu[1-9999999999]", COLUMNS)


@given(st.text(max_size=60))
def test_any_text_compiles_or_is_a_usage_error(text: str) -> None:
    try:
        test = compile_filter(text, COLUMNS)
    except UsageError as error:
        assert "position" in str(error)  # noqa: PT017 - either outcome is right
        return
    for row in ROWS:
        assert test(row) in (True, False)


TERMS = st.sampled_from(["site=lingang", "temp>80", "state=drain*", "chip~910", "reach=fresh", "age<1m", "gpu"])


@given(TERMS, TERMS)
def test_boolean_algebra_holds(a: str, b: str) -> None:
    both, either = set(kept(f"{a} {b}")), set(kept(f"{a} or {b}"))
    everything = {r.name for r in ROWS}
    assert both == set(kept(a)) & set(kept(b))
    assert either == set(kept(a)) | set(kept(b))
    assert set(kept(f"not ({a} or {b})")) == everything - either
    assert set(kept(f"not {a} not {b}")) == everything - either


def test_sorts_by_columns_with_unknown_last() -> None:
    def names(spec: str) -> list[str]:
        return [r.name for r in sort_rows(ROWS, spec, COLUMNS)]

    assert names("temp") == ["gpu002", "gpu001", "gpu010", "cpu001"]
    assert names("-temp,name") == ["gpu001", "gpu002", "cpu001", "gpu010"]
    assert names("site,-name") == ["gpu002", "gpu001", "gpu010", "cpu001"]
    with pytest.raises(UsageError, match="position 6"):
        sort_rows(ROWS, "name,nonsense", COLUMNS)


@pytest.mark.parametrize(
    ("word", "yes"),
    [("site=a", True), ("temp>80", True), ("not", True), ("gpu[1-3]", False), ("@rack1", False), ("gpu1!gpu2", False)],
)
def test_tells_filters_from_node_sets(word: str, yes: bool) -> None:
    assert is_filter(word) is yes
