"""intel: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="intel", title="intel")
