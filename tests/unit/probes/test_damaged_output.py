"""Hostile output: cut, spliced, corrupted and mixed texts never break a parser and never become a value.

The texts are made for the test after the forms the tools print; the shared recordings are damaged the same way in
tests/conformance.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetctl.model.metric import metrics_of
from fleetctl.model.probe import Outcome, Output
from fleetctl.model.reading import FindingKind
from fleetctl.plugin import load_plugin, load_plugins
from fleetctl.probes.parsing import exit_code, guarded, parse_text
from fleetctl.probes.text import MAX_CHARS, plausible

CSV = """index, uuid, name, pci.bus_id, temperature.gpu, power.draw [W], memory.used [MiB], memory.total [MiB]
0, GPU-11111111-aaaa, NVIDIA H100 80GB HBM3, 00000000:1A:00.0, 41, 120.50 W, 0 MiB, 81559 MiB
1, GPU-22222222-bbbb, NVIDIA H100 80GB HBM3, 00000000:1B:00.0, [N/A], [Unknown Error], 512 MiB, 81559 MiB
"""
TABLE = """+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 590.48.01              Driver Version: 590.48.01      CUDA Version: 13.1     |
+-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|=========================================+========================+======================|
|   0  NVIDIA H200                    On  |   00000000:83:00.0 Off |                    0 |
| N/A   52C    P0            628W /  700W |   32362MiB / 143771MiB |    100%      Default |
+-----------------------------------------+------------------------+----------------------+

