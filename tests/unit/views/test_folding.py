"""Three hundred events are a handful of lines, and nobody is lost in folding."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetctl.model.states import Health
from fleetctl.views.events import EventRow, fold_events
from fleetctl.views.findings import FindingRow, fold_findings


def finding(n: int, node: str | None, rule: str, severity: Health, since: float = 0.0) -> FindingRow:
    return FindingRow(n, node, "lab", f"card{n}", rule, severity, "firing", f"{rule} {n}", since_at=since)


def event(n: int, node: str | None, text: str, at: float = 0.0, name: str = "xid 79") -> EventRow:
    return EventRow(n, at, at, 1, node, None, "fault", Health.CRIT, name, text)


def test_findings_worst_and_largest_first() -> None:
    rows = [finding(n, f"n{n}", "hot", Health.WARN, since=100 - n) for n in range(5)]
    rows += [finding(9, "n9", "xid", Health.CRIT), finding(10, None, "store", Health.UNKNOWN)]
    groups = fold_findings(rows)
    assert [(g.rule, g.findings, len(g.nodes)) for g in groups] == [("xid", 1, 1), ("store", 1, 0), ("hot", 5, 5)]
    assert groups[2].sample == "hot 4"  # the oldest
    assert (groups[2].since_at, groups[2].newest_at) == (96, 100)


def test_events_fold_over_nodes_and_numbers() -> None:
    rows = [event(n, f"gpu{n:03}", f"card {n % 8} fell off the bus at 0x{n:x}", at=n) for n in range(300)]
    (group,) = fold_events(rows)
    assert (group.count, len(group.nodes), group.first_at, group.last_at) == (300, 300, 0, 299)
    assert group.sample == "card 3 fell off the bus at 0x12b"
    assert len(fold_events([*rows, event(1, "a", "card 1 is hot", name="temp")])) == 2


NODES = st.sampled_from([None, "a", "b", "c"])


@given(st.lists(st.tuples(NODES, st.sampled_from(["x", "y"]), st.sampled_from(Health)), max_size=40))
def test_folding_findings_counts_everyone_once(drawn: list[tuple[str | None, str, Health]]) -> None:
    rows = [finding(n, *one) for n, one in enumerate(drawn)]
    groups = fold_findings(rows)
    assert sum(g.findings for g in groups) == len(rows)
    assert len({(g.rule, g.severity) for g in groups}) == len(groups)
    assert {n for g in groups for n in g.nodes} == {r.node for r in rows if r.node}


@given(st.lists(st.tuples(NODES, st.text(max_size=8)), max_size=40))
def test_folding_events_counts_everyone_once(drawn: list[tuple[str | None, str]]) -> None:
    rows = [event(n, node, text, at=n) for n, (node, text) in enumerate(drawn)]
    groups = fold_events(rows)
    assert sum(g.count for g in groups) == len(rows)
    assert [g.last_at for g in groups] == sorted((g.last_at for g in groups), reverse=True)
