"""nvidia-smi as driver 570 prints it: --query-gpu, --query-compute-apps, -L and --help-query-gpu."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from fleetctl_demo.machine import Card
from fleetctl_demo.tools import nvidia_xml

_DRIVER = "570.124.06"
_PCIE_GEN = {"H100": 5, "L40S": 4, "A100": 4, "4090": 4}

_Field = Callable[[Card], str]


def _gen(card: Card) -> str:
    return str(next((gen for word, gen in _PCIE_GEN.items() if word in card.type.name), 4))


def _ecc(card: Card, value: int) -> str:
    return "[N/A]" if "GeForce" in card.type.name else str(value)


# field -> text; units stand apart so that nounits can leave them out.
_FIELDS: dict[str, tuple[_Field, str]] = {
    "index": (lambda c: str(c.index), ""),
    "name": (lambda c: c.type.name, ""),
    "gpu_name": (lambda c: c.type.name, ""),
    "uuid": (lambda c: f"GPU-{c.uuid}", ""),
    "gpu_uuid": (lambda c: f"GPU-{c.uuid}", ""),
    "serial": (lambda c: c.serial if "GeForce" not in c.type.name else "[N/A]", ""),
    "gpu_serial": (lambda c: c.serial, ""),
    "pci.bus_id": (lambda c: f"0000{c.pci.upper()}", ""),
    "gpu_bus_id": (lambda c: f"0000{c.pci.upper()}", ""),
    "driver_version": (lambda c: _DRIVER, ""),
    "vbios_version": (lambda c: "96.00.89.00.01", ""),
    "persistence_mode": (lambda c: "Enabled", ""),
    "pstate": (lambda c: "P0" if c.util_pct else "P8", ""),
    "utilization.gpu": (lambda c: str(c.util_pct), " %"),
    "utilization.memory": (lambda c: str(int(c.util_pct * 0.6)), " %"),
    "memory.total": (lambda c: str(c.type.mem_mib), " MiB"),
    "memory.used": (lambda c: str(c.mem_used_mib), " MiB"),
    "memory.free": (lambda c: str(c.type.mem_mib - c.mem_used_mib), " MiB"),
    "temperature.gpu": (lambda c: str(c.temp_c), ""),
    "temperature.memory": (
        lambda c: str(c.mem_temp_c) if c.type.name.find("HBM") > 0 or "SXM" in c.type.name else "N/A",
        "",
    ),
    "power.draw": (lambda c: f"{c.power_w:.2f}", " W"),
    "power.draw.average": (lambda c: f"{c.power_w:.2f}", " W"),
    "power.draw.instant": (lambda c: f"{c.power_w:.2f}", " W"),
    "power.limit": (lambda c: f"{c.type.cap_w:.2f}", " W"),
    "enforced.power.limit": (lambda c: f"{c.type.cap_w:.2f}", " W"),
    "clocks.sm": (lambda c: str(c.clock_mhz), " MHz"),
    "clocks.gr": (lambda c: str(c.clock_mhz), " MHz"),
    "clocks.current.sm": (lambda c: str(c.clock_mhz), " MHz"),
    "clocks.current.graphics": (lambda c: str(c.clock_mhz), " MHz"),
    "clocks.max.sm": (lambda c: str(c.type.clock_mhz), " MHz"),
    "clocks.max.graphics": (lambda c: str(c.type.clock_mhz), " MHz"),
    "clocks.mem": (lambda c: "2619", " MHz"),
    "clocks.current.memory": (lambda c: "2619", " MHz"),
    "fan.speed": (lambda c: "[N/A]" if "GeForce" not in c.type.name else str(30 + c.temp_c // 2), " %"),
    "ecc.mode.current": (lambda c: _ecc(c, 0) if "GeForce" in c.type.name else "Enabled", ""),
    "ecc.errors.corrected.volatile.total": (lambda c: _ecc(c, c.ecc_corrected), ""),
    "ecc.errors.uncorrected.volatile.total": (lambda c: _ecc(c, c.ecc_uncorrected), ""),
    "ecc.errors.corrected.aggregate.total": (lambda c: _ecc(c, c.ecc_corrected * 4), ""),
    "ecc.errors.uncorrected.aggregate.total": (lambda c: _ecc(c, c.ecc_uncorrected), ""),
    "retired_pages.pending": (
        lambda c: "No" if "A100" not in c.type.name and "H100" not in c.type.name else "[N/A]",
        "",
    ),
    "remapped_rows.correctable": (lambda c: _ecc(c, 0), ""),
    "remapped_rows.uncorrectable": (lambda c: _ecc(c, int(c.ecc_uncorrected > 0)), ""),
    "remapped_rows.pending": (lambda c: "Yes" if c.ecc_uncorrected else "No", ""),
    "remapped_rows.failure": (lambda c: "No", ""),
    "pcie.link.gen.current": (_gen, ""),
    "pcie.link.gen.max": (_gen, ""),
    "pcie.link.gen.gpumax": (_gen, ""),
    "pcie.link.width.current": (lambda c: "16", ""),
    "pcie.link.width.max": (lambda c: "16", ""),
    "mig.mode.current": (lambda c: "Disabled" if "A100" in c.type.name or "H100" in c.type.name else "[N/A]", ""),
    "clocks_throttle_reasons.active": (lambda c: "0x0000000000000004" if c.util_pct > 97 else "0x0000000000000000", ""),
    "clocks_event_reasons.active": (lambda c: "0x0000000000000004" if c.util_pct > 97 else "0x0000000000000000", ""),
    "gpu_recovery_action": (lambda c: "Reset" if c.ecc_uncorrected else "None", ""),
    "compute_mode": (lambda c: "Default", ""),
    "count": (lambda c: "8", ""),
}


def run(arguments: str, cards: Sequence[Card]) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of `nvidia-smi ARGUMENTS` on a host with these cards."""
    found = [card for card in cards if not card.lost]
    errors = [
        f"Unable to determine the device handle for GPU{c.index}: 0000{c.pci.upper()}: Unknown Error"
        for c in cards
        if c.lost
    ]
    first = "".join(f"{line}\n" for line in errors)
    if query := re.search(r"--query-gpu=(\S+)", arguments):
        return _query(query[1].strip("\"'").split(","), arguments, found, first)
    if "--query-compute-apps" in arguments:
        asked = re.search(r"--query-compute-apps=(\S+)", arguments)
        names = asked[1].strip("\"'").split(",") if asked else ["pid"]
        rows = [", ".join(_app(name, card, process) for name in names) for card in found for process in card.processes]
        head = "" if "noheader" in arguments else ", ".join(names) + "\n"
        return 0, head + "".join(f"{row}\n" for row in rows), ""
    if "--help-query-gpu" in arguments:
        return 0, "".join(f'"{name}"\n' for name in _FIELDS), ""
    if re.search(r"(^|\s)-q(\s|$)", arguments) and re.search(r"(^|\s)-x(\s|$)", arguments):
        return 0, first + nvidia_xml.text(found, len(cards), _DRIVER, _gen(cards[0]) if cards else "4"), ""
    if re.search(r"(^|\s)(-L|--list-gpus)(\s|$)", arguments):
        lines = [f"GPU {c.index}: {c.type.name} (UUID: GPU-{c.uuid})" for c in found]
        return 0, first + "".join(f"{line}\n" for line in lines), ""
    return 2, "Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.\n", ""


def _query(names: list[str], arguments: str, cards: Sequence[Card], first: str) -> tuple[int, str, str]:
    for name in names:
        if name not in _FIELDS:
            return 2, f'Field "{name}" is not a valid field to query.\n\n', ""
    units = "nounits" not in arguments
    rows = [", ".join(_cell(name, card, units) for name in names) for card in cards]
    head = "" if "noheader" in arguments else ", ".join(names) + "\n"
    return 0, first + head + "".join(f"{row}\n" for row in rows), ""


def _cell(name: str, card: Card, units: bool) -> str:
    value, unit = _FIELDS[name]
    text = value(card)
    return text + unit if units and text[:1].isdigit() else text


def _app(name: str, card: Card, process: tuple[int, str, int]) -> str:
    pid, command, mem = process
    return {
        "pid": str(pid),
        "process_name": command,
        "name": command,
        "gpu_uuid": f"GPU-{card.uuid}",
        "gpu_bus_id": f"0000{card.pci.upper()}",
        "used_memory": str(mem),
        "used_gpu_memory": str(mem),
    }.get(name, "[N/A]")
