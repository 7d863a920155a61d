"""biren: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="biren", title="biren")
