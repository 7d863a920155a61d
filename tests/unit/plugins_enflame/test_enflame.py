"""What efsmi says in forms the shared recordings lack. Texts are made up in the tool's layout."""

from fleetctl.model.reading import FaultAction, ProbeResult
from fleetctl.plugin import load_plugin
from fleetctl.probes.parsing import exit_code, parse_text

MIB = 2**20

QUERY = """\
DEV ID 4
    Device Info
        Dev Name                : S60
        Dev UUID                : UU1
        Dev SN                  : SN1
        Health                  : False
    PCIe Info
        Domain                  : 0000
        Bus                     : 17
        Dev                     : 00
        Func                    : 0
        Link Info
        Max Link Width          : X16
        Cur Link Width          : X8
    Clock Info
        Mem CLK                 : 7000 MHz
    Device Mem Info
        Total Size              : 42976 MiB
        Used Size               : 0 MiB
    BAR2 Mem Info
        Total Size              : 64 GiB
    Temperature Info
        GCU Temp                : 76 ℃
        Memory Temp             : N/A
        Board Temp              : 49 ℃
    RMA Info
        Flags                   : True
        Total DBE               : 2
    Error Details
        User Triggered Reset    : 1
        SIP Error               : 3
"""

DMON = """\
*Dev Pwr    DTemp  Sip    DUsed  Dpm     MUsed  Mem    Mclk   TxPci   RxPci
*Idx W      C      %      %      L       %      MiB    MHz    MiB/s   MiB/s
0    101    36     0.0    0.0    Sleep   84.1   42976  7000   0       0
1    N/A    37     0.0    12.5   Active  83.7   42976  7000   0       0
0    103    38     0.0    1.0    Sleep   84.1   42976  7000   0       0
"""

TOPO = """\
        GCU0    GCU1     CPU Affinity    NUMA Affinity
GCU0     X      ESL2     0-7,32-39       0
GCU1    ESL2     X       0-7,32-39       0

Legend:
    X    = Self
"""


def read(text: str) -> ProbeResult:
    return parse_text(load_plugin("enflame"), text).result


def test_a_window_onto_the_memory_is_not_the_memory() -> None:
    card = read(QUERY.replace("        Total Size              : 42976 MiB\n", "")).readings[0]
    assert "mem_total_bytes" not in card.values
    assert read(QUERY).readings[0].values["mem_total_bytes"] == 42976 * MIB


def test_a_card_that_asks_for_replacement_says_so() -> None:
    result = read(QUERY)
    card = result.readings[0]
    assert card.states["health"] == "Alarm"
    wanted = {"pcie_width": 8, "pcie_width_max": 16, "mem_clock_mhz": 7000, "temp_c": 76, "board_temp_c": 49,
              "mem_temp_c": None, "mem_used_bytes": 0, "ecc_uncorrected_life_total": 2}  # fmt: skip
    assert wanted.items() <= card.values.items()
    assert [(f.code, f.count, f.device) for f in result.faults] == [("rma", 1, "UU1"), ("sip", 3, "UU1")]
    assert result.faults[0].action is FaultAction.REPAIR


def test_of_several_periods_the_last_one_counts() -> None:
    result = read(DMON)
    assert [(r.device.index, r.values["power_w"], r.values["util_pct"]) for r in result.readings] == [
        ("0", 103, 1.0),
        ("1", None, 12.5),
    ]
    assert "mem_used_bytes" not in result.readings[0].values
    assert exit_code(result) == 0


def test_bonded_links_are_counted() -> None:
    result = read(TOPO)
    assert [r.values.get("links_up") for r in result.readings] == [2, 2]
    assert exit_code(result) == 0
