"""cambricon: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="cambricon", title="cambricon")
