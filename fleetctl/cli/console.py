"""`fleetctl` without a command: the console on the fleet of fleet.toml."""

from __future__ import annotations

import importlib
import sys

from fleetctl.errors import UsageError
from fleetctl.i18n import _


def open_console() -> None:
    """Open the console. Raises UsageError when there is no terminal to draw on, ConfigError without a fleet file."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            _("the console needs a terminal"), hint=_("`fleetctl status` prints; `fleetctl --help` lists all commands")
        )
    from fleetctl.cli import context

    config, inventory = context.config(), context.inventory()
    # Drawing is the heaviest import of all; it is named here so that no other command pays for it.
    importlib.import_module("fleetctl.tui.app").open_console(config, inventory, config_path=context.options().config)
