"""Cambricon MLU: cnmon's table and info blocks, the MLU exporter. README.md is the data sheet."""

from pathlib import Path

from fleetctl.model.probe import Probe
from fleetctl.plugin import Plugin
from fleetctl_cambricon.parsers import PARSERS, parse_table

_HERE = Path(__file__).parent
_PATH = "PATH=$PATH:/usr/local/neuware/bin:/usr/bin"

plugin = Plugin(
    name="cambricon",
    title="Cambricon MLU",
    doc="cnmon table and info blocks, MLU exporter",
    probes=(
        Probe(
            name="cambricon.table",
            command=f"{_PATH}; d=$(mktemp -d) && cd $d && cnmon 2>&1; e=$?; cd /; rm -rf $d; exit $e",
            parse=parse_table,
            detect=f"{_PATH}; command -v cnmon >/dev/null 2>&1 || [ -e /dev/cambricon_ctl ]",
            timeout_s=15.0,
            doc="two lines per card; in a private directory, because cnmon may write files where it stands",
        ),
    ),
    parsers=PARSERS,
    paths=("/usr/local/neuware/bin",),
    lease_env={"MLU_VISIBLE_DEVICES": "{indexes}"},
    chips=_HERE / "chips.csv",
)
