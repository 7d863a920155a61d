"""What hy-smi and Hygon's rocm-smi print: JSON, `DCU[0] : key : value` lines, and the table in its layouts."""

from __future__ import annotations

from fleetctl.model.reading import FaultAction
from fleetctl.plugin import Parser
from fleetctl.probes.detect_json import detect_parser
from fleetctl.probes.rocm import Rocm, json_parser, lines_parser, rocm_table_parser
from fleetctl.probes.sheet import Sheet


def finish(sheet: Sheet) -> None:
    """A busy card that draws less than any idle one has a broken sensor: a node of eight said 8.0 W each under load.

    The number stays as printed; the fault says what to think of it.
    """
    for card in sheet.cards:
        power, util = card.values.get("power_w"), card.values.get("util_pct")
        if power is not None and util is not None and util > 50 and power < 20:
            device = card.fields.get("pci") or card.fields.get("index")
            text = f"{power} W at {util} % use: the power sensor is not to be trusted"
            sheet.fault("sensor", "power", text, device=device, action=FaultAction.OBSERVE)
            card.states["power_sensor"] = "suspect"


FAMILY = Rocm(vendor="hygon", words=("DCU", "HCU", "GPU", "card"), finish=finish)
parse_json = json_parser(FAMILY)
parse_lines = lines_parser(FAMILY)
parse_table = rocm_table_parser(FAMILY)

PARSERS = (
    Parser("hygon.json", "hy-smi --json", parse_json, lambda text: '"card0"' in text[:4096] or '"card' in text[:65536]),
    Parser("hygon.lines", "hy-smi --showuse --showmeminfo vram", parse_lines,
           lambda text: any(f"{w}[" in text[:16384] for w in ("DCU", "HCU", "GPU"))),
    Parser("hygon.table", "hy-smi", parse_table,
           lambda text: "System Management Interface" in text[:4096] or "AvgPwr" in text[:4096]),
    Parser("hygon.rocm", "rocm-smi", parse_table, lambda text: False),
    detect_parser("hygon"),
)  # fmt: skip
