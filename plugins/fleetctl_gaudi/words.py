"""hl-smi's own errors."""

from __future__ import annotations

from fleetctl.model.reading import FaultAction, FindingKind
from fleetctl.probes.refusals import shell_refusal
from fleetctl.probes.sheet import Sheet


def refusal(sheet: Sheet, text: str) -> bool:
    """hl-smi's own errors."""
    low = text[:2000].lower()
    if "no aip" in low or "no device" in low or "no habana" in low:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text[:2000])
        sheet.expected = 0
    elif shell_refusal(sheet, text):
        return True
    elif "invalid" in low and ("field" in low or "query" in low or "argument" in low):
        sheet.find(FindingKind.TOOL_FAILED, "this version does not know one of the fields", text[:2000])
    elif "hlml" in low or ("driver" in low and ("not loaded" in low or "fail" in low)):
        sheet.find(FindingKind.TOOL_FAILED, "the library cannot start", text[:2000])
        sheet.fault("driver", "hlml_failed", text.strip()[:300], action=FaultAction.STOP_NEW_WORK)
    else:
        return False
    return True
