"""Exception codes of the device's history log and of the driver's kernel lines, folded by code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from fleetctl.model.probe import Output
from fleetctl.model.reading import Fault, ProbeResult
from fleetctl.probes.logs import log_lines
from fleetctl.probes.sheet import Sheet

_HISTORY = re.compile(r"exception code \[0x([0-9A-Fa-f]{8})\](.*)$")
_STAMP = re.compile(r"^\[(\d{4})-(\d{2})-(\d{2})-(\d{2}):(\d{2}):(\d{2})(\.\d{1,9})?\]")
_KERNEL = re.compile(
    r"\[ascend\].*?(?:event_id|event id|fault_code|error_code)\s*[=:(]\s*(?:0x)?([0-9A-Fa-f]{8})\b(.*)$", re.I
)
_DEVICE = re.compile(r"\bdev(?:ice)?_?id\s*[=:(]\s*(\d{1,4})", re.IGNORECASE)


def parse_log(output: Output) -> ProbeResult:
    """Faults only; device where the line names one."""
    sheet = Sheet("ascend")
    text = output.stdout if not output.stdout.strip() else sheet.text_of(output)
    folded: dict[tuple[str, str | None], tuple[str, float | None, int]] = {}
    for line in log_lines(text, now=output.at, wanted=("exception code", "[ascend]")):
        match = _HISTORY.search(line.message) or _KERNEL.search(line.message)
        if match is None:
            continue
        device = _DEVICE.search(match[2])
        key = (f"0x{match[1].upper()}", device[1] if device else None)
        at = line.at if line.at is not None else _stamp(line.message)
        said, before, count = folded.get(key, (match[2].lstrip(": "), None, 0))
        latest = max((t for t in (at, before) if t is not None), default=None)
        folded[key] = (said, latest, count + 1)
    for (code, device_id), (said, at, count) in folded.items():
        sheet.fault("npu", code, said, device=device_id, at=at, count=count)
    return sheet.result()


def _stamp(message: str) -> float | None:
    match = _STAMP.match(message)
    if match is None:
        return None
    try:
        year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
        at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return at.timestamp() + float(match[7] or 0)


def kernel_faults(lines: Sequence[str]) -> tuple[Fault, ...]:
    """Faults in new kernel lines."""
    mine = [line for line in lines if "[ascend]" in line]
    return parse_log(Output("\n".join(mine))).faults if mine else ()


def looks_like_log(text: str) -> bool:
    return "system exception code [0x" in text[:65536] or "[ascend]" in text[:65536]
