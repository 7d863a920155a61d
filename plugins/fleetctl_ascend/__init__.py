"""ascend: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="ascend", title="ascend")
