"""Denglin: dlsmi, an XML form of the well-known family. README.md is the data sheet."""

from pathlib import Path

from fleetctl.model.probe import Probe
from fleetctl.model.reading import FaultAction, FindingKind
from fleetctl.plugin import Parser, Plugin
from fleetctl.probes.refusals import shell_refusal
from fleetctl.probes.sheet import Sheet
from fleetctl.probes.smi import Family, csv_parser, table_parser, xml_parser
from fleetctl.probes.smi.csv_form import looks_like_csv

_HERE = Path(__file__).parent


def refusal(sheet: Sheet, text: str) -> bool:
    """dlsmi's own errors."""
    low = text[:2000].lower()
    if "no devices" in low or "no device" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
        sheet.expected = 0
    elif shell_refusal(sheet, text):
        return True
    elif "failed" in low or "couldn't communicate" in low:
        sheet.find(FindingKind.TOOL_FAILED, "the library cannot start", text[:2000])
        sheet.fault("driver", "dlml_failed", text.strip()[:300], action=FaultAction.STOP_NEW_WORK)
    else:
        return False
    return True


FAMILY = Family(vendor="denglin", refusal=refusal)
parse_xml = xml_parser(FAMILY, ("dlsmi_log",))

plugin = Plugin(
    name="denglin",
    title="Denglin GPUs",
    doc="dlsmi -q -x",
    probes=(
        Probe(
            name="denglin.xml",
            command="dlsmi -q -x 2>&1",
            parse=parse_xml,
            detect="command -v dlsmi >/dev/null 2>&1",
            timeout_s=20.0,
            doc="everything, one element per chip; four chips share a board",
        ),
    ),
    parsers=(
        Parser("denglin.xml", "dlsmi -q -x", parse_xml, lambda text: "<dlsmi_log" in text[:4096]),
        Parser("denglin.query", "dlsmi --query-gpu=... --format=csv", csv_parser(FAMILY, ()), looks_like_csv,
               for_command=lambda command: csv_parser(FAMILY, (), asked=command)),
        Parser("denglin.table", "dlsmi", table_parser(FAMILY), lambda text: "DLSMI" in text[:4096].upper() and "|" in text[:4096]),
    ),
    chips=_HERE / "chips.csv",
    paths=("/usr/local/denglin/bin", "/opt/denglin/bin"),
)  # fmt: skip
