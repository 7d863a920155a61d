"""Enflame GCU: efsmi. README.md is the data sheet."""

from pathlib import Path

from fleetctl.model.probe import Probe
from fleetctl.plugin import Plugin
from fleetctl_enflame.parsers import PARSERS, parse_query

_HERE = Path(__file__).parent

plugin = Plugin(
    name="enflame",
    title="Enflame GCU",
    doc="efsmi -q, list and table",
    probes=(
        Probe(
            name="enflame.query",
            command="efsmi -q 2>&1",
            parse=parse_query,
            detect="command -v efsmi >/dev/null 2>&1",
            timeout_s=20.0,
            doc="everything, one block per card or slice",
        ),
    ),
    parsers=PARSERS,
    lease_env={"TOPS_VISIBLE_DEVICES": "{indexes}"},
    chips=_HERE / "chips.csv",
    faults=_HERE / "faults.csv",
    paths=("/opt/tops/bin", "/usr/local/efsmi/bin", "/usr/lib/efsmi"),
)
