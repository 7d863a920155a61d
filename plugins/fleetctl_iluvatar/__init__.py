"""Iluvatar CoreX: ixsmi, a clone of the best known tool with fields of its own, and ix-exporter. README.md tells more."""

from pathlib import Path

from fleetctl.model.probe import Probe
from fleetctl.plugin import Plugin
from fleetctl_iluvatar.parsers import FIELDS, PARSERS, parse_query, parse_xml

_HERE = Path(__file__).parent
_PATH = (
    "PATH=$PATH:/usr/local/corex/bin:/usr/local/corex/sbin; "
    "LD_LIBRARY_PATH=$LD_LIBRARY_PATH:/usr/local/corex/lib64:/usr/local/corex/lib; export LD_LIBRARY_PATH; "
)

plugin = Plugin(
    name="iluvatar",
    title="Iluvatar CoreX GPUs",
    doc="ixsmi query, XML and table; ix-exporter",
    probes=(
        Probe(
            name="iluvatar.query",
            command=_PATH + f"ixsmi --query-gpu={','.join(FIELDS)} --format=csv 2>&1",
            parse=parse_query,
            detect=_PATH + "command -v ixsmi >/dev/null 2>&1 || [ -e /dev/iluvatar0 ]",
            timeout_s=15.0,
            doc="one line per die; the last die of a board carries the board's power",
        ),
        Probe(
            name="iluvatar.xml",
            command=_PATH + "ixsmi -q -x 2>&1",
            parse=parse_xml,
            detect=_PATH + "command -v ixsmi >/dev/null 2>&1",
            timeout_s=30.0,
            every_s=300.0,
            background=True,
            doc="clocks, ECC, PCIe, processes",
        ),
    ),
    parsers=PARSERS,
    paths=("/usr/local/corex/bin",),
    lease_env={"CUDA_VISIBLE_DEVICES": "{indexes}"},
    chips=_HERE / "chips.csv",
)
