"""`fleetctl` without a command: the console on the fleet of fleet.toml, and an engine beside it when none runs."""

from __future__ import annotations

import contextlib
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from fleetctl.config.schema import Config
from fleetctl.errors import FleetctlError, UsageError
from fleetctl.i18n import _


def open_console() -> None:
    """Open the console. Raises UsageError when there is no terminal to draw on, ConfigError without a fleet file."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            _("the console needs a terminal"), hint=_("`fleetctl status` prints; `fleetctl --help` lists all commands")
        )
    from fleetctl.cli import context
    from fleetctl.config import find_config

    config, inventory = context.config(), context.inventory()
    path = find_config(context.options().config).resolve()
    with _engine(config, path):
        # Drawing is the heaviest import of all; it is named here so that no other command pays for it.
        importlib.import_module("fleetctl.tui.app").open_console(config, inventory, config_path=path)


@contextlib.contextmanager
def _engine(config: Config, path: Path) -> Iterator[None]:
    """An engine for as long as the console is open, unless one runs already. The console does not wait for it, except
    for a store that is not there yet or of an older schema; it says itself when no engine lives."""
    from fleetctl.engine.child import ensure_engine, is_readable, wait_until_running

    database = Path(config.store.path)
    try:
        child = ensure_engine(database, path, follow=True)
    except OSError as error:
        raise FleetctlError(f"{database.parent}: {error.strerror}", hint="set store.path in fleet.toml") from error
    if child is None:
        yield
        return
    try:
        if not is_readable(database):
            wait_until_running(child, database)
        yield
    finally:
        assert child.stdin is not None
        child.stdin.close()  # that is how it knows; it ends in order
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=20)
