"""The cards of one host while several commands' answers are read: found by NPU id and chip id."""

from __future__ import annotations

from fleetctl.model.reading import FaultAction, FindingKind
from fleetctl.probes.refusals import shell_refusal
from fleetctl.probes.sheet import Card, Sheet

# (words, kind, meaning, fault code). The tool prints these on stdout or stderr and exits with another status than 0.
_SAID = (
    ("invalid card id", FindingKind.TOOL_FAILED, "the driver does not know this card any more", "lost"),
    ("invalid npu id", FindingKind.TOOL_FAILED, "the driver does not know this card any more", "lost"),
    ("dcmi module initialize failed", FindingKind.TOOL_FAILED, "the driver's interface cannot start", "dcmi_failed"),
    ("dcmi model initialized failed", FindingKind.TOOL_FAILED, "the driver's interface cannot start", "dcmi_failed"),
    ("can't get device count", FindingKind.TOOL_FAILED, "the driver's interface cannot start", "dcmi_failed"),
    ("drvmng", FindingKind.TOOL_FAILED, "the driver's interface cannot start", "dcmi_failed"),
    ("no device", FindingKind.NO_DEVICES, "the driver sees no card", ""),
    ("no npu device", FindingKind.NO_DEVICES, "the driver sees no card", ""),
    ("there is no npu", FindingKind.NO_DEVICES, "the driver sees no card", ""),
    ("permission denied", FindingKind.NOT_PERMITTED, "needs group HwHiAiUser or root", ""),
    ("error while loading shared libraries", FindingKind.TOOL_FAILED, "a library of the driver is missing", "library_missing"),
    ("this device does not support", FindingKind.TOOL_FAILED, "the card does not know this question", ""),
    ("not support", FindingKind.TOOL_FAILED, "the card does not know this question", ""),
)  # fmt: skip


def refusal(sheet: Sheet, text: str, device: str | None = None) -> bool:
    """True when a text or line is one of the tool's own refusals; a finding or fault has then been noted."""
    low = text[:2000].lower()
    for words, kind, meaning, code in _SAID:
        if words in low:
            sheet.find(kind, meaning, text[:2000])
            if code == "lost":
                sheet.fault("bus", "lost", text.strip()[:300], device=device, action=FaultAction.ISOLATE)
            elif code:
                sheet.fault("driver", code, text.strip()[:300], action=FaultAction.STOP_NEW_WORK)
            return True
    return shell_refusal(sheet, text)


class Board:
    """Cards by (NPU id, chip id), made when first named."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self._cards: dict[tuple[str, str], Card] = {}

    def card(self, npu: str, chip: str = "0") -> Card:
        """The card of this NPU and chip."""
        found = self._cards.get((npu, chip))
        if found is None:
            found = self._cards[(npu, chip)] = self.sheet.card(index=npu)
        return found

    def known(self, npu: str, chip: str | None = None) -> list[Card]:
        """The cards of an NPU that have been named so far, lowest chip first; of one chip where it is given."""
        return [c for (n, i), c in sorted(self._cards.items()) if n == npu and chip in (None, i)]

    def all(self) -> list[Card]:
        return list(self._cards.values())

    def finish(self) -> None:
        """Number the chips of cards that have several, and mark the power that belongs to the whole board."""
        chips: dict[str, list[str]] = {}
        for npu, chip in self._cards:
            chips.setdefault(npu, []).append(chip)
        for (npu, chip), card in self._cards.items():
            if len(chips[npu]) < 2:
                continue
            card.fields["index"] = f"{npu}/{chip}"
            siblings = [c for (n, _), c in self._cards.items() if n == npu]
            powers = [c.values.get("power_w") for c in siblings]
            if card.values.get("power_w") is None and any(p is not None for p in powers):
                card.shares = ("power_w", "power_cap_w")  # the die that prints it stands for the board
