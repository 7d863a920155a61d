"""Meters, coolers and coolant distribution units that speak Modbus TCP."""

from fleetctl.plugin import Plugin

plugin = Plugin(
    name="modbus",
    title="Modbus TCP",
    doc="Modbus TCP by register maps (maps/*.json): address, type, word order, scale, unit and the code for absent.",
    sources={"modbus": "fleetctl_modbus.source:open_source"},
)
