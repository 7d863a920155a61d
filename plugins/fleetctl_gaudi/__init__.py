"""gaudi: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="gaudi", title="gaudi")
