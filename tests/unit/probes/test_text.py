"""Numbers, units, addresses: what is read, what stays unknown, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.model.metric import metrics_of
from fleetctl.probes.text import clean, identifier, measure, pci_address, plausible, whole


@pytest.mark.parametrize(
    ("metric", "text", "unit", "value"),
    [
        ("power_w", "627.40 W", "", 627.4),
        ("power_w", "627400 mW", "", 627.4),
        ("mem_used_bytes", "32362 MiB", "", 32362 * 2**20),
        ("mem_used_bytes", "61215720 KB", "", 61215720 * 1024),
        ("mem_used_bytes", "0", "MiB", 0),
        ("temp_c", "52C", "", 52),
        ("temp_c", "35℃", "", 35),
        ("clock_mhz", "1.98 GHz", "", 1980),
        ("fan_pct", "0 %", "", 0),
        ("pcie_width", "16x", "", 16),
        ("row_remap_pending", "No", "", 0),
        ("row_remap_pending", "Yes", "", 1),
        ("ecc_corrected_total", "0x10", "", 16),
    ],
)
def test_measure_reads_a_value_in_the_catalogue_unit(metric: str, text: str, unit: str, value: float) -> None:
    assert measure(metric, text, unit) == (value, "")


@pytest.mark.parametrize(
    "text",
    ["", "-", "--", "N/A", "[N/A]", "NA", " N/A ", "[Unknown Error]", "N/A (Secondary die)", "xxxxx MiB", "ERR!", "None",
     "[Not Supported]", "9223372036854775794", "[GPU is lost]", "nan", "null", "Disabled", "[Insufficient Permissions]"],
)  # fmt: skip
def test_measure_keeps_the_unknown_unknown_without_a_finding(text: str) -> None:
    assert measure("mem_used_bytes", text, "MiB") == (None, "")


@pytest.mark.parametrize(
    ("metric", "text"),
    [("temp_c", "-40"), ("temp_c", "65535"), ("util_pct", "101 %"), ("power_w", "-1 W"), ("power_w", "12 C"),
     ("mem_used_bytes", "9 parsecs"), ("temp_c", "warm"), ("power_w", "1e300")],
)  # fmt: skip
def test_measure_refuses_the_absurd_and_says_so(metric: str, text: str) -> None:
    value, problem = measure(metric, text)
    assert value is None
    assert metric in problem


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("00000000:1A:00.0", "0000:1a:00.0"),
        ("0000:1A:00.0", "0000:1a:00.0"),
        ("1a:00.0", "0000:1a:00.0"),
        ("00000008:01:00.0", "0008:01:00.0"),
        ("PCI:0019:01:00", "0019:01:00.0"),
        ("banana", None),
        ("", None),
    ],
)
def test_pci_address_keeps_the_domain(text: str, address: str | None) -> None:
    assert pci_address(text) == address


@pytest.mark.parametrize(
    "text", ["0000000000000", "GPU-00000000-0000-0000-0000-000000000000", "REDACTED", "N/A", "xxxx"]
)
def test_a_masked_identity_is_none(text: str) -> None:
    assert identifier(text) is None


def test_clean_takes_escapes_and_controls_out() -> None:
    assert clean("\x1b[4mGPU0\x1b[0m\tX\r\n\x07ok") == "GPU0\tX\n ok"


@given(st.text(max_size=60))
def test_whole_takes_only_what_int_takes(text: str) -> None:
    number = whole(text)
    assert number is None or number == int(text)


@given(
    st.sampled_from([m.name for m in metrics_of("card")]), st.text(max_size=60), st.sampled_from(["", "MiB", "W", "%"])
)
def test_measure_never_raises_and_never_passes_the_implausible(metric: str, text: str, unit: str) -> None:
    value, problem = measure(metric, text, unit)
    assert value is None or not problem
    assert value is None or plausible(metric, value)
