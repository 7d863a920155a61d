"""Faults that stand in the values themselves: a remap that failed or waits, a driver that asks for a reset."""

from __future__ import annotations

from fleetctl.model.reading import FaultAction
from fleetctl.probes.sheet import Card, Sheet

_RECOVERY = {
    "reset": FaultAction.RESET_NOW,
    "gpu reset": FaultAction.RESET_NOW,
    "reboot": FaultAction.ISOLATE,
    "node reboot": FaultAction.ISOLATE,
    "drain p2p": FaultAction.STOP_NEW_WORK,
    "drain and reset": FaultAction.RESET_WHEN_IDLE,
}


def finish(sheet: Sheet) -> None:
    """Add the faults that a card's own state names. A card that reads healthy gets none."""
    for card in sheet.cards:
        if card.parent is not None:
            continue
        place = _place(card)
        if card.values.get("row_remap_failed"):
            sheet.fault(
                "remap", "failed", "a memory row could not be replaced", device=place, action=FaultAction.REPAIR
            )
        elif card.values.get("row_remap_pending"):
            text = "a memory row waits for a reset to be replaced"
            sheet.fault("remap", "pending", text, device=place, action=FaultAction.RESET_WHEN_IDLE)
        recovery = card.states.get("recovery_action", "none")
        if recovery.lower() != "none":
            action = _RECOVERY.get(recovery.lower(), FaultAction.STOP_NEW_WORK)
            sheet.fault("recovery", recovery.lower(), f"the driver asks: {recovery}", device=place, action=action)
        elif card.states.get("reset_required", "").lower() == "yes":
            sheet.fault("recovery", "reset", "the driver asks for a reset", device=place, action=FaultAction.RESET_NOW)
        elif card.states.get("drain_and_reset_recommended", "").lower() == "yes":
            text = "the driver asks for a drain and a reset"
            sheet.fault("recovery", "drain and reset", text, device=place, action=FaultAction.RESET_WHEN_IDLE)


def _place(card: Card) -> str | None:
    return card.fields.get("pci") or card.fields.get("uuid") or card.fields.get("index")
