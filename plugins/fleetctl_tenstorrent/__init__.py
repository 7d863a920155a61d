"""tenstorrent: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="tenstorrent", title="tenstorrent")
