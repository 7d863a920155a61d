"""Buildings that publish what they measure: the BMS event bus of NVIDIA's DSX Exchange over MQTT."""

from fleetctl.plugin import Plugin

plugin = Plugin(
    name="mqtt",
    title="MQTT building bus",
    doc="The BMS event bus of DSX Exchange: metadata first, then values with their own time and quality.",
    sources={"mqtt": "fleetctl_mqtt.source:open_source", "mqtts": "fleetctl_mqtt.source:open_source"},
)
