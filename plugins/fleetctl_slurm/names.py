"""The inventory's name for a node of Slurm, and back."""

from __future__ import annotations

from fleetctl.config.schema import Scheduler
from fleetctl.errors import UsageError
from fleetctl_slurm.words import is_name


class Names:
    """By `node_pattern` of fleet.toml. Raises UsageError for a pattern without {name}."""

    def __init__(self, settings: Scheduler) -> None:
        self._before, found, self._after = settings.node_pattern.partition("{name}")
        if not found:
            raise UsageError(
                f"{settings.endpoint}: node_pattern {settings.node_pattern!r} has no {{name}}",
                hint='write for example "{name}" or "{name}-ib"',
            )

    def host(self, node: str) -> str:
        """The inventory's name for one of its nodes; a node that does not fit the pattern keeps its own."""
        inner = node.removeprefix(self._before).removesuffix(self._after)
        return inner if inner and f"{self._before}{inner}{self._after}" == node else node

    def node(self, host: str) -> str:
        node = f"{self._before}{host}{self._after}"
        if not is_name(node):
            raise UsageError(f"{node!r} cannot be the name of a node")
        return node
