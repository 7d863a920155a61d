"""The health report: short in a storm, honest when blind, safe in every format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from fleetctl.i18n import set_language
from fleetctl.inventory.nodesets import fold
from fleetctl.model.states import Admin, Health, Load, Reach
from fleetctl.reports.health import Facts, HealthReport, build_report
from fleetctl.reports.render import as_data, as_html, as_markdown, as_text
from fleetctl.views.findings import FindingRow
from fleetctl.views.nodes import NodeRow

NOW = 1_000_000.0


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    set_language("en")
    yield
    set_language(None)


def node(name: str, **more: object) -> NodeRow:
    values = {"reach": Reach.FRESH, "health": Health.OK, "load": Load.IDLE, "cards": 8, "cards_found": 8, "age_at": NOW}
    return NodeRow(name, "lab", **(values | more))  # type: ignore[arg-type]


def finding(n: int, name: str, rule: str, severity: Health = Health.CRIT, **more: object) -> FindingRow:
    values: dict[str, object] = {
        "since_at": NOW - 60,
        "firing_at": NOW - 60,
        "state": "firing",
        "device": f"card{n % 8}",
    }
    values |= {"text": f"{rule} on card {n % 8}"} | more
    return FindingRow(id=n, node=name, site="lab", rule=rule, severity=severity, **values)  # type: ignore[arg-type]


def report(
    nodes: list[NodeRow],
    open: list[FindingRow] | None = None,
    resolved: list[FindingRow] | None = None,
    *,
    since: float | None = NOW - 3600,
    reach_since: dict[str, float] | None = None,
) -> HealthReport:
    return build_report(
        Facts("fleet", nodes, open or [], resolved or [], reach_since or {}, NOW, NOW, since, 150.0), fold
    )


def section(found: HealthReport, name: str) -> list[str]:
    return [line.text for s in found.sections if s.name == name for line in s.lines]


def test_a_well_fleet_exits_0_and_says_nothing_changed() -> None:
    found = report([node("gpu001"), node("gpu002")])
    assert (found.status, found.exit_code, found.changed) == (Health.OK, 0, False)
    assert [s.name for s in found.sections] == ["fleet"]


def test_three_hundred_findings_are_twenty_lines_at_most() -> None:
    names = [f"gpu{n:03}" for n in range(1, 101)]
    rules = ["xid", "temperature", "cards_missing"]
    found = report([node(n) for n in names], [finding(i, names[i % 100], rules[i % 3]) for i in range(300)])
    assert section(found, "findings") == [
        "cards_missing: gpu[001-100] (100) NEW: e.g. cards_missing on card 2, since 60s",
        "temperature: gpu[001-100] (100) NEW: e.g. temperature on card 1, since 60s",
        "xid: gpu[001-100] (100) NEW: e.g. xid on card 0, since 60s",
    ]
    assert len(as_text(found).splitlines()) <= 20
    odd = report([node(n) for n in names], [finding(i, names[i % 100], f"rule{i}") for i in range(300)])
    assert len(section(odd, "findings")) == 20
    assert "... and 280 more" in as_text(odd)


@pytest.mark.parametrize(
    ("nodes", "status"),
    [
        ([node("a", health=Health.WARN)], Health.WARN),
        ([node("a", health=Health.CRIT), node("b", reach=Reach.UNREACHABLE, health=Health.UNKNOWN)], Health.CRIT),
        ([node("a"), node("b", reach=Reach.UNREACHABLE, health=Health.UNKNOWN)], Health.UNKNOWN),
        ([node("a", age_at=NOW - 1000, reach=Reach.STALE, health=Health.UNKNOWN)], Health.UNKNOWN),
        ([node("a", age_at=None)], Health.UNKNOWN),
        ([], Health.UNKNOWN),
    ],
)
def test_blind_is_never_green(nodes: list[NodeRow], status: Health) -> None:
    found = report(nodes)
    assert (found.status, found.exit_code) == (status, 1)


def test_what_changed_since_the_last_report() -> None:
    nodes = [
        node("gpu001"),
        node("gpu002", reach=Reach.UNREACHABLE, health=Health.UNKNOWN, error="timed_out: no answer"),
        node("gpu003", admin=Admin.DRAINING, since_at=NOW - 10, reason="hw: fan", deadline_at=NOW - 1),
        node("gpu004", admin=Admin.DRAINED, since_at=NOW - 9999, reason="hw: old"),
    ]
    found = report(
        nodes,
        [finding(1, "gpu001", "xid"), finding(2, "gpu001", "old", firing_at=NOW - 7200, since_at=NOW - 7300)],
        [finding(3, "gpu004", "hot", state="resolved", resolved_at=NOW - 5)],
        reach_since={"gpu001": NOW - 9999, "gpu002": NOW - 100},
    )
    assert found.changed
    assert section(found, "changes") == [
        "new findings: 1 by 1 rules, marked below",
        "over: hot: gpu004: hot on card 3",
        "now draining: gpu003",
        "now unreachable: gpu002",
    ]
    assert section(found, "findings") == [
        "old: gpu001: old on card 2, since 2h",
        "xid: gpu001 NEW: xid on card 1, since 60s",
    ]
    assert section(found, "blind") == ["unreachable: gpu002: timed_out"]
    assert section(found, "out") == ["draining: gpu003: hw: fan (past its deadline)", "drained: gpu004: hw: old"]


def test_pending_findings_are_no_news() -> None:
    assert section(report([node("a")], [finding(1, "a", "xid", state="pending")]), "findings") == []


def test_without_an_earlier_report_nothing_has_changed() -> None:
    found = report([node("a")], [finding(1, "a", "xid")], since=None)
    assert not found.changed
    assert "first report" in as_text(found)


def test_what_hosts_say_stays_text_in_every_format() -> None:
    evil = "<script>alert(1)</script> [x](javascript:y) `rm` | **b**"
    found = report([node("gpu001")], [finding(1, "gpu001", "xid", text=evil)])

    tags: set[str] = set()

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            tags.add(tag)

    page = Tags()
    page.feed(as_html(found))
    assert "script" not in tags
    assert "a" not in tags
    assert r"\[x\](javascript:y) \`rm\` \| \*\*b\*\*" in as_markdown(found)
    assert json.loads(json.dumps(as_data(found)))["sections"]["findings"][0]["text"] == evil


def test_in_chinese() -> None:
    set_language("zh")
    text = as_text(report([node("gpu001", admin=Admin.DRAINING)]))
    assert "排空中: gpu001" in text
    assert as_data(report([node("gpu001", admin=Admin.DRAINING)]))["sections"]["out"][0]["admin"] == "draining"
