"""mthreads: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="mthreads", title="mthreads")
