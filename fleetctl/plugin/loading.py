"""How plugins are found: names without importing, modules when asked; a broken one is a warning, never a crash."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from fleetctl.errors import NotFoundError
from fleetctl.plugin.plugin import Plugin

GROUP = "fleetctl.plugins"


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """A plugin that could not be imported, and why; shown by `fleetctl plugins` and `fleetctl doctor`."""

    name: str
    module: str
    error: str


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {e.name: e for e in sorted(entry_points(group=GROUP), key=lambda e: e.name)}


def plugin_names() -> list[str]:
    """Names of all installed plugins, sorted, without importing any."""
    return list(_entry_points())


@cache
def _load(name: str) -> Plugin | BrokenPlugin:
    entry = _entry_points()[name]
    try:
        loaded = entry.load()
        plugin = loaded if isinstance(loaded, Plugin) else loaded.plugin
    except Exception as error:  # a stranger's module may raise anything
        return BrokenPlugin(name, entry.value, f"{type(error).__name__}: {error}")
    if not isinstance(plugin, Plugin):
        return BrokenPlugin(name, entry.value, f"`plugin` is a {type(plugin).__name__}, not a Plugin")
    return plugin


def load_plugin(name: str) -> Plugin:
    """One plugin by name. Raises NotFoundError when it is not installed or broken."""
    if name not in _entry_points():
        raise NotFoundError(f"no plugin named {name!r}", hint=f"installed: {', '.join(plugin_names()) or 'none'}")
    plugin = _load(name)
    if isinstance(plugin, BrokenPlugin):
        raise NotFoundError(f"plugin {name!r} is broken: {plugin.error}", hint="fleetctl plugins lists all of them")
    return plugin


def load_plugins() -> tuple[list[Plugin], list[BrokenPlugin]]:
    """All plugins that load, and those that do not, both sorted by name."""
    loaded = [_load(name) for name in plugin_names()]
    return [p for p in loaded if isinstance(p, Plugin)], [p for p in loaded if isinstance(p, BrokenPlugin)]
