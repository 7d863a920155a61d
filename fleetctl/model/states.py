"""The four axes of a node. They are independent: never fold them into one word.

Values are the keys used in the store, in JSON and in filters; they are never translated there.
"""

from __future__ import annotations

from enum import StrEnum


class _Word(StrEnum):
    """Hashed as the word it is: Enum's own hash is a Python function, and a fleet's states are counted by the 10,000."""

    __hash__ = str.__hash__


class Reach(_Word):
    """Does it answer? `hung` means: the host answers, a probe on it does not end."""

    FRESH = "fresh"
    STALE = "stale"
    HUNG = "hung"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


class Health(_Word):
    OK = "ok"
    WARN = "warn"
    CRIT = "crit"
    UNKNOWN = "unknown"

    @property
    def rank(self) -> int:
        """Worst first: crit 0, unknown 1, warn 2, ok 3. Blind is never green, so unknown is worse than warn."""
        return _HEALTH_RANK[self]


_HEALTH_RANK = {Health.CRIT: 0, Health.UNKNOWN: 1, Health.WARN: 2, Health.OK: 3}


class Admin(_Word):
    """May it get work? Who changed it, why and since when stands beside it in the store."""

    STAGED = "staged"
    BURN_IN = "burn_in"
    IN_SERVICE = "in_service"
    CORDONED = "cordoned"
    DRAINING = "draining"
    DRAINED = "drained"
    MAINTENANCE = "maintenance"
    VERIFY = "verify"
    QUARANTINED = "quarantined"
    RMA = "rma"
    RETIRED = "retired"


class Load(_Word):
    IDLE = "idle"
    MIXED = "mixed"
    ALLOCATED = "allocated"
    UNKNOWN = "unknown"


class ReasonClass(StrEnum):
    """Why a node leaves service; a reason is always `class: text`."""

    HW = "hw"
    NET = "net"
    POWER = "power"
    COOL = "cool"
    SW = "sw"
    USER = "user"
    MAINT = "maint"
