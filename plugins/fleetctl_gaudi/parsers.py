"""hl-smi's query and table, and the driver's kernel lines."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fleetctl.model.probe import Output
from fleetctl.model.reading import Fault, FaultAction, FindingKind, ProbeResult
from fleetctl.plugin import Parser
from fleetctl.probes.detect_json import detect_parser
from fleetctl.probes.logs import log_lines
from fleetctl.probes.sheet import Sheet
from fleetctl.probes.smi import Family, csv_parser, list_parser, table_parser, text_parser
from fleetctl.probes.smi.csv_form import looks_like_csv

FIELDS = (
    "index", "uuid", "name", "bus_id", "serial", "module_id", "driver_version", "memory.total", "memory.used",
    "utilization.aip", "temperature.aip", "power.draw",
)  # fmt: skip


def refusal(sheet: Sheet, text: str) -> bool:
    """hl-smi's own errors."""
    low = text[:2000].lower()
    if "no aip" in low or "no device" in low or "no habana" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
        sheet.expected = 0
    elif "command not found" in low or "no such file or directory" in low:
        sheet.find(FindingKind.MISSING_TOOL, "no such tool on the host", text[:2000])
    elif "invalid" in low and ("field" in low or "query" in low or "argument" in low):
        sheet.find(FindingKind.TOOL_FAILED, "this version does not know one of the fields", text[:2000])
    elif "hlml" in low or ("driver" in low and ("not loaded" in low or "fail" in low)):
        sheet.find(FindingKind.TOOL_FAILED, "the library cannot start", text[:2000])
        sheet.fault("driver", "hlml_failed", text.strip()[:300], action=FaultAction.STOP_NEW_WORK)
    else:
        return False
    return True


FAMILY = Family(vendor="gaudi", word="AIP", refusal=refusal)
# The list others ask for without a header.
_COMMON = tuple(f for f in FIELDS if f != "driver_version")
parse_query = csv_parser(FAMILY, (FIELDS, _COMMON))
# What the driver says when a card goes wrong; a boot log has none of it.
_FAULTS = (
    (re.compile(r"heartbeat.*fail|no heartbeat", re.IGNORECASE), "heartbeat", FaultAction.RESET_NOW),
    (re.compile(r"uncorrectable|\bDERR\b|double.?bit", re.IGNORECASE), "ecc_uncorrectable", FaultAction.RESET_NOW),
    (re.compile(r"device is disabled|not operational|failed to (?:hard )?reset", re.IGNORECASE), "disabled", FaultAction.ISOLATE),
    (re.compile(r"going to (?:hard-)?reset device|hard reset", re.IGNORECASE), "reset", FaultAction.RESTART_WORK),
    (re.compile(r"link.*(?:down|lost)|port \d+.*down", re.IGNORECASE), "link_down", FaultAction.STOP_NEW_WORK),
)  # fmt: skip
_LINE = re.compile(r"habanalabs (\S+?):\s*(.*)$")


def parse_kernel(output: Output) -> ProbeResult:
    """Faults only, folded per card and kind; the card is named as the kernel does (`hl0`, or its address)."""
    sheet = Sheet("gaudi")
    text = output.stdout if not output.stdout.strip() else sheet.text_of(output)
    folded: dict[tuple[str, str], tuple[str, float | None, int, FaultAction]] = {}
    for line in log_lines(text, now=output.at, wanted=("habanalabs",)):
        match = _LINE.search(line.message)
        found = next(((c, a) for p, c, a in _FAULTS if match and p.search(match[2])), None)
        if match is None or found is None:
            continue
        _, at, count, _ = folded.get((found[0], match[1]), ("", None, 0, found[1]))
        folded[(found[0], match[1])] = (match[2], line.at if line.at is not None else at, count + 1, found[1])
    for (code, device), (said, at, count, action) in folded.items():
        sheet.fault("habanalabs", code, said, device=device, action=action, at=at, count=count)
    return sheet.result()


def kernel_faults(lines: Sequence[str]) -> tuple[Fault, ...]:
    """Faults in new kernel lines."""
    mine = [line for line in lines if "habanalabs" in line]
    return parse_kernel(Output("\n".join(mine))).faults if mine else ()


PARSERS = (
    Parser("gaudi.query", "hl-smi -Q ... -f csv", parse_query,
           lambda text: "+---" not in text[:4096] and "habanalabs" not in text[:512] and looks_like_csv(text),
           for_command=lambda command: csv_parser(FAMILY, (FIELDS, _COMMON), asked=command)),
    Parser("gaudi.table", "hl-smi", table_parser(FAMILY), lambda text: "HL-SMI" in text[:4096] and "|" in text[:4096]),
    Parser("gaudi.full", "hl-smi -q", text_parser(FAMILY), lambda text: "\nAIP 0" in text[:8192] or "HL-SMI LOG" in text[:4096]),
    Parser("gaudi.list", "hl-smi -L", list_parser(FAMILY), lambda text: text.startswith("AIP ") and "(UUID:" in text[:4096]),
    Parser("gaudi.kernel", "dmesg", parse_kernel, lambda text: "habanalabs" in text[:65536]),
    detect_parser("gaudi"),
)  # fmt: skip
