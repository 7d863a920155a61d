"""Servers, power shelves, rack PDUs and coolant distribution units that speak Redfish."""

from fleetctl.plugin import Plugin

plugin = Plugin(
    name="redfish",
    title="Redfish",
    doc="DMTF Redfish over HTTPS: Power and Thermal, the newer subsystems, sensors, metric reports, PDUs, CDUs.",
    sources={
        "redfish+https": "fleetctl_redfish.source:open_source",
        "https": "fleetctl_redfish.source:open_source",
        "redfish+http": "fleetctl_redfish.source:open_source",
        "http": "fleetctl_redfish.source:open_source",
    },
)
