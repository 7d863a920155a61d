"""rocm-smi --json as ROCm 6.2 prints it: one object, card0..n, every value a string."""

from __future__ import annotations

import json
from collections.abc import Sequence

from fleetctl_demo.machine import Card

MIB = 1024 * 1024


def run(arguments: str, cards: Sequence[Card]) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of `rocm-smi ARGUMENTS` on a host with these cards."""
    if "--json" not in arguments:
        return 2, "", "rocm-smi: error: the simulated tool prints --json only\n"
    body: dict[str, dict[str, str]] = {}
    for card in cards:
        if card.lost:
            continue
        body[f"card{card.index}"] = {
            "Device Name": card.type.name,
            "Card Series": card.type.name,
            "Card Model": "0x74a1",
            "Card Vendor": "Advanced Micro Devices, Inc. [AMD/ATI]",
            "Unique ID": f"0x{card.uuid.replace('-', '')[:16]}",
            "Serial Number": card.serial,
            "PCI Bus": card.pci.upper(),
            "VBIOS version": "113-M3000100-102",
            "Temperature (Sensor junction) (C)": f"{card.temp_c}.0",
            "Temperature (Sensor memory) (C)": f"{card.mem_temp_c}.0",
            "Current Socket Graphics Package Power (W)": f"{card.power_w:.1f}",
            "Max Graphics Package Power (W)": f"{card.type.cap_w:.1f}",
            "GPU use (%)": str(card.util_pct),
            "GPU Memory Allocated (VRAM%)": str(100 * card.mem_used_mib // card.type.mem_mib),
            "VRAM Total Memory (B)": str(card.type.mem_mib * MIB),
            "VRAM Total Used Memory (B)": str(card.mem_used_mib * MIB),
            "sclk clock speed:": f"({card.clock_mhz}Mhz)",
            "PCIe Replay Count": "0",
        }
    body["system"] = {"Driver version": "6.8.5"}
    return 0, json.dumps(body) + "\n", ""
