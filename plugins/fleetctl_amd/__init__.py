"""amd: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="amd", title="amd")
