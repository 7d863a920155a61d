"""Servers whose BMC speaks IPMI over LAN (lanplus), with DCMI where it has it."""

from fleetctl.plugin import Plugin

plugin = Plugin(
    name="ipmi",
    title="IPMI",
    doc="IPMI 2.0 over LAN through pyghmi in a held session: sensors, DCMI power and cap, chassis power and identify.",
    sources={"ipmi": "fleetctl_ipmi.source:open_source"},
)
