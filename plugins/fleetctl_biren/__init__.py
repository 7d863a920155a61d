"""Biren: brsmi by its documented flags. No output of it is public: unproven, please send a recording."""

from pathlib import Path

from fleetctl.model.probe import Probe
from fleetctl.model.reading import FindingKind
from fleetctl.plugin import Parser, Plugin
from fleetctl.probes.refusals import shell_refusal
from fleetctl.probes.sheet import Sheet
from fleetctl.probes.smi import Family, csv_parser, table_parser
from fleetctl.probes.smi.csv_form import looks_like_csv

_HERE = Path(__file__).parent
_PATH = "PATH=$PATH:/usr/local/birensupa/bin:/opt/birentech/bin"
# `index,memory.used` is the one query that is quoted anywhere; the rest follows the family's names.
FIELDS = ("index", "uuid", "name", "pci.bus_id", "memory.used", "memory.total", "utilization.gpu", "temperature.gpu",
          "power.draw", "power.limit")  # fmt: skip


def refusal(sheet: Sheet, text: str) -> bool:
    """brsmi's own errors, as far as they can be guessed: nothing here becomes a value."""
    low = text[:2000].lower()
    if shell_refusal(sheet, text):
        return True
    if "no device" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
    elif "error" in low or "invalid" in low or "usage:" in low:
        sheet.find(FindingKind.TOOL_FAILED, "the tool refuses", text[:2000])
    else:
        return False
    return True


FAMILY = Family(vendor="biren", refusal=refusal)
parse_query = csv_parser(FAMILY, (FIELDS, ("index", "memory.used")))

plugin = Plugin(
    name="biren",
    title="Biren GPUs (unproven)",
    doc="brsmi gpu --query-gpu by its documented flags; no recording is public",
    probes=(
        Probe(
            name="biren.query",
            command=f"{_PATH}; brsmi gpu --query-gpu={','.join(FIELDS)} --format=csv 2>&1",
            parse=parse_query,
            detect=f"{_PATH}; command -v brsmi >/dev/null 2>&1",
            timeout_s=15.0,
            doc="unproven: written from flags, never seen printed",
        ),
    ),
    parsers=(
        Parser(
            "biren.query",
            "brsmi gpu --query-gpu=... --format=csv",
            parse_query,
            lambda text: looks_like_csv(text),
            for_command=lambda command: csv_parser(FAMILY, (FIELDS,), asked=command),
        ),
        Parser(
            "biren.table",
            "brsmi",
            table_parser(FAMILY),
            lambda text: "BRSMI" in text[:4096].upper() and "|" in text[:4096],
        ),
    ),
    paths=("/usr/local/birensupa/bin", "/opt/birentech/bin"),
    chips=_HERE / "chips.csv",
)
