"""gpustack-runtime: what another collector over the vendors' libraries says, for every vendor it knows."""

from fleetctl.plugin import Plugin
from fleetctl.probes.detect_json import detect_parser

plugin = Plugin(
    name="gpustack-runtime",
    title="gpustack-runtime",
    doc="cards of every vendor from `gpustack-runtime detect --format json`",
    parsers=(detect_parser(""),),
)
