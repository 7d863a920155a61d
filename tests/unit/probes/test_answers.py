"""From frames to reports: the quick form says what the parser would, and devices stay the same objects."""

from __future__ import annotations

import json

import pytest

from fleetctl.model.probe import Outcome, Output, Probe
from fleetctl.model.reading import Device, Fault, FindingKind, ProbeResult, Reading
from fleetctl.model.states import Reach
from fleetctl.probes.answers import HostAnswers
from fleetctl.probes.kernel_log import KernelLog, kernel_probe, linux_faults
from fleetctl.probes.plan import build_plan
from fleetctl.probes.sections import Body, Section
from fleetctl.probes.system import system_probes

COLUMNS = ("util_pct", "power_w")
CALLS: list[str] = []


def parse_cards(output: Output) -> ProbeResult:
    CALLS.append(output.stdout)
    if output.stdout.startswith("boom"):
        raise RuntimeError("a parser's own mistake")
    head, _, last = output.stdout.rstrip("\n").rpartition("\n")
    rows = json.loads(last or "[]")
    names = head.split()
    return ProbeResult(
        readings=tuple(Reading(Device("card", name), dict(zip(COLUMNS, row, strict=True)))
                       for name, row in zip(names, rows, strict=False)),
        devices_expected=len(names),
    )  # fmt: skip


def parse_slow(output: Output) -> ProbeResult:
    fault = Fault("acme", "ras", "7", "bad cell")
    return ProbeResult(
        readings=(Reading(Device("card", "g1", serial="S1"), {"ecc_corrected_total": 3, "power_w": 99.0}),),
        faults=(fault,),
        facts={"driver": output.stdout.strip()},
    )


def answers_of(*probes: Probe, interval_s: float = 60.0) -> HostAnswers:
    plan = build_plan([(probe, False) for probe in probes], [], 1 << 20)
    return HostAnswers(plan, KernelLog((linux_faults,)), interval_s)


CARDS = Probe("acme.cards", "tool", parse_cards, columns=COLUMNS)
SLOW = Probe("acme.slow", "tool -a", parse_slow, every_s=300.0)


def section(number, text="", *, outcome=Outcome.DONE, status=0, stderr="", kept=0, same=False):
    return Section(str(number), outcome, status, 5, text.encode(), stderr.encode(), kept, same)


def said(*sections, at=1000.0):
    return Body(at, 0, list(sections))


def test_only_the_first_text_and_new_heads_are_parsed():
    answers = answers_of(CARDS)
    CALLS.clear()
    answers.take(said(section(0, "g0 g1\n[[1,2.5],[3,null]]\n")), 1000.0)
    first = answers.report("h", 1000.0)
    answers.take(said(section(0, "g0 g1\n[[5,6],[7,8]]\n", kept=6)), 1060.0)
    second = answers.report("h", 1060.0)
    answers.take(said(section(0, "g0 g1\n[[5,6],[7,8]]\n", kept=18, same=True)), 1120.0)
    third = answers.report("h", 1120.0)
    assert len(CALLS) == 1
    assert first.blocks[0].rows == ((1, 2.5), (3, None))
    assert second.blocks[0].rows == third.blocks[0].rows == ((5, 6), (7, 8))
    assert first.blocks[0].devices is second.blocks[0].devices is third.blocks[0].devices
    answers.take(said(section(0, "g0 g2\n[[5,6],[7,8]]\n", kept=0)), 1180.0)
    assert len(CALLS) == 2
    assert [d.key for d in answers.report("h", 1180.0).blocks[0].devices] == ["g0", "g2"]


def test_a_slow_probe_fills_columns_and_identity_of_the_same_card():
    answers = answers_of(CARDS, SLOW)
    answers.take(said(section(0, "g0 g1\n[[1,2],[3,null]]\n"), section(1, "550")), 1000.0)
    (block,) = answers.report("h", 1000.0).blocks
    assert block.columns == ("util_pct", "power_w", "ecc_corrected_total")
    assert block.rows == ((1, 2, None), (3, 99.0, 3))
    assert [device.serial for device in block.devices] == [None, "S1"]
    answers.take(said(section(0, "g0 g1\n[[5,6],[7,8]]\n", kept=6)), 1060.0)
    report = answers.report("h", 1060.0)
    assert report.blocks[0].rows == ((5, 6, None), (7, 8, 3))
    assert report.blocks[0].devices is block.devices
    assert report.facts["driver"] == "550"
    assert report.faults[0].code == "7"
    assert report.devices_expected == 2


