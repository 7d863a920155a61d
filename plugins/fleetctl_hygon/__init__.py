"""hygon: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="hygon", title="hygon")
