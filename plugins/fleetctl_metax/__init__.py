"""metax: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="metax", title="metax")
