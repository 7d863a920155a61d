"""Moore Threads: mthreads-gmi. README.md is the data sheet."""

from pathlib import Path

from fleetctl.model.probe import Probe
from fleetctl.plugin import Plugin
from fleetctl_mthreads.kernel import kernel_faults
from fleetctl_mthreads.parsers import PARSERS, parse_json, parse_table

_HERE = Path(__file__).parent
_DETECT = "command -v mthreads-gmi >/dev/null 2>&1"

plugin = Plugin(
    name="mthreads",
    title="Moore Threads GPUs",
    doc="mthreads-gmi JSON, -q and table",
    probes=(
        Probe(
            name="mthreads.json",
            command="mthreads-gmi -q --json 2>&1",
            parse=parse_json,
            detect=_DETECT,
            timeout_s=20.0,
            doc="use, memory, temperature, power, clocks, link",
        ),
        Probe(
            name="mthreads.table",
            command="mthreads-gmi 2>&1",
            parse=parse_table,
            detect=_DETECT,
            timeout_s=20.0,
            every_s=300.0,
            background=True,
            doc="processes and degraded links",
        ),
    ),
    parsers=PARSERS,
    lease_env={"MUSA_VISIBLE_DEVICES": "{indexes}"},
    chips=_HERE / "chips.csv",
    faults=_HERE / "faults.csv",
    kernel_faults=kernel_faults,
    paths=("/usr/local/musa/bin",),
)
