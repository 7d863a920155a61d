"""Tables drawn for people: boxes of bars and rules with several lines per card, and plain columns under a header.

Values are found by the words of the header, never by column number alone; a row that does not fit is a finding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fleetctl.model.probe import Output
from fleetctl.model.reading import ProbeResult
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.text import is_unknown, pci_address, whole

_RULE = frozenset("-=+| ")
_WORDS = re.compile(r"\S+(?: \S+)*")  # two blanks separate columns, one blank is part of a name
_PAIR = re.compile(r"^\s*(N/?A|-|[^/]+?)\s*/\s*(N/?A|-|[^/]+?)\s*$", re.IGNORECASE)
_SLASH = re.compile(r"(?<=\S) ?/ {0,2}(?=[-\dN])")  # "27 W/ 150 W"; a slash that stands alone is a value of its own
_UNITED = re.compile(r"[-+]?[\d.]+ ?(?:[KMG]i?B|[mk]?W|MHz|Mhz|°C|℃|C|%)(?=\s|/|$)")
_TAIL = re.compile(r"^(.*?)\s+((?:\d+(?:\.\d+)?\s*(?:[KMG]i?B|B)?)|N/A|-)$")


@dataclass(frozen=True, slots=True)
class Cell:
    """What one header word means. kind: "name", "state", "put", or "pair" (`used / total`, two metrics)."""

    kind: str
    target: str
    unit: str = ""
    second: str = ""


def name(field_: str) -> Cell:
    """A cell that names the card: `field_` is a field of Device."""
    return Cell("name", field_)


def state(name_: str) -> Cell:
    """A cell that is a word, kept as the state `name_`."""
    return Cell("state", name_)


def put(metric: str, unit: str = "") -> Cell:
    """A cell that is one value of a metric, in `unit` where the cell prints none."""
    return Cell("put", metric, unit)


def pair(metric: str, second: str, unit: str = "") -> Cell:
    """A cell `a / b` that is two values of two metrics."""
    return Cell("pair", metric, unit, second)


def header_words(cell: str) -> list[tuple[str, int, int]]:
    """(word in lower case, start, end) of a header cell; `Compute M.` is one word."""
    return [(m[0].lower(), m.start(), m.end()) for m in _WORDS.finditer(cell)]


def assign(head: Sequence[tuple[str, int, int]], cell: str) -> dict[str, str] | None:
    """Values of a cell by the words of its header; None when nothing says which value is whose.

    First by count (columns two blanks apart, `a / b` and `27 W` kept together), then by where they stand.
    """
    if not head:
        return {}
    if len(head) == 1:
        return {head[0][0]: cell.strip()}
    values = [(m[0], m.start(), m.end()) for m in _WORDS.finditer(_close_pairs(cell))]
    if len(values) == len(head):
        return {h[0]: v[0] for h, v in zip(head, values, strict=True)}
    single = [(m[0], m.start(), m.end()) for m in re.finditer(r"\S+", _close_units(_close_pairs(cell)))]
    if len(single) == len(head):
        return {h[0]: v[0].replace("\x00", " ") for h, v in zip(head, single, strict=True)}
    return _by_place(head, values)


def _close_pairs(cell: str) -> str:
    """`27 W/ 150 W` without blanks around the slash, so that the pair is one value."""
    return _SLASH.sub("/", cell) if "/" in cell else cell


def _close_units(cell: str) -> str:
    """`27 W/150 W` without the blanks before its units."""
    return _UNITED.sub(lambda m: m[0].replace(" ", "\x00"), cell)


def _by_place(head: Sequence[tuple[str, int, int]], values: list[tuple[str, int, int]]) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for text, start, end in values:
        nearest = min(head, key=lambda h: _distance(h, start, end))
        if _distance(nearest, start, end) > 6 or nearest[0] in found:
            return None
        found[nearest[0]] = text
    return found


def _distance(head: tuple[str, int, int], start: int, end: int) -> int:
    """Blanks between a header word and a value; the more they overlap the further below 0."""
    return max(head[1] - end, start - head[2])


def fill(
    card: Card, row: Mapping[str, str], columns: Mapping[str, Cell], *, line: int | None = None, raw: str = ""
) -> None:
    """Put every value of a row whose header word is known."""
    for head, text in row.items():
        cell = columns.get(head)
        if cell is None:
            continue
        if cell.kind == "name":
            card.name(cell.target, text)
        elif cell.kind == "state":
            card.state(cell.target, text)
        elif cell.kind == "put":
            card.put(cell.target, text, cell.unit, line=line, raw=raw)
        else:
            _put_pair(card, cell, text, line, raw)


def _put_pair(card: Card, cell: Cell, text: str, line: int | None, raw: str) -> None:
    """`858/65536 MiB`: the unit of the second counts for both where the first has none."""
    match = _PAIR.search(text)
    if match is None or is_unknown(text):
        if is_unknown(text):
            card.values.setdefault(cell.target, None)
        else:
            card.put(cell.target, text, cell.unit, line=line, raw=raw)
        return
    unit = re.search(r"[A-Za-z%]+$", match[2])
    card.put(cell.target, match[1], unit[0] if unit and not is_unknown(match[2]) else cell.unit, line=line, raw=raw)
    card.put(cell.second, match[2], cell.unit, line=line, raw=raw)


@dataclass(frozen=True, slots=True)
class Boxed:
    """One tool's boxed table.

    columns: header word -> meaning, for every line of the header; opens: header words of which one, as a number, opens
    a card; version: finds (fact, value) pairs in the rows above the header; refusal: the tool's own errors.
    """

    vendor: str
    columns: Mapping[str, Cell]
    opens: tuple[str, ...]
    version: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    refusal: Callable[[Sheet, str], bool] = field(default=lambda sheet, text: False)
    finish: Callable[[Sheet], None] = field(default=lambda sheet: None)
    quiet: re.Pattern[str] = field(default_factory=lambda: re.compile(r"$^"))


def boxed_parser(spec: Boxed) -> Callable[[Output], ProbeResult]:
    """A parse function for one tool's boxed table."""

    def parse(output: Output) -> ProbeResult:
        sheet = Sheet(spec.vendor)
        text = sheet.text_of(output)
        read_boxes(sheet, spec, text)
        if not sheet.cards and not sheet.findings and not sheet.faults and text.strip():
            sheet.unread("no card in it", text)
        spec.finish(sheet)
        return sheet.result()

    return parse


