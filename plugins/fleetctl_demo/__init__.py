"""A simulated fleet behind real SSH servers on loopback; nothing in the console knows that it is a demo."""

from fleetctl.plugin import Plugin

plugin = Plugin(
    name="demo",
    title="demo fleet",
    doc="simulated hosts that answer over real SSH, and the building around them over TCP",
    sources={"demo": "fleetctl_demo.bus:open_source"},
)
