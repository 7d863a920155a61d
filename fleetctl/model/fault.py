"""The fault ladder: what a code means and what it asks for, in one vocabulary for all vendors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from fleetctl.model.reading import Fault, FaultAction


@dataclass(frozen=True, slots=True)
class FaultEntry:
    """One code. action: the rung, None when no source names one; advice: in words; level: the vendor's own word."""

    vendor: str
    family: str
    code: str
    name: str = ""
    meaning: str = ""
    action: FaultAction | None = None
    advice: str = ""
    level: str = ""
    source: str = ""


def plain_code(code: str) -> str:
    """Codes as they are compared: `0x80E01801`, `80e01801` and ` 80E01801 ` are one."""
    code = code.strip().lower()
    return code.removeprefix("0x").lstrip("0") or "0"


class Ladder:
    """All entries, found by vendor, family and code."""

    def __init__(self, entries: Iterable[FaultEntry]) -> None:
        self.entries = tuple(entries)
        self._by_code = {(e.vendor, e.family, plain_code(e.code)): e for e in self.entries}

    def find(self, vendor: str, family: str, code: str) -> FaultEntry | None:
        return self._by_code.get((vendor, family, plain_code(code)))

    def judge(self, fault: Fault) -> Fault:
        """The fault with meaning and action; what its own line named stays. Link errors say themselves how bad they are:
        the entry's action is for the fatal ones, a line marked non-fatal is only to be watched.
        """
        entry = self.find(fault.vendor, fault.family, fault.code)
        if entry is None:
            return fault
        action = fault.action or entry.action
        if (
            fault.action is None
            and entry.advice.lower().startswith("nonfatal: watch")
            and "nonfatal" in _flat(fault.text)
        ):
            action = FaultAction.OBSERVE
        return replace(fault, action=action, meaning=fault.meaning or entry.meaning or entry.name or None)


def _flat(text: str) -> str:
    return text.lower().replace("-", "").replace("_", "")
