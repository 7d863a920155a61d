"""neuron: not read yet."""

from fleetctl.plugin import Plugin

plugin = Plugin(name="neuron", title="neuron")
