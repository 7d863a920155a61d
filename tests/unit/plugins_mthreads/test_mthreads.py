"""What mthreads-gmi says in forms the shared recordings lack. Texts are made up in the tool's layout."""

from fleetctl.model.reading import FindingKind, ProbeResult
from fleetctl.plugin import load_plugin
from fleetctl.probes.parsing import exit_code, parse_text

MIB = 2**20

TABLE = """\
    mthreads-gmi:2.3.4           Driver Version:2.9.2-000
---------------------------------------------------------------
ID   Name           |PCIe                |%GPU  Mem
     Device Type    |Pcie Lane Width     |Temp  MPC Capable
                                         |      ECC Mode
+-------------------------------------------------------------+
3    MTT S4000      |00000008:5e:00.0    |58%   30094MiB(32768MiB)
     MPC Parent     |4x(16x)             |57C   YES
                                         |      N/A
---------------------------------------------------------------
...
Processes:
ID   PID       Process name                         GPU Memory
                                                         Usage
+-------------------------------------------------------------+
3    1123      /opt/a tool/with blanks              134MiB
---------------------------------------------------------------
"""

JSON = """\
{"Driver Version": "3.3.5-server", "Attached GPUs": "2", "GPU": [
 {"Index": "0", "Product Name": "MTT S5000", "GPU UUID": "aa11-22", "Serial Number": "S0", "MTBios Version": "4.3.41",
  "PCI": {"Bus ID": "00000000:2a:00.0", "GPU Link Info": {"PCIe Generation": {"Max": "5", "Current": "4"},
  "Link Width": {"Max": "16x", "Current": "8x"}}}, "FB Memory Usage": {"Total": "81920MiB", "Used": "0MiB"},
  "Utilization": {"Gpu": "0%", "Memory": "3%"}, "Power Readings": {"Power Draw ": "96.66W", "Current Power Limit": "950.00W"},
  "Fan": {"Channel": "2", "Speed": {"Fan0": "75%", "Fan1": "74%"}},
  "Retired Pages": {"Single Bit ECC": "1", "Double Bit ECC": "2", "Pending Page Blacklist": "No"}},
 {"Index": "1", "Product Name": "MTT S5000", "Utilization": {"Gpu": "N/A"}, "Power Readings": {"Power Draw ": "97.09W"}}
]}
"""


def read(text: str) -> ProbeResult:
    return parse_text(load_plugin("mthreads"), text).result


def test_a_type_of_two_words_is_no_performance_state() -> None:
    result = read(TABLE)
    card = result.readings[0]
    assert card.states["device_type"] == "MPC Parent"
    assert "pstate" not in card.states
    assert (card.values["pcie_width"], card.values["pcie_width_max"]) == (4, 16)
    assert (card.values["mem_used_bytes"], card.values["mem_total_bytes"]) == (30094 * MIB, 32768 * MIB)
    assert card.device.pci == "0008:5e:00.0"
    assert "power_w" not in card.values
    assert [(p.pid, p.name, p.mem_used_bytes) for p in result.processes] == [
        (1123, "/opt/a tool/with blanks", 134 * MIB)
    ]
    assert exit_code(result) == 0


def test_keys_with_blanks_and_nested_blocks_are_read() -> None:
    result = read(JSON)
    first, second = result.readings
    assert result.devices_expected == 2
    assert (first.device.firmware, first.device.driver) == ("4.3.41", "3.3.5-server")
    wanted = {"power_w": 96.66, "power_cap_w": 950.0, "fan_pct": 75, "pages_retired": 3, "pages_pending": 0}
    assert wanted.items() <= first.values.items()
    assert (first.values["pcie_gen"], first.values["pcie_width"], first.values["pcie_width_max"]) == (4, 8, 16)
    assert second.values["util_pct"] is None


def test_json_cut_in_the_second_card_gives_the_first() -> None:
    result = read(JSON[: JSON.index('"Index": "1"') + 30])
    assert [r.device.serial for r in result.readings] == ["S0"]
    assert exit_code(result) == 1


def test_lines_without_indent_belong_to_the_heading_above() -> None:
    result = read(
        "Driver Version : 2.7.0\nAttached GPUs : 1\n\nGPU0 00000000:01:00.0\nProduct Name : MTT S90\nPCI\nBus : 0x01\n"
        "Link Width\nMax : 16x\nCurrent : 8x\nFB Memory Usage\nTotal : 24576MiB\nUsed : 5MiB\nClocks\nMemory : 2003MHz\n"
        "Max Clocks\nMemory : 2100MHz\n"
    )
    values = result.readings[0].values
    assert (values["pcie_width"], values["mem_used_bytes"], values["mem_clock_mhz"]) == (8, 5 * MIB, 2003)


def test_no_tool_is_not_no_card() -> None:
    result = read("/bin/sh: 1: mthreads-gmi: not found\n")
    assert [f.kind for f in result.findings] == [FindingKind.MISSING_TOOL]


def test_table_reads_what_its_head_names() -> None:
    text = """
    mthreads-gmi:1.6.0           Driver Version:2.1.0
ID   Name           |PCIe                |%GPU  Mem
     Device Type    |Pcie Lane Width     |Pwr:Usage/Cap  Temp  MPC Capable
                                         |      ECC Mode
+-------------------------------------------------------------+
0    MTT S80        |00000000:01:00.0    |7%    3419MiB(16384MiB)
     Physical       |4x(16x)             |35W / 255W     59C   NO
                                         |      N/A
"""
    (reading,) = read(text).readings
    assert reading.values["temp_c"] == 59
    assert (reading.values["power_w"], reading.values["power_cap_w"]) == (35, 255)
    assert (reading.values["pcie_width"], reading.values["pcie_width_max"]) == (4, 16)
    assert reading.states["mpc"] == "NO"
    assert "ecc_mode" not in reading.states
