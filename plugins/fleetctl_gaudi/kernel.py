"""What the habanalabs driver writes to the kernel log when a card goes wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fleetctl.model.probe import Output
from fleetctl.model.reading import Fault, FaultAction, ProbeResult
from fleetctl.probes.logs import log_lines
from fleetctl.probes.sheet import Sheet

# First match wins; a boot log has none of them.
_FAULTS = (
    (r"heartbeat.*(?:fail|not received)|no heartbeat", "heartbeat", FaultAction.RESET_NOW),
    (r"uncorrectable|\bDERR\b|double.?bit", "ecc_uncorrectable", FaultAction.RESET_NOW),
    (r"device is disabled|not operational|not usable|failed to (?:hard[ -]?)?reset|disabled or in reset", "disabled", FaultAction.ISOLATE),
    (r"boot(?:ing)? (?:error|fail)|failed to load firmware|failed to initialize|didn't finish boot", "boot_failed", FaultAction.STOP_NEW_WORK),
    (r"going to (?:\S+ )?reset|hard[ -]?reset", "reset", FaultAction.RESTART_WORK),
    (r"command submission \d+.*(?:not finished|timed out)", "job_timeout", FaultAction.RESTART_WORK),
    (r"(?:link|port).*\b(?:down|lost)\b", "link_down", FaultAction.STOP_NEW_WORK),
    (r"throttl(?:ing|ed)|overheat", "throttle", FaultAction.OBSERVE),
    (r"correctable|\bSERR\b|single.?bit", "ecc_correctable", FaultAction.OBSERVE),
)  # fmt: skip
_COMPILED = tuple((re.compile(p, re.IGNORECASE), c, a) for p, c, a in _FAULTS)
# `habanalabs hl0: `, `habanalabs 0000:33:00.0: `, `habanalabs 0000:33:00.0 hbl_0: `, `accel accel0: `.
_LINE = re.compile(
    r"(?:habanalabs|accel)\s+(hl\d{1,4}|accel\d{1,4}|[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])(?:\s+\w+)?:\s*(.*)$",
    re.IGNORECASE,
)
_WANTED = ("habanalabs", "accel accel")


def parse_kernel(output: Output) -> ProbeResult:
    """Faults only, folded per card and kind; the card is named as the kernel does (`hl0`, or its address)."""
    sheet = Sheet("gaudi")
    text = output.stdout if not output.stdout.strip() else sheet.text_of(output)
    folded: dict[tuple[str, str], tuple[str, float | None, int, FaultAction]] = {}
    for line in log_lines(text, now=output.at, wanted=_WANTED):
        match = _LINE.search(line.message)
        found = next(((c, a) for p, c, a in _COMPILED if match and p.search(match[2][:500])), None)
        if match is None or found is None:
            continue
        _, at, count, _ = folded.get((found[0], match[1]), ("", None, 0, found[1]))
        folded[(found[0], match[1])] = (match[2], line.at if line.at is not None else at, count + 1, found[1])
    for (code, device), (said, at, count, action) in folded.items():
        sheet.fault("habanalabs", code, said, device=device, action=action, at=at, count=count)
    return sheet.result()


def kernel_faults(lines: Sequence[str]) -> tuple[Fault, ...]:
    """Faults in new kernel lines."""
    mine = [line for line in lines if any(w in line for w in _WANTED)]
    return parse_kernel(Output("\n".join(mine))).faults if mine else ()
