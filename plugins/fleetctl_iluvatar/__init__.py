"""iluvatar: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="iluvatar", title="iluvatar")