+-----------------------------------------------------------------------------------------+
| Processes:                                                                              |
|  GPU   GI   CI              PID   Type   Process name                        GPU Memory |
|        ID   ID                                                               Usage      |
|=========================================================================================|
|    0   N/A  N/A           10291      C   |   7  NVIDIA B200  On | 0000:99:00.0    2566MiB |
+-----------------------------------------------------------------------------------------+
"""
NPU = """+------------------------------------------------------------------------------------------------+
| npu-smi 25.2.0                   Version: 25.2.0                                               |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip  Phy-ID              | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     Ascend910           | OK            | 162.8       37                0    / 0             |
| 0     0                   | 0000:9C:00.0  | 0           0    / 0          3133/ 65536          |
+------------------------------------------------------------------------------------------------+
| 0     Ascend910           | Warning       | -           38                0    / 0             |
| 1     1                   | 0000:9E:00.0  | 5           0    / 0          2876 / 65536         |
+===========================+===============+====================================================+
"""
CNMON = """+------------------------------------------------------------------------------+
| CNMON v5.10.22                                               Driver v5.10.22 |
+-------------------------------+----------------------+-----------------------+
| Card  VF  Name       Firmware |               Bus-Id | Util        Ecc-Error |
| Fan   Temp      Pwr:Usage/Cap |         Memory-Usage | Mode     Compute-Mode |
|===============================+======================+=======================|
| 0     /   MLU370-X8    v1.1.6 |         0000:13:00.0 | 0%                N/A |
|  0%   28C        107 W/ 250 W |     0 MiB/ 20638 MiB | FULL          Default |
+-------------------------------+----------------------+-----------------------+
"""
ROCM = '{"card0": {"GPU use (%)": "42", "Temperature (Sensor edge) (C)": "45.0", "Serial Number": "N/A", "": ""}}'
TEXTS = {"nvidia": (CSV, TABLE), "ascend": (NPU,), "cambricon": (CNMON,), "amd": (ROCM,)}
EVERY = [(vendor, text) for vendor, texts in TEXTS.items() for text in texts]
JUNK = ("\x1b[31m", "\x00", "²³", "-1", "1e999", "99999999999999999999", "|", "N/A", '"', "<", "[", "{", "\u202e", "￿")


def test_the_clean_texts_are_read_whole() -> None:
    for vendor, text in EVERY:
        parsed = parse_text(load_plugin(vendor), text)
        assert exit_code(parsed.result) == 0, (vendor, parsed.result.findings)
        assert parsed.result.readings


def test_unknown_stays_unknown_and_zero_stays_zero() -> None:
    first, second = parse_text(load_plugin("nvidia"), CSV).result.readings
    assert first.values["mem_used_bytes"] == 0
    assert second.values["temp_c"] is None
    assert second.values["power_w"] is None


def test_a_process_name_that_looks_like_a_row_is_no_card() -> None:
    result = parse_text(load_plugin("nvidia"), TABLE).result
    assert [r.device.index for r in result.readings] == ["0"]
    assert [p.pid for p in result.processes] == [10291]


def test_the_power_of_a_board_is_on_one_die_and_marked_as_shared() -> None:
    first, second = parse_text(load_plugin("ascend"), NPU).result.readings
    assert (first.values["power_w"], second.values["power_w"]) == (162.8, None)
    assert (first.device.shares, second.device.shares) == ((), ("power_w", "power_cap_w"))
    assert second.states["health"] == "Warning"


@pytest.mark.parametrize(("vendor", "text"), EVERY)
def test_one_line_that_cannot_be_read_leaves_the_others(vendor: str, text: str) -> None:
    plugin = load_plugin(vendor)
    clean = len(parse_text(plugin, text).result.readings)
    noisy = parse_text(plugin, "WARNING: something else was printed first\n" + text).result
    assert len(noisy.readings) == clean


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", FindingKind.UNREADABLE),
        ("\n\n", FindingKind.UNREADABLE),
        ("No devices were found\n", FindingKind.NO_DEVICES),
        ("bash: nvidia-smi: command not found\n", FindingKind.MISSING_TOOL),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", FindingKind.TOOL_FAILED),
        (
            "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.159",
            FindingKind.TOOL_FAILED,
        ),
        ("complete nonsense", FindingKind.UNREADABLE),
    ],
)
def test_why_there_is_no_card_is_told_apart(text: str, kind: FindingKind) -> None:
    result = parse_text(load_plugin("nvidia"), text).result
    assert not result.readings
    assert [f.kind for f in result.findings] == [kind]


def test_a_hung_tool_and_a_missing_one_are_findings_of_their_own() -> None:
    [probe] = [p for p in load_plugin("ascend").probes if p.name == "ascend.info"]
    hung = probe.parse(Output("", outcome=Outcome.TIMEOUT))
    missing = probe.parse(Output("", "sh: npu-smi: not found", 127, Outcome.MISSING))
    assert [f.kind for f in hung.findings] == [FindingKind.TOOL_HUNG]
    assert [f.kind for f in missing.findings] == [FindingKind.MISSING_TOOL]


def test_too_much_is_refused_and_nothing_of_it_becomes_a_card() -> None:
    result = parse_text(load_plugin("nvidia"), "\x7fjunk" * MAX_CHARS, command="nvidia-smi").result
    assert not result.readings
    assert FindingKind.TOO_LARGE in {f.kind for f in result.findings}
    assert exit_code(result) == 2


def test_a_parser_that_breaks_its_promise_is_a_finding() -> None:
    def broken(output: Output) -> object:
        raise KeyError("x")

    result = guarded(broken, Output("raw text"))
    assert "KeyError" in result.findings[0].text
    assert result.findings[0].raw == "raw text"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_never_breaks_a_parser_and_never_gives_the_implausible(data: st.DataObject) -> None:
    vendor, text = data.draw(st.sampled_from(EVERY))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        to = data.draw(st.integers(at, len(text)))
        other = data.draw(st.sampled_from([t for _, t in EVERY]))
        text = data.draw(
            st.sampled_from([
                text[:at], text[at:], text[:at] + text[to:], text[:at] + text[at:to] * 2 + text[at:],
                text[:at] + other[: to - at] + text[at:], text[:at] + data.draw(st.sampled_from(JUNK)) + text[at:],
                text[:at] + data.draw(st.text(max_size=8)) + text[to:],
            ])
        )  # fmt: skip
    names = {m.name for m in metrics_of("card")}
    for plugin in (load_plugin(vendor), data.draw(st.sampled_from([p for p in load_plugins()[0] if p.parsers]))):
        parsed = parse_text(plugin, text)
        result = parsed.result
        assert not [f for f in result.findings if "the parser failed" in f.text], text
        keys = [r.device.key for r in result.readings]
        assert len(set(keys)) == len(keys)
        for reading in result.readings:
            assert reading.values.keys() <= names
            assert all(v is None or plausible(m, v) for m, v in reading.values.items())
