"""AWS Neuron: neuron-ls and neuron-monitor. README.md is the data sheet."""

from pathlib import Path

from fleetctl.model.probe import Probe
from fleetctl.plugin import Plugin
from fleetctl_neuron.parsers import PARSERS, parse_list_json, parse_monitor

_HERE = Path(__file__).parent

plugin = Plugin(
    name="neuron",
    title="AWS Neuron",
    doc="neuron-ls inventory, neuron-monitor counters",
    probes=(
        Probe(
            name="neuron.list",
            command="neuron-ls -j 2>&1",
            parse=parse_list_json,
            detect="PATH=$PATH:/opt/aws/neuron/bin; command -v neuron-ls >/dev/null 2>&1",
            timeout_s=15.0,
            every_s=300.0,
            background=True,
            doc="devices, memory, processes",
        ),
        Probe(
            name="neuron.monitor",
            command="neuron-monitor 2>/dev/null | head -n 1",
            parse=parse_monitor,
            detect="PATH=$PATH:/opt/aws/neuron/bin; command -v neuron-monitor >/dev/null 2>&1",
            timeout_s=15.0,
            every_s=60.0,
            background=True,
            doc="use and ECC; the tool never ends, so its first document is taken",
        ),
    ),
    parsers=PARSERS,
    chips=_HERE / "chips.csv",
    faults=_HERE / "faults.csv",
    paths=("/opt/aws/neuron/bin",),
)
