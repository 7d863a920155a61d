"""What every command stands on: the options before the command's name, the fleet file, the inventory, the database.

Nothing is read before a command asks for it; errors come as FleetctlError and end in app.run.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fleetctl.i18n import set_language

if TYPE_CHECKING:
    from fleetctl.config import Config
    from fleetctl.inventory import Inventory
    from fleetctl.model.host import Host
    from fleetctl.store.database import Database


@dataclass(frozen=True, slots=True)
class GlobalOptions:
    """config: path given with -C, None for the usual places; verbose: how often -v was given; lang: "" if not given."""

    config: Path | None = None
    verbose: int = 0
    lang: str = ""


_options = GlobalOptions()
_config: Config | None = None
_inventory: Inventory | None = None


def set_options(options: GlobalOptions) -> None:
    """Remember the options of this invocation and forget what an earlier one read."""
    global _options, _config, _inventory
    _options, _config, _inventory = options, None, None
    set_language(options.lang)


def options() -> GlobalOptions:
    return _options


def config() -> Config:
    """The fleet file, read once. Raises ConfigError."""
    global _config
    if _config is None:
        from fleetctl.config import load_config

        _config = load_config(_options.config)
        if _config.chips:
            from fleetctl.plugin.catalogue import set_own_chips

            set_own_chips(Path(_config.chips).expanduser())
        # --lang and FLEETCTL_LANG are meant for this moment; the file speaks before the locale of the machine.
        if _config.language and not _options.lang and not os.environ.get("FLEETCTL_LANG"):
            set_language(_config.language)
    return _config


def inventory() -> Inventory:
    """Which hosts exist, built once. Raises ConfigError."""
    global _inventory
    if _inventory is None:
        from fleetctl.inventory import build_inventory

        _inventory = build_inventory(config(), _partitions())
    return _inventory


def _partitions() -> dict[str, dict[str, tuple[str, ...]]]:
    """What schedulers beside ours said last of their partitions; nothing before the first answer."""
    if not config().schedulers:
        return {}
    from fleetctl.errors import FleetctlError
    from fleetctl.store.outside import list_partitions

    try:
        with database() as db, db.read() as conn:
            return list_partitions(conn)
    except FleetctlError:
        return {}


def database(*, write: bool = False) -> Database:
    """The database of this fleet; use it as a context manager. Raises NotFoundError when nothing was polled yet."""
    from fleetctl.store.database import Database

    return Database.open(config().store.path, write=write)


def stale_after_s() -> float:
    """Age from which a value counts as old."""
    poll = config().poll
    return poll.interval_s * poll.stale_after


def now() -> float:
    return time.time()


def select_hosts(words: Sequence[str] | None) -> list[Host]:
    """Hosts named by node sets, in the sets' order without repetition; all hosts for no words; `-` reads stdin.

    Raises UsageError and NotFoundError as Inventory.select does.
    """
    fleet = inventory()
    sets = list(_with_stdin(words or ()))
    if not words:
        return list(fleet.hosts.values())
    found = {host.name: host for text in sets for host in fleet.select(text)}
    return list(found.values())


def _with_stdin(words: Iterable[str]) -> Iterable[str]:
    for text in words:
        if text == "-":
            yield from sys.stdin.read(1_000_000).split()
        else:
            yield text


def complete_nodes(incomplete: str) -> list[str]:
    """Node names and @groups for shell completion; silent when there is no fleet file."""
    from fleetctl.errors import FleetctlError

    head, comma, last = incomplete.rpartition(",")
    try:
        fleet = inventory()
    except FleetctlError:
        return []
    words = (f"@{group}" for group in fleet.groups) if last.startswith("@") else iter(fleet.hosts)
    found = [f"{head}{comma}{word}" for word in words if word.startswith(last)]
    return found[:500]
