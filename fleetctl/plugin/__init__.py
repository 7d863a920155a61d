"""What a plugin hands over, and how plugins are found."""

from fleetctl.plugin.loading import BrokenPlugin, load_plugin, load_plugins, plugin_names
from fleetctl.plugin.plugin import Parser, Plugin

__all__ = ["BrokenPlugin", "Parser", "Plugin", "load_plugin", "load_plugins", "plugin_names"]
