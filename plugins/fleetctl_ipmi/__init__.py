"""ipmi: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="ipmi", title="ipmi")
