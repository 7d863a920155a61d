"""enflame: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="enflame", title="enflame")
