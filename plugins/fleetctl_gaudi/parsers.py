"""hl-smi's forms: the query and the table through the readers of their family, the log by its own."""

from __future__ import annotations

from fleetctl.model.reading import FaultAction, FindingKind
from fleetctl.plugin import Parser
from fleetctl.probes.detect_json import detect_parser
from fleetctl.probes.refusals import missing_tool
from fleetctl.probes.sheet import Sheet
from fleetctl.probes.smi import Family, csv_parser, list_parser, table_parser
from fleetctl.probes.smi.csv_form import looks_like_csv
from fleetctl_gaudi.kernel import parse_kernel
from fleetctl_gaudi.log_form import HEAD, log_parser

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
    elif missing_tool(sheet, text):
        return True
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
parse_log = log_parser("gaudi", refusal)


def looks_like_log(text: str) -> bool:
    """The log names itself, or opens a card with its address."""
    return "HL-SMI LOG" in text[:4096] or HEAD.search(text[:16384]) is not None


PARSERS = (
    Parser("gaudi.query", "hl-smi -Q ... -f csv", parse_query,
           lambda text: "+---" not in text[:4096] and "habanalabs" not in text[:512] and looks_like_csv(text),
           for_command=lambda command: csv_parser(FAMILY, (FIELDS, _COMMON), asked=command)),
    Parser("gaudi.table", "hl-smi", table_parser(FAMILY), lambda text: "HL-SMI" in text[:4096] and "|" in text[:4096]),
    Parser("gaudi.full", "hl-smi -q", parse_log, looks_like_log),
    Parser("gaudi.log", "hl-smi -L", parse_log, looks_like_log),
    Parser("gaudi.list", "hl-smi -L", list_parser(FAMILY), lambda text: text.startswith("AIP ") and "(UUID:" in text[:4096]),
    Parser("gaudi.kernel", "dmesg", parse_kernel, lambda text: "habanalabs" in text[:65536]),
    detect_parser("gaudi"),
)  # fmt: skip
