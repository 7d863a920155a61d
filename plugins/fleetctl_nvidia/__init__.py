"""nvidia: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="nvidia", title="nvidia")
