"""The small forms of ppu-smi: dmon, pmon, stats, topo -m and the answers of `icn`."""

from __future__ import annotations

import re

from fleetctl.model.probe import Output
from fleetctl.model.reading import ProbeResult
from fleetctl.probes.refusals import is_ellipsis
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.text import pci_address, whole, word
from fleetctl.probes.topology import matrix_parser
from fleetctl_thead.words import refusal

# Column and its unit in the second header line -> metric. `mem` is a share of time or an amount, as its unit says.
_DMON = {
    "pwr": ("power_w", "W"),
    "ptemp": ("temp_c", "C"),
    "mtemp": ("mem_temp_c", "C"),
    "cu": ("util_pct", "%"),
    "sm": ("util_pct", "%"),
    "ppu": ("util_pct", "%"),
    "mclk": ("mem_clock_mhz", "MHz"),
    "pclk": ("clock_mhz", "MHz"),
    "sbecc": ("ecc_corrected_total", ""),
    "dbecc": ("ecc_uncorrected_total", ""),
    "pci": ("pcie_replay_total", ""),
}


class _Scroll:
    """Rows under two header lines that start with `#`: names and units."""

    def __init__(self, sheet: Sheet, text: str) -> None:
        self.names: list[str] = []
        self.units: list[str] = []
        self.rows: list[tuple[int, str, list[str]]] = []
        for number, line in sheet.lines(text):
            if not line.strip() or is_ellipsis(line):
                continue
            if line.lstrip().startswith("#"):
                words = [w.lower() for w in line.replace("#", " ", 1).split()]
                if "ppu" in words[:3] or "pid" in words:
                    self.names = words
                else:
                    self.units = words
                continue
            cells = line.split(None, max(len(self.names) - 1, 0))
            place = self.names.index("ppu") if "ppu" in self.names else -1
            if place < 0 or len(cells) <= place or whole(cells[place]) is None:
                if not refusal(sheet, line):
                    sheet.unread("a row that does not fit its header", line, number)
                continue
            self.rows.append((number, line, cells))

    def unit(self, at: int) -> str:
        return self.units[at] if at < len(self.units) else ""


def parse_dmon(output: Output) -> ProbeResult:
    """One card per index; of several samples the last is the reading."""
    sheet = Sheet("thead")
    table = _Scroll(sheet, sheet.text_of(output))
    last: dict[str, tuple[int, str, list[str]]] = {}
    for number, line, cells in table.rows:
        if len(cells) != len(table.names):
            sheet.unread("a row that does not fit its header", line, number)
        else:
            last[cells[table.names.index("ppu")]] = (number, line, cells)
    for index, (number, line, cells) in last.items():
        card = sheet.card(index=index)
        first = table.names.index("ppu")
        for at, (name, cell) in enumerate(zip(table.names, cells, strict=True)):
            if at == first:
                continue
            metric, unit = _DMON.get(name, ("", ""))
            if name == "mem":
                metric, unit = ("mem_util_pct", "%") if table.unit(at) == "%" else ("mem_used_bytes", "MiB")
            if metric:
                card.put(metric, cell, unit, line=number, raw=line)
    return sheet.result()


def parse_pmon(output: Output) -> ProbeResult:
    """Processes per card; of several samples each process once. A name may hold blanks: it is the last column."""
    sheet = Sheet("thead")
    table = _Scroll(sheet, sheet.text_of(output))
    memory = next((i for i, n in enumerate(table.names) if n == "mem" and table.unit(i) in ("mb", "mib")), None)
    cards: dict[str, Card] = {}
    seen: set[tuple[str, str]] = set()
    for _, _, cells in table.rows:
        row = dict(zip(table.names, cells, strict=False))
        index, pid = row["ppu"], row.get("pid", "-")
        if index not in cards:
            cards[index] = sheet.card(index=index)
            cards[index].values["procs"] = 0
        if word(pid) is None or (index, pid) in seen:
            continue
        seen.add((index, pid))
        used = cells[memory] if memory is not None and memory < len(cells) else None
        sheet.process(cards[index], pid, row.get("command"), used, "MiB")
        cards[index].values["procs"] = int(cards[index].values["procs"] or 0) + 1
    return sheet.result()


_STATS = {
    "pwrdraw": ("power_w", "W"),
    "temp": ("temp_c", "C"),
    "ppuutil": ("util_pct", "%"),
    "memutil": ("mem_util_pct", "%"),
    "memclk": ("mem_clock_mhz", "MHz"),
    "procclk": ("clock_mhz", "MHz"),
}


