"""snmp: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="snmp", title="snmp")
