"""ppu-smi's own errors, and what its full log says beyond its family's."""

from __future__ import annotations

import re

from fleetctl.model.reading import FaultAction, FindingKind
from fleetctl.probes.refusals import is_ellipsis, shell_refusal
from fleetctl.probes.sheet import Sheet
from fleetctl.probes.text import pci_address

_NO_HANDLE = re.compile(
    r"(?i)unable to determine the device handle for (?:ppu|gpu)\s*((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])?[^\n]*"
)


def refusal(sheet: Sheet, text: str) -> bool:
    """ppu-smi's own errors."""
    low = text[:2000].lower()
    if is_ellipsis(text.strip()):
        return True
    if "no device" in low or "no ppu" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
        sheet.expected = 0
    elif shell_refusal(sheet, text):
        return True
    elif "failed to initialize" in low or "couldn't communicate" in low:
        sheet.find(FindingKind.TOOL_FAILED, "the library cannot start", text[:2000])
        sheet.fault("driver", "hgml_failed", text.strip()[:300], action=FaultAction.STOP_NEW_WORK)
    elif (handle := _NO_HANDLE.search(text[:2000])) is not None:
        place = handle[1]
        sheet.fault(
            "bus", "lost", handle[0].strip(), device=pci_address(place) if place else None, action=FaultAction.ISOLATE
        )
    elif "is not a valid field" in low:
        sheet.find(FindingKind.TOOL_FAILED, "this driver does not know one of the fields", text[:2000])
    else:
        return False
    return True


_XIDS = re.compile(
    r"(?m)^(?:PPU[ \t]+([0-9A-Fa-f:]{5,16}\.[0-7])[ \t]*"
    r"|[ \t]+(PPU Reset|OS Reboot|Cold Reboot) Correctable[ \t]*:[ \t]*(\d{1,5})[ \t]*)$"
)
_ASKS = {
    "PPU Reset": FaultAction.RESET_NOW,
    "OS Reboot": FaultAction.ISOLATE,
    "Cold Reboot": FaultAction.REPAIR,
}


def xid_faults(sheet: Sheet, text: str) -> None:
    """The section `Xid Errors` of `-q`: the last code by what clears it."""
    device: str | None = None
    for match in _XIDS.finditer(text):
        if match[1]:
            device = match[1]
        else:
            known = sheet.find_card("pci", device)
            who = known.fields.get("pci") if known is not None else device
            sheet.fault("xid", match[3], match[0].strip(), device=who, action=_ASKS[match[2]])
