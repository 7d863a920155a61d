"""`hl-smi -n link` and `-n ports`: which ports of a card are up. Asked card by card, a line `=== address ===` before
each answer says whose it is; without one the answer is the only card's."""

from __future__ import annotations

import re

from fleetctl.model.probe import Output
from fleetctl.model.reading import ProbeResult
from fleetctl.probes.refusals import is_ellipsis
from fleetctl.probes.sheet import Card, Sheet
from fleetctl_gaudi.words import refusal

PORT = re.compile(r"^\s*port\s+(\d{1,3})\s*:\s*(\w+)\s*$", re.IGNORECASE)
_WHO = re.compile(r"^[\s=#-]*((?:[0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])[\s=#:-]*$")


def parse_links(output: Output) -> ProbeResult:
    """UP and DOWN count; `internal` and `external` name the kind of a port and say nothing of its state."""
    sheet = Sheet("gaudi")
    card: Card | None = None
    for number, line in sheet.lines_of(output):
        if not line.strip() or is_ellipsis(line):
            continue
        if who := _WHO.match(line):
            card = sheet.card(pci=who[1])
        elif match := PORT.match(line):
            card = card or sheet.card(index="0")
            state = match[2].lower()
            up = True if state == "up" else False if state == "down" else None
            sheet.link(card, match[1], "gaudi", up)
            if up is not None:
                card.values["links_up"] = int(card.values.get("links_up") or 0) + up
                card.values["links_total"] = int(card.values.get("links_total") or 0) + 1
        elif not refusal(sheet, line):
            sheet.unread("a line of no port", line, number)
    if not sheet.cards and not sheet.findings:
        sheet.unread("no port in it", output.stdout)
    return sheet.result()