def parse_stats(output: Output) -> ProbeResult:
    """`0, temp , 1662606252536736, 51`: card, metric, microseconds, value; the newest of each metric counts."""
    sheet = Sheet("thead")
    newest: dict[str, dict[str, tuple[int, str]]] = {}
    faults: dict[tuple[str, str], tuple[float, int]] = {}
    for number, line in sheet.lines_of(output):
        if not line.strip() or is_ellipsis(line):
            continue
        cells = [c.strip() for c in line.split(",")]
        stamp = whole(cells[2]) if len(cells) == 4 else None
        if stamp is None or whole(cells[0]) is None:
            if not refusal(sheet, line):
                sheet.unread("a line that is no sample", line, number)
            continue
        name = cells[1].lower()
        values = newest.setdefault(cells[0], {})
        if name in ("xidevent", "dbecc"):
            code = cells[3] if name == "xidevent" else "double_bit"
            at, count = faults.get((cells[0], code), (0.0, 0))
            faults[(cells[0], code)] = (max(at, stamp / 1e6), count + 1)
        elif name in _STATS and values.get(name, (0, ""))[0] <= stamp:
            values[name] = (stamp, cells[3])
    for index, values in newest.items():
        card = sheet.card(index=index)
        for name, (_, text) in values.items():
            card.put(_STATS[name][0], text, _STATS[name][1])
    for (index, code), (at, count) in faults.items():
        sheet.fault(
            "ecc" if code == "double_bit" else "xid", code, f"event on card {index}", device=index, at=at, count=count
        )
    if not newest and not sheet.findings:
        sheet.unread("no sample in it", output.stdout)
    return sheet.result()


parse_topo = matrix_parser("thead", "PPU", "ICN", "icn", refusal)
_HEAD = re.compile(r"^(?:PPU|GPU)\s+(\d+):\s+(.*?)\s*\(UUID:\s*([^)]*)\)\s*$")
_LINK = re.compile(r"^\s+Link\s+(\d{1,4})\s*[:,]\s*(.*?)\s*$")
_COUNT = re.compile(r"^(\d{1,18})\s+(.*(?:error|link (?:up|down)|packet).*)$", re.IGNORECASE)


class _Link:
    def __init__(self) -> None:
        self.up: bool | None = None
        self.speed: float | None = None
        self.errors: int | None = None
        self.peer: str | None = None


def parse_icn(output: Output) -> ProbeResult:
    """`icn -s|-c|-p|-r|-cs|-lw|-lm|-e|-gt`: which links a card has, which are up, where they lead, their errors."""
    sheet = Sheet("thead")
    card: Card | None = None
    links: dict[str, _Link] = {}
    for number, line in sheet.lines_of(output):
        if not line.strip() or is_ellipsis(line):
            continue
        if head := _HEAD.match(line):
            _close(sheet, card, links)
            card, links = sheet.card(index=head[1], model=head[2], uuid=head[3]), {}
        elif card is not None and (match := _LINK.match(line)):
            _say(links.setdefault(match[1], _Link()), match[2])
        elif not refusal(sheet, line):
            sheet.unread("a line of no link", line, number)
    _close(sheet, card, links)
    if not sheet.cards and not sheet.findings:
        sheet.unread("no card in it", output.stdout)
    return sheet.result()


def _say(link: _Link, text: str) -> None:
    low = text.lower()
    if match := re.fullmatch(r"([\d.]{1,12})\s*GB/s", text):
        link.up, link.speed = True, float(match[1]) * 8 if match[1].count(".") < 2 else None
    elif low in ("<inactive>", "inactive", "connected", "disconnected"):
        link.up = low == "connected"
    elif match := _COUNT.match(text):
        if "error" in match[2].lower():
            link.errors = (link.errors or 0) + int(match[1])
    elif match := re.match(r"(?:Remote Device\s+)?([0-9A-Fa-f:]{5,16}\.[0-7])", text):
        link.up, link.peer = True, pci_address(match[1])


def _close(sheet: Sheet, card: Card | None, links: dict[str, _Link]) -> None:
    if card is None or not links:
        return
    for index, link in links.items():
        sheet.link(card, index, "icn", link.up, speed_gbps=link.speed, errors_total=link.errors, peer=link.peer)
    known = [link.up for link in links.values() if link.up is not None]
    if known:
        card.values["links_up"] = sum(known)
        if False in known or any(link.speed for link in links.values()):  # these forms list every link
            card.values["links_total"] = len(known)
    errors = [link.errors for link in links.values() if link.errors is not None]
    if errors:
        card.values["link_errors_total"] = sum(errors)