def test_values_that_did_not_come_are_unknown_after_a_while():
    answers = answers_of(CARDS, SLOW)
    answers.take(said(section(0, "g0\n[[1,2]]\n"), section(1, "550")), 1000.0)
    assert len(answers.report("h", 1090.0).blocks[0].columns) == 3
    late = answers.report("h", 1200.0)
    # It answered before and does not now, while another does: its tool runs and does not end.
    assert [(p.probe, p.outcome) for p in late.probes] == [("acme.slow", Outcome.DONE), ("acme.cards", Outcome.HUNG)]
    assert late.reach is Reach.HUNG
    assert answers.report("h", 2000.0).blocks == ()


@pytest.mark.parametrize(
    ("outcome", "kind", "reach"),
    [
        (Outcome.HUNG, FindingKind.TOOL_HUNG, Reach.HUNG),
        (Outcome.TIMEOUT, FindingKind.TOOL_HUNG, Reach.HUNG),
        (Outcome.MISSING, FindingKind.MISSING_TOOL, Reach.FRESH),
        (Outcome.CUT, FindingKind.TOO_LARGE, Reach.FRESH),
    ],
)
def test_how_it_ended_is_a_finding_and_a_hung_tool_is_no_dead_host(outcome, kind, reach):
    answers = answers_of(CARDS)
    answers.take(said(section(0, "g0\n[[1,2]]\n")), 1000.0)
    answers.take(said(section(0, outcome=outcome, status=-1)), 1060.0)
    report = answers.report("h", 1060.0)
    assert [f.kind for f in report.findings] == [kind]
    assert report.reach is reach
    assert report.blocks == ()
    answers.take(said(section(0, "g0\n[[1,2]]\n")), 1120.0)
    assert answers.report("h", 1120.0).reach is Reach.FRESH


def test_a_parser_that_raises_is_a_finding_and_the_others_go_on():
    answers = answers_of(CARDS, SLOW)
    answers.take(said(section(0, "boom"), section(1, "550")), 1000.0)
    report = answers.report("h", 1000.0)
    assert "acme.cards" in report.findings[0].text
    assert report.blocks[0].devices[0].key == "g1"


def test_since_is_when_the_outcome_began():
    answers = answers_of(CARDS)
    for now in (1000.0, 1060.0, 1120.0):
        outcome = Outcome.DONE if now == 1000.0 else Outcome.HUNG
        answers.take(said(section(0, "", outcome=outcome)), now)
    (state,) = answers.report("h", 1120.0).probes
    assert (state.outcome, state.since) == (Outcome.HUNG, 1060.0)


def test_kernel_faults_are_told_once_even_over_a_new_connection():
    answers = answers_of(kernel_probe(30.0))
    line = "2026-11-21T22:00:00,500000+00:00 Out of memory: Killed process 1 (x)\n"
    answers.take(said(section(0, line)), 1000.0)
    assert [f.code for f in answers.report("h", 1000.0).faults] == ["oom"]
    assert answers.report("h", 1001.0).faults == ()
    shifted = line.replace(",500000", ",500900")  # the log's clock was compared anew
    answers.take(said(section(0, shifted)), 1060.0)
    assert answers.report("h", 1060.0).faults == ()
    answers.take(said(section(0, line.replace("22:00:00", "22:05:00"))), 1120.0)
    assert len(answers.report("h", 1120.0).faults) == 1


def test_the_share_of_cpu_of_the_sh_form_is_the_difference_of_two_answers():
    plan = build_plan(system_probes(300.0), [], 1 << 20)
    answers = HostAnswers(plan, KernelLog(()), 60.0)
    text = "load 0.5 0.4 0.3 1/99 7\nuptime 100.0 90.0\ncpu  {} 0 0 {} 0 0 0 0 0 0\nbtime 900\n"
    answers.take(said(section(0, text.format(100, 900)), at=None), 1003.0)
    first = answers.report("h", 1003.0).blocks[0]
    answers.take(said(section(0, text.format(125, 975)), at=None), 1063.0)
    second = answers.report("h", 1063.0).blocks[0]
    pick = lambda block, name: block.rows[0][block.columns.index(name)]  # noqa: E731
    assert pick(first, "cpu_pct") is None
    assert pick(second, "cpu_pct") == 25.0
    assert pick(first, "clock_skew_s") == -3.0
    assert "cpu_total_jiffies" not in second.columns
