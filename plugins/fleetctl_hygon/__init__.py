"""Hygon DCU: hy-smi and its rocm-smi. README.md is the data sheet."""

from pathlib import Path

from fleetctl.model.probe import Probe
from fleetctl.plugin import Plugin
from fleetctl_hygon.parsers import PARSERS, parse_json, parse_table

_HERE = Path(__file__).parent
# Often not on the PATH of a session that is not interactive.
_FIND = (
    "PATH=$PATH:/opt/hyhal/bin:/opt/dtk/bin:/opt/rocm/bin; t=$(command -v hy-smi) || "
    "{ t=$(command -v rocm-smi) && [ -e /opt/dtk ]; } || t=; "
)

plugin = Plugin(
    name="hygon",
    title="Hygon DCU",
    doc="hy-smi JSON, lines and table",
    probes=(
        Probe(
            name="hygon.json",
            command=_FIND
            + '"$t" --showuse --showmemuse --showmeminfo vram --showpower --showtemp --showserial --showbus '
            "--json 2>/dev/null",
            parse=parse_json,
            detect=_FIND + '[ -n "$t" ]',
            timeout_s=20.0,
            doc="everything in one call, by card",
        ),
        Probe(
            name="hygon.table",
            command=_FIND + '"$t" 2>&1',
            parse=parse_table,
            detect=_FIND + '[ -n "$t" ]',
            timeout_s=20.0,
            every_s=300.0,
            background=True,
            doc="power cap and mode, which JSON leaves out",
        ),
    ),
    parsers=PARSERS,
    paths=("/opt/hyhal/bin", "/opt/dtk/bin"),
    lease_env={"HIP_VISIBLE_DEVICES": "{indexes}"},
    chips=_HERE / "chips.csv",
)
