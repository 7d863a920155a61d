"""modbus: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="modbus", title="modbus")
