"""thead: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="thead", title="thead")
