"""MetaX: mx-smi (also sold as ht-smi). README.md is the data sheet."""

from pathlib import Path

from fleetctl.model.probe import Probe
from fleetctl.plugin import Plugin
from fleetctl_metax.kernel import kernel_faults
from fleetctl_metax.parsers import PARSERS, parse_show, parse_table

_HERE = Path(__file__).parent
_FIND = (
    "PATH=$PATH:/opt/mxdriver/bin:/opt/maca/bin:/opt/htdriver/bin; "
    "t=$(command -v mx-smi || command -v ht-smi) || t=; "
)  # fmt: skip

plugin = Plugin(
    name="metax",
    title="MetaX GPUs",
    doc="mx-smi table, --show blocks, JSON and topology; error ids of the kernel drivers",
    probes=(
        Probe(
            name="metax.table",
            command=_FIND + '"$t" 2>&1',
            parse=parse_table,
            detect=_FIND + '[ -n "$t" ]',
            timeout_s=15.0,
            doc="two lines per card: state, power and cap, temperature, memory, utilisation, processes",
        ),
        Probe(
            name="metax.show",
            command=_FIND + '"$t" --show-temperature --show-memory --show-usage 2>&1',
            parse=parse_show,
            detect=_FIND + '[ -n "$t" ]',
            timeout_s=30.0,
            every_s=300.0,
            background=True,
            doc="hot spot and board temperatures",
        ),
    ),
    parsers=PARSERS,
    paths=("/opt/mxdriver/bin", "/opt/maca/bin", "/opt/htdriver/bin"),
    lease_env={"CUDA_VISIBLE_DEVICES": "{indexes}"},
    chips=_HERE / "chips.csv",
    faults=_HERE / "faults.csv",
    kernel_faults=kernel_faults,
)
