"""T-Head PPU: ppu-smi. README.md is the data sheet."""

from pathlib import Path

from fleetctl.model.probe import Probe
from fleetctl.plugin import Plugin
from fleetctl_thead.parsers import COMPATIBLE, FIELDS, PARSERS, parse_query, parse_text

_HERE = Path(__file__).parent

plugin = Plugin(
    name="thead",
    title="T-Head PPU",
    doc="ppu-smi query, -q, table, list, links and counters",
    probes=(
        Probe(
            name="thead.query",
            command=f"o=$(ppu-smi --query-ppu={','.join(FIELDS)} --format=csv 2>/dev/null); "
            "case $o in index*) printf '%s\\n' \"$o\";; "
            f"*) ppu-smi --query-gpu={','.join(COMPATIBLE)} --format=csv 2>&1;; esac",
            parse=parse_query,
            detect="command -v ppu-smi >/dev/null 2>&1",
            timeout_s=15.0,
            doc="one line per card",
        ),
        Probe(
            name="thead.full",
            command="ppu-smi -q 2>&1",
            parse=parse_text,
            detect="command -v ppu-smi >/dev/null 2>&1",
            timeout_s=30.0,
            every_s=300.0,
            background=True,
            doc="slices, clocks, ECC, row remaps, links, Xid codes, processes",
        ),
    ),
    parsers=PARSERS,
    chips=_HERE / "chips.csv",
    paths=("/usr/local/PPU_SDK/bin", "/usr/local/PPU_SDK/ppu-smi/bin", "/usr/local/ppu/bin"),
)
