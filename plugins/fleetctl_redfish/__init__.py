"""redfish: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="redfish", title="redfish")
