"""The read-only commands on a store that was just written: what they print, and what they exit with."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., tuple[int, str, str]]


def test_nodes(call: Call) -> None:
    code, out, err = call("nodes")
    assert (code, err) == (0, "")
    lines = [re.split(r"  +", line) for line in out.splitlines()]
    assert [line[0] for line in lines] == ["NODE", "gpu001", "gpu002", "gpu003", "gpu004", "npu1", "npu2"]
    assert lines[1][1:7] == ["lingang", "2", "fresh", "ok", "in service", "mixed"]
    assert lines[2][4] == "crit"
    assert lines[3][5] == "drained"  # no lease and no process holds it: the drain is over
    assert lines[4][2:6] == ["-", "unreachable", "unknown", "in service"]
    assert lines[5][4] == "warn"


def test_node_sets_and_filters_in_names_out(call: Call) -> None:
    assert call("nodes", "-o", "name")[1] == "gpu[001-004],npu[1-2]\n"
    assert call("nodes", "@r1", "npu1", "-o", "name")[1] == "gpu[001-003],npu1\n"
    assert call("nodes", "health=crit", "-o", "name")[1] == "gpu002\n"
    assert call("nodes", "@train", "state=drain*", "-o", "name")[1] == "gpu003\n"
    assert call("nodes", "-f", "site=pudong or reach=unreachable", "-o", "name")[1] == "gpu004,npu[1-2]\n"
    code, out, err = call("nodes", "-s", "-temp", "-n", "1", "-o", "name")
    assert (code, out) == (0, "npu2\n")
    assert "5 more" in err


def test_a_wrong_filter_and_an_unknown_node(call: Call) -> None:
    code, out, err = call("nodes", "helth=crit")
    assert (code, out) == (2, "")
    assert "position 1" in err
    assert "did you mean health?" in err
    assert call("nodes", "gpu009")[0] == 3
    assert call("nodes", "@nowhere")[0] == 3
    assert call("nodes", "gpu[1-")[0] == 2


def test_status(call: Call) -> None:
    code, out, _err = call("status")
    assert code == 0
    assert "6 nodes" in out
    assert "fresh 5, unreachable 1" in out
    assert "nominal 12 >= installed 10 >= reachable 10" in out
    assert "crit  xid: gpu002 (1): xid 79 on card 1" in out
    assert [line for line in out.splitlines() if len(line) > 80] == []
    data = json.loads(call("status", "-o", "json")[1])
    assert data["cards"] == {
        "nominal": 12,
        "installed": 10,
        "reachable": 10,
        "healthy": 8,
        "in_service": 6,
        "free": 5,
    }
    assert data["admin"]["drained"] == 1
    assert data["stale"] is False
    assert [s["name"] for s in data["sites"]] == ["lingang", "pudong"]


def test_devices_fold_equal_cards_and_mix_vendors(call: Call) -> None:
    rows = json.loads(call("devices", "-o", "json")[1])
    assert [(r["vendor"], r["cards"], r["nodes"]) for r in rows] == [
        ("nvidia", 6, "gpu[001-003]"),
        ("ascend", 4, "npu[1-2]"),
    ]
    assert rows[0]["temp_c"] == 63
    each = list(csv.DictReader(io.StringIO(call("devices", "npu1", "--each", "-o", "csv")[1])))
    assert [(r["node"], r["index"], r["temp_c"], r["fan_pct"]) for r in each] == [
        ("npu1", "0", "63", ""),
        ("npu1", "1", "64", ""),
    ]
    assert json.loads(call("devices", "temp>=64", "-o", "json")[1])[0]["cards"] == 3


def test_show(call: Call) -> None:
    code, out, _err = call("show", "gpu002")
    assert code == 0
    assert re.search(r"^kernel +5\.15\.0$", out, re.MULTILINE)
    assert "xid 79 on card 1" in out
    data = json.loads(call("show", "gpu001", "-o", "json")[1])
    assert [c["temp_c"] for c in data["cards"]] == [60, 61]
    assert data["leases"][0]["tenant"] == "acme"
    assert call("show", "gpu[001-002]")[0] == 2


def test_why_tells_faults_actions_and_leases_in_order(call: Call) -> None:
    code, out, _err = call("why", "gpu003")
    assert code == 0
    assert out.startswith("gpu003: fresh, ok, drained, idle; answered")
    assert "hw: fan" in out
    rows = json.loads(call("why", "gpu003", "-o", "json")[1])["timeline"]
    assert [(r["kind"], r["who"], r["text"]) for r in rows if r["kind"] == "action"] == [
        ("action", "person:li", "drain, to drain, reason hw: fan")
    ]
    kinds = [r["kind"] for r in json.loads(call("why", "gpu002", "-o", "json")[1])["timeline"]]
    assert "fault" in kinds
    assert "finding" in kinds
    leases = json.loads(call("why", "gpu001", "-o", "json")[1])["timeline"]
    assert [r["text"] for r in leases] == ["l-1 begins: 1 cards for acme"]
    assert call("why", "gpu001", "--since", "soon")[0] == 2


def test_history_of_the_whole_fleet(call: Call) -> None:
    code, out, _err = call("history", "@*", "temp", "-o", "csv")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert rows
    assert {row["device"] for row in rows} == {"fleet"}
    assert all(float(row["low"]) <= float(row["temp_c"]) <= float(row["high"]) for row in rows)
    assert max(int(row["n"]) for row in rows) > 2, "more than the cards of one node"
    assert call("history", "@*", "load1")[1].startswith("mean of all load1:")
    assert call("history", "@*", "nonsense")[0] == 3


def test_top_and_history(call: Call) -> None:
    rows = json.loads(call("top", "temp", "-n", "2", "-o", "json")[1])
    assert [(r["node"], r["card"], r["temp_c"]) for r in rows] == [("npu2", "1", 65), ("npu1", "1", 64)]
    assert call("top", "nonsense")[0] == 3
    values = list(csv.DictReader(io.StringIO(call("history", "gpu001", "temp", "--card", "1", "-o", "csv")[1])))
    assert [v["temp_c"] for v in values] == ["61", "61", "61"]
    code, out, _err = call("history", "gpu001", "load1", "--since", "1h")
    assert code == 0
    assert out.startswith("gpu001 load1: 1.5 .. 1.5, last 1.5")
    assert "*" in out
    assert call("history", "gpu001", "temp", "--card", "9")[0] == 3
    young = call("history", "gpu001", "load1", "--since", "7d")[1]  # three rounds fill no week: five minutes are drawn
    assert len({at for line in young.splitlines() for at, char in enumerate(line) if char == "*"}) == 3


@pytest.mark.parametrize("noun", ["sites", "pools", "racks", "findings", "events", "plugins"])
def test_lists_have_the_same_columns_everywhere(call: Call, noun: str) -> None:
    as_json = json.loads(call(noun, "-o", "json")[1])
    as_csv = list(csv.DictReader(io.StringIO(call(noun, "-o", "csv")[1])))
    assert as_json
    assert [*as_json[0]] == [*as_csv[0]]
    assert len(as_json) == len(as_csv)


def test_racks_show_load_against_budget(call: Call) -> None:
    (rack,) = json.loads(call("racks", "-o", "json")[1])
    assert (rack["name"], rack["nodes"]) == ("r1", 3)
    assert rack["power_w"] == 600 + 602 + 604
    assert rack["load_pct"] == pytest.approx(18.06)


def test_findings_fold_and_list(call: Call) -> None:
    rules = json.loads(call("findings", "-o", "json")[1])
    assert [(r["severity"], r["rule"], r["nodes"]) for r in rules] == [
        ("crit", "xid", "gpu002"),
        ("warn", "disk_full", "npu1"),
    ]
    (one,) = json.loads(call("findings", "--each", "site=pudong", "-o", "json")[1])
    assert (one["node"], one["text"]) == ("npu1", "disk 91 %")


def test_check(call: Call, tmp_path: Path) -> None:
    code, out, _err = call("check")
    assert code == 2
    assert out.startswith(
        "CRITICAL - 5 of 6 nodes answer, 1 critical, 1 warning, 5 of 12 cards free | 'unreachable'=1;0;;0;6"
    )
    assert call("check", "gpu001")[0] == 0
    assert call("check", "npu1")[0] == 1
    assert call("check", "gpu001", "-w", "free=2:")[0] == 1
    assert call("check", "npu1", "-w", "warn=")[0] == 0
    code, out, _err = call("check", "--format", "checkmk", "--service", "GPUs")
    assert out.startswith('2 "GPUs" unreachable=1;0;;0;6|')
    assert len(out.splitlines()) == 1
    textfile = tmp_path / "fleet.prom"
    assert call("check", "--format", "prometheus", "--textfile", str(textfile))[:2] == (0, "")
    text = textfile.read_text()
    assert 'fleetctl_nodes_by_reach{site="lingang",reach="unreachable"} 1\n' in text
    assert "fleetctl_check_last_success_timestamp_seconds " in text


@pytest.mark.parametrize("words", [["-w", "nonsense=1"], ["-w", "crit=x"], ["gpu009"], ["--bogus"]])
def test_a_check_that_cannot_know_is_unknown(call: Call, words: list[str]) -> None:
    assert call("check", *words)[0] == 3


def test_a_check_without_a_database_is_unknown(call: Call, fleet: Path) -> None:
    fleet.with_name("fleet.db").unlink()
    code, out, _err = call("check")
    assert code == 3
    assert out.startswith("UNKNOWN - no database at ")
    assert call("nodes")[0] == 3


def test_report_health_remembers_the_last_one(call: Call, fleet: Path) -> None:
    code, out, _err = call("report", "health")
    assert code == 1
    assert "this is the first report" in out
    assert "xid: gpu002: xid 79 on card 1" in out
    code, out, _err = call("report", "health", "--if-changed")
    assert (code, out) == (1, "")
    assert fleet.with_name("last-health-report.json").exists()
    out = call("report", "health", "--since", "1h", "--format", "json")[1]
    data = json.loads(out)
    assert data["changed"] is True
    assert data["sections"]["findings"][0]["new"] == 1
    for form in ("markdown", "html", "text"):
        assert "gpu002" in call("report", "health", "--format", form, "--no-mark")[1]


def test_report_health_writes_a_file_whole(call: Call, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    assert call("report", "health", "--format", "html", "--out", str(target))[:2] == (1, "")
    assert target.read_text().endswith("</html>\n")
    assert call("report", "health", "--out", str(tmp_path / "none" / "x"))[0] == 1


def test_config(call: Call, fleet: Path) -> None:
    code, out, _err = call("config", "check")
    assert code == 0
    assert "6 hosts, 12 cards expected, 2 sites, 1 racks, 1 pools" in out
    assert "3 hosts stand in no rack" in out
    assert json.loads(call("config", "show", "-o", "json")[1])["sites"][0]["title"] == "临港"
    assert "length of a round" in call("config", "explain", "poll.interval_s")[1]
    code, _out, err = call("config", "explain", "poll.intervall")
    assert code == 3
    assert "did you mean poll.interval_s?" in err
    fleet.write_text("[pol]\ninterval_s = 5\n")
    code, _out, err = call("config", "check")
    assert code == 2
    assert "fleet.toml:1" in err


def test_in_chinese_keys_stay_english(call: Call) -> None:
    out = call("--lang", "zh", "nodes")[1]
    assert "失联" in out
    assert "节点" in out
    assert json.loads(call("--lang", "zh", "nodes", "gpu004", "-o", "json")[1])[0]["reach"] == "unreachable"
