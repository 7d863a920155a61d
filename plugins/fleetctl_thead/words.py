"""ppu-smi's own errors, and what its full log says beyond its family's."""

from __future__ import annotations

import re

from fleetctl.model.reading import FaultAction, FindingKind
from fleetctl.probes.refusals import is_ellipsis, missing_tool
from fleetctl.probes.sheet import Sheet


def refusal(sheet: Sheet, text: str) -> bool:
    """ppu-smi's own errors."""
    low = text[:2000].lower()
    if is_ellipsis(text.strip()):
        return True
    if "no devices were found" in low or "no ppu" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
        sheet.expected = 0
    elif missing_tool(sheet, text):
        return True
    elif "failed to initialize" in low or "couldn't communicate" in low:
        sheet.find(FindingKind.TOOL_FAILED, "the library cannot start", text[:2000])
        sheet.fault("driver", "hgml_failed", text.strip()[:300], action=FaultAction.STOP_NEW_WORK)
    elif "is not a valid field" in low:
        sheet.find(FindingKind.TOOL_FAILED, "this driver does not know one of the fields", text[:2000])
    else:
        return False
    return True


_XIDS = re.compile(
    r"(?m)^(?:PPU\s+([0-9A-Fa-f:]{5,16}\.[0-7])\s*|\s+(PPU Reset|OS Reboot|Cold Reboot) Correctable\s*:\s*(\d{1,5})\s*)$"
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
