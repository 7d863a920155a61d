"""What the i915 and xe drivers write to the kernel log when a card goes wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fleetctl.model.probe import Output
from fleetctl.model.reading import Fault, FaultAction, ProbeResult
from fleetctl.probes.logs import log_lines
from fleetctl.probes.sheet import Sheet

# First match wins.
_FAULTS = (
    (r"declared device .* as wedged|\bwedged\b|failed to (?:reset|reinitiali[sz]e)", "wedged", FaultAction.ISOLATE),
    (r"hardware error.*fatal|fatal.*hardware error|uncorrectable", "hardware_fatal", FaultAction.RESET_WHEN_IDLE),
    (r"GPU HANG", "hang", FaultAction.RESTART_WORK),
    (r"(?:engine|chip|gt|tile).*\breset\b|\bresetting\b", "reset", FaultAction.RESTART_WORK),
    (r"timed ?out job|job timed ?out", "job_timeout", FaultAction.RESTART_WORK),
    (r"guc.*(?:fail|error|dead)|firmware.*(?:fail|error)", "firmware", FaultAction.STOP_NEW_WORK),
)  # fmt: skip
_COMPILED = tuple((re.compile(p, re.IGNORECASE), c, a) for p, c, a in _FAULTS)
_LINE = re.compile(r"\b(?:i915|xe)\s+([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]):\s*(.*)$", re.IGNORECASE)
_BUILT_IN = "0000:00:02.0"  # where graphics in the processor always sit
_WANTED = ("i915 ", "xe ")
_LOUD = re.compile(r"error|hang|wedged|critical|timed ?out|fail|\breset", re.IGNORECASE)


def parse_kernel(output: Output) -> ProbeResult:
    """Faults only, folded per card and kind. Graphics in the processor are left out."""
    sheet = Sheet("intel")
    text = output.stdout if not output.stdout.strip() else sheet.text_of(output)
    folded: dict[tuple[str, str], tuple[str, float | None, int, FaultAction]] = {}
    for line in log_lines(text, now=output.at, wanted=_WANTED):
        match = _LINE.search(line.message[:2000])
        if match is None or match[1] == _BUILT_IN or not _LOUD.search(match[2]):
            continue
        found = next(((c, a) for p, c, a in _COMPILED if p.search(match[2])), None)
        if found is None:
            continue
        _, at, count, _ = folded.get((found[0], match[1]), ("", None, 0, found[1]))
        folded[(found[0], match[1])] = (match[2], line.at if line.at is not None else at, count + 1, found[1])
    for (code, device), (said, at, count, action) in folded.items():
        sheet.fault("kernel", code, said, device=device, action=action, at=at, count=count)
    return sheet.result()


def kernel_faults(lines: Sequence[str]) -> tuple[Fault, ...]:
    """Faults in new kernel lines."""
    mine = [line for line in lines if any(w in line for w in _WANTED)]
    return parse_kernel(Output("\n".join(mine))).faults if mine else ()
