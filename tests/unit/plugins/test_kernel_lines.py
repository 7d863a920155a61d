"""Faults in kernel lines of every maker: folded, timed where the line has a usable time, healthy logs without any.

The lines follow those of real incidents; addresses and process names are made up.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.model.probe import Output
from fleetctl.model.reading import FaultAction
from fleetctl.plugin import load_plugins
from fleetctl.probes.logs import log_lines
from fleetctl_amd.kernel import parse_kernel as parse_amd
from fleetctl_ascend.logs import parse_log as parse_ascend
from fleetctl_gaudi.parsers import parse_kernel as parse_gaudi
from fleetctl_nvidia.kernel import kernel_faults
from fleetctl_nvidia.kernel import parse_kernel as parse_nvidia

XID13 = "NVRM: Xid (PCI:0000:38:00): 13, pid='<unknown>', name=<unknown>, Graphics SM Warp Exception on (GPC 9)"


@pytest.mark.parametrize(
    ("prefix", "at"),
    [
        ("kern  :warn  : 2025-01-21T04:41:44,283302+00:00 ", 1737434504.283302),
        ("2025-01-21T04:41:44,283302+00:00 ", 1737434504.283302),
        ("2025-01-21T05:41:44+0100 node17 kernel: ", 1737434504.0),
        ("[Tue Jan 21 04:41:44 2025] ", 1737434504.0),
        ("[Di Okt 21 04:41:44 2025] ", 1761021704.0),
        ("[171167.620236] ", None),
        ("6,3964,206764307,-;", None),
        ("<4>[ 123.4] ", None),
        ("Jan 21 04:41:44 node17 kernel: [12345.678901] ", 1737434504.0),
        ("", None),
    ],
)
def test_every_prefix_is_read_off(prefix: str, at: float | None) -> None:
    [fault] = parse_nvidia(Output(prefix + XID13 + "\n", at=1737450000.0)).faults
    assert (fault.family, fault.code, fault.device) == ("xid", "13", "0000:38:00.0")
    assert fault.at == (None if at is None else pytest.approx(at))


def test_sixteen_lines_of_one_fault_are_one_with_a_count() -> None:
    text = "\n".join(f"2025-01-21T04:41:44,28330{i % 10}+00:00 {XID13} part {i}" for i in range(16))
    [fault] = parse_nvidia(Output(text)).faults
    assert fault.count == 16
    assert fault.at == pytest.approx(1737434504.283305)


def test_links_and_wishes_are_kept_apart() -> None:
    lines = [
        "NVRM: Xid (PCI:0009:01:00): 149, NETIR_LINK_EVT  Fatal   XC0 i0 Link 01 (0x021425c6 0x00000000)",
        "NVRM: Xid (PCI:0009:01:00): 149, NETIR_LINK_EVT  Fatal   XC0 i0 Link 00 (0x021405c6 0x00000000)",
        "NVRM: Xid (PCI:0009:01:00): 154, GPU recovery action changed from 0x0 (None) to 0x4 (Drain and Reset)",
        "NVRM: Xid (PCI:0009:01:00): 154, GPU recovery action changed from 0x4 (Drain and Reset) to 0x1 (GPU Reset Required)",
        "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 24007, Fatal, Link 44 sourcetrack timeout error (First)",
        "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): Severity 1 Engine instance 44 Sub-engine instance 00",
        "nvidia-nvswitch3: open (major=510)",
        "nvidia-peermem nv_get_p2p_free_callback:127 ERROR detected invalid context, skipping further processing",
    ]
    faults = kernel_faults(lines)
    assert [(f.family, f.code) for f in faults] == [("xid", "149")] * 2 + [("xid", "154")] * 2 + [("sxid", "24007")]
    assert [f.action for f in faults[2:4]] == [FaultAction.RESET_WHEN_IDLE, FaultAction.RESET_NOW]
    assert faults[4].device == "0000:c1:00.0"


def test_a_sleeping_card_is_no_ras_fault_and_a_real_count_is() -> None:
    sleeping = "amdgpu 0000:0b:00.0: 1048560 uncorrectable hardware errors detected in umc block\n"
    assert parse_amd(Output(sleeping)).faults == ()
    real = "amdgpu 0000:0b:00.0: amdgpu: 2 uncorrectable hardware errors detected in umc block\n"
    [fault] = parse_amd(Output(real + real)).faults
    assert (fault.family, fault.code, fault.device, fault.count) == ("ras", "umc", "0000:0b:00.0", 2)
    assert fault.action is FaultAction.RESET_NOW
    assert parse_amd(Output(real.replace("uncorr", "corr"))).faults[0].action is FaultAction.OBSERVE


def test_exception_codes_of_the_history_log_have_their_time() -> None:
    line = "[2023-07-13-16:20:44.081811] system exception code [0xB4060007]: ModuleName [TS], ExceptionReason [TS_EXCEPTION]"
    [fault] = parse_ascend(Output(line)).faults
    assert (fault.family, fault.code) == ("npu", "0xB4060007")
    assert fault.at == pytest.approx(1689265244.081811)


def test_a_boot_log_holds_no_fault() -> None:
    text = "habanalabs hl0: Loading secured firmware to device\nhabanalabs hl0: Successfully added device 0000:19:00.0"
    assert parse_gaudi(Output(text)).faults == ()


def test_lines_of_others_are_nobodys_faults() -> None:
    lines = ["2025-01-21T08:41:30+00:00 oom_reaper: reaped process 1 (x)", "", "\x00\x1b[31m", "{", '{"MESSAGE": 5}']
    for plugin in load_plugins()[0]:
        if plugin.kernel_faults is not None:
            assert plugin.kernel_faults(lines) == ()


@given(st.lists(st.text(max_size=120), max_size=20))
def test_no_line_breaks_a_reader(lines: list[str]) -> None:
    noisy = [*lines, *(f"{line} NVRM: Xid amdgpu habanalabs [ascend] exception code" for line in lines)]
    list(log_lines("\n".join(noisy), now=1.7e9))
    for plugin in load_plugins()[0]:
        if plugin.kernel_faults is not None:
            plugin.kernel_faults(noisy)
