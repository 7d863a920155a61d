"""What the chip catalogue of the installed plugins tells placement."""

from __future__ import annotations

from functools import cache

from fleetctl.plugin.catalogue import catalogue
from fleetctl.scheduler.placement import ChipFacts

HPC_FP64_TFLOPS = 4.0  # below, double precision is there for compatibility and not for work


@cache
def chip_facts() -> dict[str, ChipFacts]:
    """Facts by chip name. A chip without a figure has None there, and is refused where the figure is asked for."""
    found = {}
    for chip in catalogue().chips:
        classes = []
        if any(chip.peaks.get(p) for p in ("fp16", "bf16", "fp8", "int8")):
            classes.append("ai")
        if (chip.peaks.get("fp64") or 0.0) >= HPC_FP64_TFLOPS:
            classes.append("hpc")
        found[chip.chip] = ChipFacts(
            chip.chip,
            tuple(classes),
            chip.peaks.get("fp16"),
            None if chip.memory_gb is None else int(chip.memory_gb * 2**30),
            chip.power_w,
        )
    return found
