"""Intel Gaudi: hl-smi and the habanalabs driver's lines. README.md is the data sheet."""

from pathlib import Path

from fleetctl.model.probe import Probe
from fleetctl.plugin import Plugin
from fleetctl_gaudi.kernel import kernel_faults
from fleetctl_gaudi.parsers import FIELDS, PARSERS, parse_query

_HERE = Path(__file__).parent

plugin = Plugin(
    name="gaudi",
    title="Intel Gaudi",
    doc="hl-smi query and table, kernel lines",
    probes=(
        Probe(
            name="gaudi.query",
            command=f"hl-smi -Q {','.join(FIELDS)} -f csv 2>&1",
            parse=parse_query,
            detect="command -v hl-smi >/dev/null 2>&1 || [ -e /sys/class/accel/accel0/device/armcp_ver ]",
            timeout_s=15.0,
            doc="one line per card; power.draw is that of the 54 V rail only",
        ),
    ),
    parsers=PARSERS,
    chips=_HERE / "chips.csv",
    faults=_HERE / "faults.csv",
    kernel_faults=kernel_faults,
    paths=("/opt/habanalabs/bin", "/usr/bin"),
)
