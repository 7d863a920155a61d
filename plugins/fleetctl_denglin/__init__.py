"""denglin: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="denglin", title="denglin")
