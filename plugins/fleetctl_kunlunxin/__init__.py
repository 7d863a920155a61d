"""kunlunxin: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="kunlunxin", title="kunlunxin")
