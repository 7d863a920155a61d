"""T-Head PPU: ppu-smi. README.md is the data sheet."""

from pathlib import Path

from fleetctl.model.probe import Probe
from fleetctl.plugin import Plugin
from fleetctl_thead.parsers import FIELDS, PARSERS, parse_query, parse_xml

_HERE = Path(__file__).parent

plugin = Plugin(
    name="thead",
    title="T-Head PPU",
    doc="ppu-smi query, XML, -q, table and list",
    probes=(
        Probe(
            name="thead.query",
            command=f"ppu-smi --query-gpu={','.join(FIELDS)} --format=csv 2>&1",
            parse=parse_query,
            detect="command -v ppu-smi >/dev/null 2>&1",
            timeout_s=15.0,
            doc="one line per card",
        ),
        Probe(
            name="thead.xml",
            command="ppu-smi -q -x 2>&1",
            parse=parse_xml,
            detect="command -v ppu-smi >/dev/null 2>&1",
            timeout_s=30.0,
            every_s=300.0,
            background=True,
            doc="slices, clocks, ECC, processes",
        ),
    ),
    parsers=PARSERS,
    chips=_HERE / "chips.csv",
    paths=("/usr/local/PPU_SDK/bin", "/usr/local/ppu/bin"),
)
