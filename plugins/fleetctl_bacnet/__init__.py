"""Meters, coolers and controllers that speak BACnet/IP."""

from fleetctl.plugin import Plugin

plugin = Plugin(
    name="bacnet",
    title="BACnet/IP",
    doc="BACnet/IP: analog and binary inputs and values with their units; what has a fault is unknown.",
    sources={"bacnet": "fleetctl_bacnet.source:open_source"},
)
