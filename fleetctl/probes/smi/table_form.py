"""The table drawn for people: two or three lines per card between rules, then slices, then processes.

Fallback only: names are cut, columns move. Cells are found by the bars, values by the words of the header.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from fleetctl.model.probe import Output
from fleetctl.model.reading import ProbeResult
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.smi.family import Family
from fleetctl.probes.text import is_unknown

_RULE = frozenset("-=+| ")
_FIRST = re.compile(r"^\s*(\d{1,5})\s+(\S.*?)\s*$")
_MODE = re.compile(r"^(.*?\S)\s+(On|Off|N/A|WDDM|TCC|MCDM|Enabled|Disabled|ERR!)$")
_PCI = re.compile(r"(?:[0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]")
# "31W / 250W", "9MiB/ 32768MiB", "N/A / N/A"; a lone "N/A" is no pair.
_PAIR = re.compile(r"(\S{1,24})\s{0,8}/\s{1,8}(\S{1,24})|(\d\S{0,23}?)/(\d\S{0,23})")
_VERSION = re.compile(r"(?<!Nic )(?:Driver|KMD) Version:\s*(\S+)")
_TOOL = re.compile(r"(\S{1,24}-SMI|IX-ML:?)\s{1,24}(?:Version:\s{0,24})?(\S{1,64})")
_PROCESS = re.compile(
    r"^\s*(?P<card>\d+)\s+(?:(?P<gi>\d+|N/A)\s+(?P<ci>\d+|N/A)\s+)?(?P<pid>\d+)\s+"
    r"(?:(?P<type>[CGM](?:\+[CGM])*)\s+)?(?P<name>.*?)\s+(?P<mem>\d+\s*[KMG]i?[Bb]|N/A|\d+)\s*$"
)
_HALF = re.compile(r"^\s*\d+\s+\d+\s+\S.*\S$|^\s*\d+\s+\d+\s+\S$")
_NO_PROCESS = re.compile(r"^\s*(\d+)(?:\s+N/A)+\s*$")
_SLICE = re.compile(r"^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*$")


def table_parser(family: Family) -> Callable[[Output], ProbeResult]:
    """A parse function for the drawn table of this family."""

    def parse(output: Output) -> ProbeResult:
        sheet = Sheet(family.vendor)
        text = sheet.text_of(output)
        reader = _Table(sheet, family)
        for number, line in sheet.lines(text):
            reader.line(line.rstrip(), number)
        reader.flush()
        reader.end()
        if not sheet.cards and not sheet.findings and not sheet.faults and text.strip() and not sheet.facts:
            sheet.unread("no card in it", text)
        family.finish(sheet)
        return sheet.result()

    return parse


class _Table:
    """Reads line by line; `part` says which of the three tables we are in."""

    def __init__(self, sheet: Sheet, family: Family) -> None:
        self.sheet, self.family = sheet, family
        self.part = "cards"
        self.rows: list[tuple[int, list[str]]] = []
        self.header: list[list[str]] = []
        self.heads_open = True
        self.driver: str | None = None
        self.by_index: dict[str, Card] = {}
        self.after_process = False
        self.half: tuple[int, str] | None = None  # a process row that goes on in the next line

    def line(self, line: str, number: int) -> None:
        stripped = line.strip()
        if not stripped:
            return
        if stripped[0] in "+|-=":
            self.end()
        if stripped[0] in "+|-=" and _RULE.issuperset(stripped) and ("-" in stripped or "=" in stripped):
            self.flush()
            if "=" in stripped:
                self.heads_open = False
            return
        if not stripped.startswith("|"):
            self.flush()
            if self.half is not None:
                number, before = self.half
                self.half = None
                self._process(f"{before}  {stripped.removesuffix('|')}", before, number)
                return
            if self.part == "cards" and not _is_date(stripped) and not self.family.refusal(self.sheet, stripped):
                self.sheet.unread("a line outside the table", line, number)
            return
        body = stripped.strip("|").strip()
        low = body.lower()
        if low.startswith("mig devices"):
            self.part, self.heads_open = "slices", True
        elif low.startswith(("processes:", "compute processes:")) and "|" not in body:
            self.part, self.heads_open = "processes", True
        elif self.heads_open:
            self._head(stripped, body)
        elif self.part == "processes":
            row = stripped[1:].removesuffix("|")
            if not stripped.endswith("|") and _HALF.match(row):
                self.half = (number, row)
            else:
                self._process(row, body, number)
        else:
            cells = stripped[1:].removesuffix("|").split("|")
            if not stripped.endswith("|"):  # cut: half a number is no number
                self.sheet.unread("a row that was cut", line, number)
                cells.pop()
            if cells:
                self.rows.append((number, cells))

    def end(self) -> None:
        """The row that should have gone on did not."""
        if self.half is not None:
            self.sheet.unread("a process row that cannot be read", self.half[1], self.half[0])
            self.half = None

    def _head(self, line: str, body: str) -> None:
        if match := _VERSION.search(body):
            self.driver = match[1]
            self.sheet.facts["driver_version"] = match[1]
            self._tool(body)
        elif _TOOL.search(body) and not self.header:  # Gaudi writes one version per line
            self._tool(body)
        elif self.part == "cards":
            cells = [c.strip() for c in line[1:].removesuffix("|").split("|")]
            # A card's row right under the header: the rule with `=` was lost.
            if _PCI.search(line) and _FIRST.match(cells[0]):
                self.heads_open = False
                self.rows.append((0, cells))
            elif len(cells) > 1:
                self.header.append(cells)

    def _tool(self, body: str) -> None:
        if (tool := _TOOL.search(body)) and re.match(r"(?:hl-)?\d", tool[2]):
            self.sheet.facts["tool_version"] = tool[2]

    def flush(self) -> None:
        rows, self.rows = self.rows, []
        if not rows:
            return
        if self.part == "slices":
            self._slice(rows)
        elif self.part == "cards":
            while rows:  # a rule between two cards may be lost: start anew at each row with an address
                end = next((i for i, (_, c) in enumerate(rows) if i and self._opens(c)), len(rows))
                self._card(rows[:end])
                rows = rows[end:]

    @staticmethod
    def _opens(cells: list[str]) -> bool:
        return len(cells) > 1 and bool(_FIRST.match(cells[0])) and bool(_PCI.search(cells[1]))

    def _card(self, rows: list[tuple[int, list[str]]]) -> None:
        number, first = rows[0]
        raw = "\n".join("|".join(c) for _, c in rows)
        match = _FIRST.match(first[0])
        address = _PCI.search(first[1]) if len(first) > 1 else None
        if match is None or address is None:
            if not self.family.refusal(self.sheet, " ".join(first)):
                self.sheet.unread("a row that names no card", raw, number or None)
            return
        model = match[2]
        mode = _MODE.match(model)
        card = self.sheet.card(index=match[1], model=mode[1] if mode else model, pci=address[0], driver=self.driver)
        if mode:
            card.state("persistence_mode" if mode[2] in ("On", "Off") else "driver_model", mode[2])
        self.by_index.setdefault(match[1], card)
        if "gpu is lost" in raw.lower():
            self.sheet.fault("bus", "lost", "the card fell off the bus", device=card.fields.get("pci"))
        self._third(card, first[2] if len(first) > 2 else "")
        if len(rows) < 2:
            self.sheet.unread(f"card {match[1]}: its second line is missing", raw, number or None)
            return
        self._second(card, rows[1][1], raw, rows[1][0])
        if len(rows) > 2 and len(rows[2][1]) > 2:
            third = self.header[2][2].lower() if len(self.header) > 2 and len(self.header[2]) > 2 else "mig m."
            card.state("mig_mode" if third.startswith("mig") else "partition_mode", rows[2][1][2].strip())

    def _third(self, card: Card, cell: str) -> None:
        """Right cell of the first line: memory errors, or two clocks."""
        head = self.header[0][2].lower() if self.header and len(self.header[0]) > 2 else "ecc"
        if "clock" in head:
            clocks = cell.split()
            if len(clocks) == 2:
                card.put("clock_mhz", clocks[0], "MHz")
                card.put("mem_clock_mhz", clocks[1], "MHz")
        elif "ecc" in head or "uncor" in head:  # newer Gaudi tools say `Volatile Uncor-Events`
            card.put("ecc_uncorrected_total", cell.strip())

    def _second(self, card: Card, cells: list[str], raw: str, number: int) -> None:
        if len(cells) < 3:
            self.sheet.unread("a card's second line with cells missing", raw, number)
            return
        left = cells[0].strip()
        pair = _PAIR.search(left)
        words = left[: pair.start()].split() if pair else left.split()
        heads = [h.lower() for h in self.header[1][0].split()] if len(self.header) > 1 else ["fan", "temp", "perf"]
        columns = [h for h in heads if "/" not in h]
        if len(words) != len(columns):
            columns = columns if len(words) == len(columns) else _by_shape(words)
        for column, word in zip(columns, words, strict=False):
            if column == "fan":
                card.put("fan_pct", word, "%")
            elif column == "temp":
                card.put("temp_c", word, "C")
            elif column == "perf":
                card.state("pstate", word)
        if pair:
            card.put("power_w", pair[1] or pair[3], "W")
            card.put("power_cap_w", pair[2] or pair[4], "W")
        memory = _PAIR.search(cells[1])
        if memory:
            card.put("mem_used_bytes", memory[1] or memory[3], "MiB")
            card.put("mem_total_bytes", memory[2] or memory[4], "MiB")
        elif not is_unknown(cells[1]):
            self.sheet.unread(f"card {card.fields.get('index')}: memory", raw, number)
        right = cells[2].split()
        if right and (right[0].endswith("%") or is_unknown(right[0])):
            card.put("util_pct", right[0], "%")
            if not right[-1].endswith("%"):  # newer Gaudi tools put the share of memory in use there
                card.state("compute_mode", " ".join(right[1:]))
        elif len(right) > 1 and right[1] == "%":
            card.put("util_pct", right[0], "%")
        elif right:
            self.sheet.unread(f"card {card.fields.get('index')}: utilisation", raw, number)

    def _slice(self, rows: list[tuple[int, list[str]]]) -> None:
        number, first = rows[0]
        match = _SLICE.match(first[0])
        if match is None:
            if not re.search(r"no mig|not found", " ".join(first).lower()):
                self.sheet.unread("a row that names no slice", "|".join(first), number)
            return
        parent = self.by_index.get(match[1])
        piece = self.sheet.card(index=match[4], driver=self.driver)
        piece.fields["partition"] = f"GI {match[2]} CI {match[3]}"
        if parent is not None:
            piece.parent = parent
            piece.name("model", parent.fields.get("model"))
            piece.name("pci", parent.fields.get("pci"))
        piece.shares = ("power_w", "temp_c")
        if len(first) > 1 and (memory := _PAIR.search(first[1])):
            piece.put("mem_used_bytes", memory[1] or memory[3], "MiB")
            piece.put("mem_total_bytes", memory[2] or memory[4], "MiB")
        if len(first) > 2 and len(errors := first[2].split()) == 2:
            piece.put("ecc_uncorrected_total", errors[1])

    def _process(self, cells: str, body: str, number: int) -> None:
        low = body.lower()
        if low.startswith(("no running", "not found", "gpu ", "id ")) or "no running processes" in low:
            for card in self.by_index.values():
                card.values.setdefault("procs", 0)
            return
        if idle := _NO_PROCESS.match(cells):
            if (quiet := self.by_index.get(idle[1])) is not None:
                quiet.values.setdefault("procs", 0)
            return
        match = _PROCESS.match(cells)
        if match is None and self.after_process and not cells.strip()[:1].isdigit():
            return  # a long name goes on in the next line
        self.after_process = match is not None
        if match is None:
            self.sheet.unread("a process row that cannot be read", cells, number)
            return
        holder = self.by_index.get(match["card"])
        self.sheet.process(holder, match["pid"], match["name"], match["mem"], "MiB")
        for known in self.by_index.values():
            known.values.setdefault("procs", 0)
        if holder is not None:
            holder.values["procs"] = int(holder.values["procs"] or 0) + 1


def _is_date(line: str) -> bool:
    return bool(re.match(r"^(Timestamp\s+)?(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b.*\d{2}:\d{2}:\d{2}", line)) or line == "..."


def _by_shape(words: list[str]) -> list[str]:
    """Which column each word is when words and header differ in number: by unit."""
    kinds = {"%": "fan", "C": "temp"}
    return [kinds.get(word[-1:], "perf" if re.fullmatch(r"P\d+", word) else "") for word in words]
