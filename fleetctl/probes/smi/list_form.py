"""`-L`: one line per card, indented lines for its slices; `nvlink --status` opens each card the same way."""

from __future__ import annotations

import re
from collections.abc import Callable

from fleetctl.model.probe import Output
from fleetctl.model.reading import ProbeResult
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.smi.family import Family

_SLICE = re.compile(r"^\s+MIG\s+(\S+?)\s*,?\s+Device\s+(\d+):?\s*\(UUID:\s*([^)]+)\)")
_LINK = re.compile(r"^\s+Link\s+(\d+)[:,]\s*(.*)$")
_SPEED = re.compile(r"^(\d{1,9}(?:\.\d{1,9})?)\s*GB/s$", re.ASCII)
_ERRORS = re.compile(r"^(.*?(?:Error|Replay|Recovery)[^:]*):\s*(\d+)$")


def list_parser(family: Family, link_kind: str = "nvlink") -> Callable[[Output], ProbeResult]:
    """A parse function for `-L` and for `nvlink --status|-e` of this family."""
    head = re.compile(rf"^(?:{family.word}|GPU)\s+(\d+):\s+(.*?)\s*\(UUID:\s*([^)]*)\)\s*$")

    def parse(output: Output) -> ProbeResult:
        sheet = Sheet(family.vendor)
        text = sheet.text_of(output)
        card: Card | None = None
        errors: dict[str, int] = {}
        for number, line in sheet.lines(text):
            if not line.strip():
                continue
            if match := head.match(line):
                _close(sheet, card, errors)
                card, errors = sheet.card(index=match[1], model=match[2], uuid=match[3]), {}
            elif (match := _SLICE.match(line)) and card is not None:
                piece = sheet.card(index=match[2], uuid=match[3], model=card.fields.get("model"), partition=match[1])
                piece.parent = card
                piece.shares = ("power_w", "temp_c")
            elif (match := _LINK.match(line)) and card is not None:
                _link(sheet, card, match[1], match[2].strip(), link_kind, errors)
            elif line.strip() in ("...",) or line.strip().lower().startswith(("nvlink", "[0m")):
                continue
            elif not family.refusal(sheet, line):
                sheet.unread("a line that names no card", line, number)
        _close(sheet, card, errors)
        family.finish(sheet)
        return sheet.result()

    return parse


def _link(sheet: Sheet, card: Card, index: str, rest: str, kind: str, errors: dict[str, int]) -> None:
    low = rest.lower()
    if match := _SPEED.match(rest):
        sheet.link(card, index, kind, True, speed_gbps=float(match[1]) * 8)
        _count(card, True)
    elif "inactive" in low or "down" in low:
        sheet.link(card, index, kind, False)
        _count(card, False)
    elif match := _ERRORS.match(rest):
        errors[index] = errors.get(index, 0) + int(match[2])
    elif low.startswith(("active", "up")):
        sheet.link(card, index, kind, True)
        _count(card, True)
    # P2P support and other capability lines say nothing about the link's state.


def _count(card: Card, up: bool) -> None:
    card.values["links_total"] = int(card.values.get("links_total") or 0) + 1
    card.values["links_up"] = int(card.values.get("links_up") or 0) + int(up)


def _close(sheet: Sheet, card: Card | None, errors: dict[str, int]) -> None:
    if card is None or not errors:
        return
    card.values["link_errors_total"] = sum(errors.values())
    if "links_total" not in card.values:
        for index, count in errors.items():
            sheet.link(card, index, "nvlink", None, errors_total=count)
