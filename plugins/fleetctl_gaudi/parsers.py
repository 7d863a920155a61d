"""hl-smi's forms: the query and the table through the readers of their family, the log by its own."""

from __future__ import annotations

from fleetctl.plugin import Parser
from fleetctl.probes.detect_json import detect_parser
from fleetctl.probes.smi import Family, csv_parser, list_parser, table_parser
from fleetctl.probes.smi.csv_form import looks_like_csv
from fleetctl_gaudi.kernel import parse_kernel
from fleetctl_gaudi.links import PORT, parse_links
from fleetctl_gaudi.log_form import HEAD, log_parser
from fleetctl_gaudi.words import refusal

FIELDS = (
    "index", "uuid", "name", "bus_id", "serial", "module_id", "driver_version", "memory.total", "memory.used",
    "utilization.aip", "temperature.aip", "power.draw",
)  # fmt: skip


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
    Parser("gaudi.links", "hl-smi -n link", parse_links, lambda text: any(PORT.match(x) for x in text[:4096].split("\n"))),
    Parser("gaudi.kernel", "dmesg", parse_kernel, lambda text: "habanalabs" in text[:65536]),
    detect_parser("gaudi"),
)  # fmt: skip