def read_boxes(sheet: Sheet, spec: Boxed, text: str) -> None:
    """Read all boxes of a text into the sheet."""
    reader = _Boxes(sheet, spec)
    for number, line in sheet.lines(text):
        reader.line(line.rstrip(), number)
    reader.flush()


def _is_id(text: str | None) -> bool:
    return whole(text) is not None or pci_address(text) is not None


class _Boxes:
    def __init__(self, sheet: Sheet, spec: Boxed) -> None:
        self.sheet, self.spec = sheet, spec
        self.heads: list[list[list[tuple[str, int, int]]]] = []  # per header line, per cell
        self.part = "above"  # above, heads, cards, process heads, processes
        self.rows: list[tuple[int, list[str]]] = []
        self.process_head: list[str] = []
        self.by_index: dict[str, Card] = {}

    def line(self, line: str, number: int) -> None:
        stripped = line.strip()
        if not stripped:
            return
        if stripped[0] in "+|-=" and _RULE.issuperset(stripped) and ("-" in stripped or "=" in stripped):
            self.flush()
            if self.part == "heads" and self.heads:
                self.part = "cards"
            elif self.part == "process heads" and ("=" in stripped or self.process_head):
                self.part = "processes"
            return
        if not stripped.startswith("|"):
            self.flush()
            if (
                self.part != "above"
                and not self.spec.quiet.search(stripped)
                and not self.spec.refusal(self.sheet, stripped)
            ):
                self.sheet.unread("a line outside the table", line, number)
            elif self.part == "above":
                self._above(stripped)
            return
        body = stripped[1:].removesuffix("|")
        low = body.strip().lower()
        cells = body.split("|")
        if low.startswith("process") and len(cells) == 1:
            self.flush()
            self.part, self.process_head = "process heads", []
            if len(header_words(body)) > 1:  # `| Processes:       GPU Memory |`
                self.process_head = []
            return
        if not stripped.endswith("|"):  # cut: half a number is no number
            self.sheet.unread("a row that was cut", line, number)
            cells.pop()
        self._row(cells, number, body)

    def _above(self, line: str) -> None:
        for fact, pattern in self.spec.version.items():
            if match := pattern.search(line):
                self.sheet.facts.setdefault(fact, next((g for g in match.groups() if g), ""))
        if match := re.match(r"Attached \w+\s*:\s*(\d+)$", line):
            self.sheet.expected = int(match[1])
        self.spec.refusal(self.sheet, line)

    def _row(self, cells: list[str], number: int, body: str) -> None:
        if not cells:
            return
        if self.part in ("above", "heads"):
            words = [header_words(c) for c in cells]
            known = sum(w[0] in self.spec.columns for ws in words for w in ws)
            total_words = sum(map(len, words))
            if known and known * 2 >= total_words:
                self.heads.append(words)
                self.part = "heads"
            elif self.part == "above":
                self._above(body.strip())
            elif self.heads and self._opens(cells):  # the rule below the header is missing
                self.part = "cards"
                self.rows.append((number, cells))
            elif any(ws for ws in words):
                self.heads.append(words)
        elif self.part == "cards":
            if self.rows and self._opens(cells) and len(self.rows) >= len(self.heads):
                self.flush()
            self.rows.append((number, cells))
        elif self.part == "process heads":
            if not self.process_head:
                self.process_head = [w for w, _, _ in header_words(body)]
        else:
            self._process(body, number)

    def _opens(self, cells: list[str]) -> bool:
        row = assign(self.heads[0][0], cells[0]) if self.heads and self.heads[0] else None
        return bool(row) and any(_is_id((row or {}).get(o)) for o in self.spec.opens)

    def flush(self) -> None:
        rows, self.rows = self.rows, []
        if not rows or self.part not in ("cards", "processes", "process heads"):
            return
        number, first = rows[0]
        raw = "\n".join("|".join(c) for _, c in rows)
        if not self._opens(first):
            if not self.spec.refusal(self.sheet, raw):
                self.sheet.unread("a row that names no card", raw, number)
            return
        card = self.sheet.card(driver=self.sheet.facts.get("driver_version"))
        if len(rows) < len(self.heads):
            self.sheet.unread("a card with lines missing", raw, number)
        for (at, cells), heads in zip(rows, self.heads, strict=False):
            if len(cells) != len(heads):
                self.sheet.unread("a row whose cells do not fit the header", raw, at)
            for cell, head in zip(cells, heads, strict=False):
                row = assign(head, cell)
                if row is None:
                    self.sheet.unread("values that do not stand under the header", cell, at)
                else:
                    fill(card, row, self.spec.columns, line=at, raw=raw)
        self.by_index.setdefault(card.fields.get("index") or "", card)

    def _process(self, body: str, number: int) -> None:
        low = body.strip().lower()
        if low.startswith("no ") or "not found" in low or "no running" in low:
            for card in self.by_index.values():
                card.values["procs"] = 0
            return
        heads = self.process_head
        place = next((i for i, h in enumerate(heads) if h in ("pid", "process id")), None)
        tail = _TAIL.match(body.strip())
        tokens = (tail[1] if tail else body.strip()).split()
        if place is None or tail is None or len(tokens) <= place or whole(tokens[place]) is None:
            self.sheet.unread("a process row that cannot be read", body, number)
            return
        rest = tokens[place + 1 :]
        if place + 1 < len(heads) and heads[place + 1] == "type" and rest:
            rest = rest[1:]
        holder = self.by_index.get(tokens[0])
        self.sheet.process(holder, tokens[place], " ".join(rest), tail[2], "MiB")
        for known in self.by_index.values():
            known.values.setdefault("procs", 0)
        if holder is not None:
            holder.values["procs"] = int(holder.values["procs"] or 0) + 1


@dataclass(frozen=True, slots=True)
class Columns:
    """A plain table: one header line, one row per card, columns two blanks apart (or one, where values have none)."""

    vendor: str
    columns: Mapping[str, Cell]
    opens: tuple[str, ...]


def read_columns(sheet: Sheet, spec: Columns, lines: Sequence[tuple[int, str]], header: str) -> list[Card]:
    """Rows under one header; what does not fit is a finding, the other rows are still read."""
    head = header_words(header)
    if len(head) < 2 or not any(h[0] in spec.columns for h in head):
        head = [(m[0].lower(), m.start(), m.end()) for m in re.finditer(r"\S+", header)]
    cards = []
    for number, line in lines:
        row = assign(head, line)
        if row is None or not any(whole(row.get(o)) is not None for o in spec.opens):
            sheet.unread("a row that does not fit its header", line, number)
            continue
        card = sheet.card()
        fill(card, row, spec.columns, line=number, raw=line)
        cards.append(card)
    return cards
