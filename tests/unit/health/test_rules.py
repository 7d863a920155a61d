"""What one host said -> what is wrong; unknown is never wrong and never right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.config.schema import Thresholds
from fleetctl.health.evaluate import all_rules, evaluate, fault_conditions
from fleetctl.health.rule import Condition
from fleetctl.model.host import Host
from fleetctl.model.probe import Outcome
from fleetctl.model.reading import Device, Fault, FaultAction, FindingKind, ProbeFinding, Value
from fleetctl.model.report import Block, ErrorKind, HostReport, ProbeState
from fleetctl.model.states import Health, Reach

HOST = Host("gpu001", "a", cards=2)
CARDS = tuple(Device("card", f"GPU-{i}", index=str(i), vendor="nvidia") for i in range(2))


def report(
    *, cards: dict[str, tuple[Value, Value]] | None = None, host: dict[str, Value] | None = None, **rest: object
) -> HostReport:
    blocks = []
    if host is not None:
        blocks.append(Block("host", tuple(host), (Device("host", "gpu001"),), (tuple(host.values()),)))
    if cards is not None:
        rows = tuple(tuple(pair[i] for pair in cards.values()) for i in range(2))
        blocks.append(Block("card", tuple(cards), CARDS, rows))
    return HostReport("gpu001", 0.0, rest.pop("reach", Reach.FRESH), blocks=tuple(blocks), **rest)  # type: ignore[arg-type]


def judge(one: HostReport, host: Host = HOST) -> dict[str, Condition]:
    return {c.rule: c for c in evaluate(host, one, Thresholds(), all_rules()).conditions}


@pytest.mark.parametrize(
    ("said", "rule", "severity", "words"),
    [
        (report(reach=Reach.UNREACHABLE, error=ErrorKind.TIMED_OUT, error_text="no answer in 15 s"), "unreachable", Health.CRIT, "no answer in 15 s"),
        (report(reach=Reach.UNREACHABLE, error=ErrorKind.HOST_KEY, error_text="key changed"), "refused", Health.CRIT, "key changed"),
        (report(reach=Reach.HUNG, probes=(ProbeState("nvidia.smi", Outcome.HUNG),)), "probe_hung", Health.WARN, "nvidia.smi"),
        (report(host={"disk_used_pct": 90.0}), "disk_full", Health.WARN, "90 %"),
        (report(host={"disk_used_pct": 99.0}), "disk_full", Health.CRIT, "99 %"),
        (report(host={"mem_used_bytes": 99 * 2**30, "mem_total_bytes": 100 * 2**30}), "memory_full", Health.WARN, "1.0 GiB left"),
        (report(host={"procs_d": 12}), "procs_stuck", Health.WARN, "12 processes"),
        (report(host={"clock_skew_s": -90.0}), "clock_skew", Health.WARN, "90 s behind"),
        (report(cards={"temp_c": (95, 40)}, host={}), "card_hot", Health.CRIT, "nvidia 0: 95 °C"),
        (report(cards={"ecc_uncorrected_total": (0, 3)}), "ecc_uncorrected", Health.CRIT, "nvidia 1: 3"),
        (report(cards={"row_remap_failed": (0, 1)}), "row_remap", Health.CRIT, "replace"),
        (report(cards={"pcie_width": (8, 16), "pcie_width_max": (16, 16)}), "pcie_degraded", Health.WARN, "x8 of x16"),
        (report(cards={"links_up": (17, 18), "links_total": (18, 18)}), "links_down", Health.WARN, "17 of 18"),
        (report(cards={"power_w": (8, 300), "util_pct": (99, 99)}), "power_sensor", Health.WARN, "8 W at 99 %"),
        (report(host={}, findings=(ProbeFinding(FindingKind.TOOL_FAILED, "library mismatch"),)), "tool_failed", Health.CRIT, "library mismatch"),
    ],
)  # fmt: skip
def test_each_rule_speaks(said: HostReport, rule: str, severity: Health, words: str) -> None:
    found = judge(said)[rule]
    assert found.severity is severity
    assert words in found.text


def test_a_healthy_host_has_no_condition() -> None:
    said = report(
        host={"disk_used_pct": 40, "procs_d": 0, "clock_skew_s": 0.1, "mem_used_bytes": 1, "mem_total_bytes": 100},
        cards={"temp_c": (60, 61), "ecc_uncorrected_total": (0, 0), "pcie_width": (16, 16), "pcie_width_max": (16, 16)},
    )
    assert judge(said) == {}


def test_a_missing_card_is_told_from_a_tool_that_hangs() -> None:
    gone = Block("card", ("temp_c",), CARDS[:1], ((50,),))
    host_block = Block("host", (), (Device("host", "gpu001"),), ((),))
    assert "1 of 2" in judge(HostReport("gpu001", 0.0, Reach.FRESH, blocks=(host_block, gone)))["cards_missing"].text
    hung = HostReport("gpu001", 0.0, Reach.HUNG, blocks=(host_block,), probes=(ProbeState("nvidia.smi", Outcome.HUNG),))
    assert not {"cards_missing", "cards_unread"} & judge(hung).keys()
    assert "probe_hung" in judge(hung)


def test_a_host_whose_cards_nobody_can_read_is_not_green() -> None:
    assert "0 of 2" in judge(report(host={}))["cards_unread"].text


def test_partitions_are_not_counted_as_cards() -> None:
    parts = (*CARDS[:1], Device("card", "MIG-1", parent="GPU-0"))
    block = Block("card", ("temp_c",), parts, ((50,), (None,)))
    host_block = Block("host", (), (Device("host", "gpu001"),), ((),))
    assert "1 of 2" in judge(HostReport("gpu001", 0.0, Reach.FRESH, blocks=(host_block, block)))["cards_missing"].text


def test_silence_of_a_rule_that_saw_nothing_resolves_nothing() -> None:
    verdict = evaluate(HOST, report(host={}), Thresholds(), all_rules())
    assert "card_hot" not in verdict.spoke
    assert "disk_full" in verdict.spoke
    silent = evaluate(HOST, report(reach=Reach.UNREACHABLE), Thresholds(), all_rules())
    assert silent.spoke == {"unreachable", "refused"}


@given(st.lists(st.one_of(st.none(), st.floats(0, 84.9)), min_size=2, max_size=2))
def test_unknown_is_never_hot(values: list[float | None]) -> None:
    assert "card_hot" not in judge(report(cards={"temp_c": (values[0], values[1])}))


def test_faults_are_conditions_by_what_they_ask_for() -> None:
    faults = (
        Fault(
            "nvidia",
            "xid",
            "79",
            "GPU has fallen off the bus",
            "0000:1a:00.0",
            FaultAction.RESET_NOW,
            "fell off the bus",
        ),
        Fault("nvidia", "xid", "13", "Graphics Exception", "0000:1a:00.0", FaultAction.RESTART_WORK),
        Fault("nvidia", "xid", "999", "?", None, None),
    )
    found = fault_conditions(report(faults=faults))
    assert [(c.device, c.severity) for c in found] == [
        ("nvidia xid 79 0000:1a:00.0", Health.CRIT),
        ("nvidia xid 999", Health.WARN),
    ]
