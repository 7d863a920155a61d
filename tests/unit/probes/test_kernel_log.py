"""Lines of every source become the same lines, and Linux's own faults are named."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetctl.probes.kernel_log import KernelLog, canonical_lines, linux_faults


def test_three_sources_one_form():
    text = (
        "2026-11-21T22:30:00,123456+00:00 ACME: code 79\n"
        "2026-11-21T22:30:00.123456+0000 node7 kernel: ACME: code 79\n"
        "#uptime 100.0 1795300300\n"
        "[   50.250000] ACME: code 79\n"
        "2026-11-22T06:30:00,123456+08:00 ACME: code 79\n"
    )
    lines = [line for _, line in canonical_lines(text)]
    assert lines[0] == lines[1] == lines[3] == "2026-11-21T22:30:00,123456+00:00 ACME: code 79"
    assert lines[2] == "2026-11-21T22:30:50,250000+00:00 ACME: code 79"


def test_repeats_are_folded():
    (fault,) = linux_faults(["x: task a:1 blocked for more than 120 seconds"] * 3)
    assert (fault.code, fault.count) == ("hung_task", 3)


def test_memory_is_bounded():
    log = KernelLog((linux_faults,))
    for n in range(50):
        log.take("".join(f"line {n} {m}\n" for m in range(200)))
    assert len(log.last) <= 3


OOM = "2026-11-21T22:00:{:02},000000+00:00 Out of memory: Killed process {} (x)\n"


def faults_of(*texts):
    log = KernelLog((linux_faults,))
    return [sum(fault.count for fault in log.take(text)) for text in texts]


def test_a_window_that_slides_tells_each_line_once():
    lines = [OOM.format(n, n) for n in range(10)]
    assert faults_of("".join(lines[:6]), "".join(lines[2:8]), "".join(lines[4:10]), "".join(lines[4:10])) == [
        6,
        2,
        2,
        0,
    ]


def test_the_same_fault_again_is_told_again_and_a_clock_set_back_hides_nothing():
    line = "2026-11-21T22:{}:00,000000+00:00 Out of memory: Killed process 7 (x)\n"
    assert faults_of(line.format("10"), line.format("11"), line.format("02")) == [1, 1, 1]


@given(st.text(max_size=300))
def test_any_text_is_survived(text):
    KernelLog((linux_faults,)).take(text)
