"""`npu-smi info`: two lines per chip, or one. Five layouts so far; columns are found by the header's words."""

from __future__ import annotations

import re

from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.text import pci_address, whole, word
from fleetctl_ascend.board import Board, refusal

_RULE = re.compile(r"^[+|\-= ]+$")
_SLASH = re.compile(r"\s*/\s*")
_VERSION = re.compile(r"npu-smi\s+(\S+)\s+Version:\s*(\S+)")
_NONE = re.compile(r"no running process(?:es)? found in npu\s*(\S+)", re.IGNORECASE)

_MEMORY = ("hbm-usage", "memory-usage")


def read_table(board: Board, text: str, first_line: int = 1) -> None:
    """Read one table into the board's cards."""
    _Table(board).read(text, first_line)


class _Table:
    def __init__(self, board: Board) -> None:
        self.board, self.sheet = board, board.sheet
        self.driver: str | None = None
        self.upper: list[list[str]] = []  # words of the header's first line, per cell
        self.lower: list[list[str]] = []
        self.part = ""
        self.open: tuple[Card | None, list[str], int] | None = None  # first line of a chip, waiting for its second
        self.process_heads: list[str] = []

    def read(self, text: str, first_line: int) -> None:
        for number, line in self.sheet.lines(text, first_line):
            stripped = line.strip()
            if not stripped or _RULE.match(stripped):
                continue
            if not stripped.startswith("|"):
                if not refusal(self.sheet, stripped) and (self.part or stripped.startswith("+")):
                    self.sheet.unread("a line outside the table", line, number)
                continue
            if not stripped.endswith("|"):  # cut: half a number is no number
                self.sheet.unread("a row that was cut", line, number)
                stripped = stripped.rsplit("|", 1)[0] + "|"
                if stripped == "|":
                    continue
            self._row(stripped[1:-1].split("|"), stripped, number)
        self._close()

    def _row(self, cells: list[str], line: str, number: int) -> None:
        low = line.lower()
        if match := _VERSION.search(line):
            self.driver = match[2]
            self.sheet.facts["tool_version"] = match[1]
            self.sheet.facts["driver_version"] = match[2]
            return
        words = [_heads(c) for c in cells]
        if "npu" in words[0] and len(words) > 1 and "health" in words[1]:
            flat = any(head == "aicore" or head in _MEMORY for heads in words[2:] for head in heads)
            self.part, self.upper = ("flat" if flat else "upper"), words
            return
        if words[0][:1] == ["chip"] and len(words) > 1 and "bus-id" in words[1]:
            self.part, self.lower = "cards", words
            return
        if words[0][:1] == ["npu"] and "process id" in low:
            self._close()
            self.part, self.process_heads = "processes", [c.strip().lower() for c in cells]
            return
        if match := _NONE.search(line):
            for card in self.board.known(match[1].strip(" |")):
                card.values["procs"] = 0
            return
        if self.part == "processes":
            self._process(cells, line, number)
        elif self.part == "cards":
            self._card(cells, line, number)
        elif self.part == "flat":
            self._flat(cells, line, number)
        else:
            self.sheet.unread("a row before any header", line, number)

    def _card(self, cells: list[str], line: str, number: int) -> None:
        names = cells[0].split()
        address = pci_address(cells[1].strip()) if len(cells) > 1 else None
        is_second = address is not None or (self.open is not None and len(names) <= 2 and not _is_first(names))
        if not is_second:
            self._close()
            if len(names) < 2 or whole(names[0]) is None or len(cells) < 3:
                self.sheet.unread("a row that names no card", line, number)
                return
            self.open = (None, cells, number)
            return
        if self.open is None:
            self.sheet.unread("a chip's second line without its first", line, number)
            return
        _, first, first_number = self.open
        self.open = None
        self._chip(first, cells, first_number, line)

    def _flat(self, cells: list[str], line: str, number: int) -> None:
        """A card on one line, all its columns under one header line."""
        npu, _, model = cells[0].strip().partition(" ")
        if whole(npu) is None or len(cells) != len(self.upper) or self.board.known(npu):
            self.sheet.unread("a row that names no card", line, number)
            return
        card = self.board.card(npu)
        card.name("model", model)
        card.name("driver", self.driver)
        card.state("health", cells[1])
        values: dict[str, str] = {}
        for heads, cell in zip(self.upper[2:], cells[2:], strict=True):
            values |= _assign(heads, cell)
        self._values(card, values, line, number)

    def _chip(self, first: list[str], second: list[str], number: int, line: str) -> None:
        npu, _, model = first[0].strip().partition(" ")
        ids = second[0].split()
        chip = ids[0] if ids and whole(ids[0]) is not None else "0"
        if self.board.known(npu, chip):
            self.sheet.unread(f"NPU {npu} chip {chip} is printed twice", line, number)
            return
        card = self.board.card(npu, chip)
        card.name("model", model)
        card.name("driver", self.driver)
        card.name("pci", second[1].strip() if len(second) > 1 else None)
        card.state("health", first[1] if len(first) > 1 else None)
        lower_heads = self.lower[0] if self.lower else ["chip"]
        for head, value in zip(lower_heads[1:], ids[1:], strict=False):
            card.state(head, value)
        values = _assign(self.upper[2] if len(self.upper) > 2 else [], first[2] if len(first) > 2 else "")
        values |= _assign(self.lower[2] if len(self.lower) > 2 else [], second[2] if len(second) > 2 else "")
        self._values(card, values, f"{'|'.join(first)}\n{line}", number)

    def _values(self, card: Card, values: dict[str, str], raw: str, number: int) -> None:
        simple = {"power": ("power_w", "W"), "temp": ("temp_c", "C"), "aicore": ("util_pct", "%")}
        for name, (metric, unit) in simple.items():
            if name in values:
                card.put(metric, values[name], unit, line=number, raw=raw)
        for name in _MEMORY:
            if name not in values:
                continue
            used, slash, size = values[name].partition("/")
            if not slash:
                if word(used) is not None:
                    self.sheet.unread(f"NPU {card.fields['index']}: memory", raw, number)
                continue
            if size.strip() == "0" and name == "memory-usage" and card.values.get("mem_total_bytes") is not None:
                continue
            if size.strip() == "0" and name == "hbm-usage":
                continue  # a chip without HBM: the other column has its memory
            card.put("mem_used_bytes", used, "MiB", line=number, raw=raw)
            card.put("mem_total_bytes", size, "MiB", line=number, raw=raw)

    def _close(self) -> None:
        if self.open is None:
            return
        _, first, number = self.open
        self.open = None
        npu, _, model = first[0].strip().partition(" ")
        card = self.board.card(npu)
        card.name("model", model)
        card.state("health", first[1])
        self._values(card, _assign(self.upper[2] if len(self.upper) > 2 else [], first[2]), "|".join(first), number)
        self.sheet.unread(f"NPU {npu}: its second line is missing", "|".join(first), number)

    def _process(self, cells: list[str], line: str, number: int) -> None:
        ids = cells[0].split()
        row = dict(zip(self.process_heads[1:], [c.strip() for c in cells[1:]], strict=False))
        pid = row.get("process id")
        if len(ids) < 1 or whole(pid) is None:
            self.sheet.unread("a process row that cannot be read", line, number)
            return
        cards = self.board.known(ids[0], ids[1] if len(ids) > 1 else None) or self.board.known(ids[0])
        memory = next((v for k, v in row.items() if "memory" in k), None)
        self.sheet.process(cards[0] if cards else None, pid, row.get("process name"), memory, "MiB")
        for card in self.board.known(ids[0]):
            card.values.setdefault("procs", 0)
        if cards:
            cards[0].values["procs"] = int(cards[0].values["procs"] or 0) + 1


def _is_first(names: list[str]) -> bool:
    """`0 910B3` opens a chip, `0 0` and `0` close one."""
    return len(names) >= 2 and whole(names[0]) is not None and whole(names[-1]) is None


def _heads(cell: str) -> list[str]:
    """Words of a header cell in lower case, units taken off: `Power(W)  Temp(C)` -> power, temp."""
    return [re.sub(r"\([^)]*\)", "", w).strip().lower() for w in cell.split()]


def _assign(heads: list[str], cell: str) -> dict[str, str]:
    """Values of a cell by the words of its header; `a / b` is one value.

    When a value is left blank the count does not fit: then nothing but the clear pairs is taken, from the right.
    """
    tokens = _SLASH.sub("/", cell.strip()).split()
    if len(tokens) == len(heads):
        return dict(zip(heads, tokens, strict=True))
    pairs = [t for t in tokens if "/" in t and t.upper() != "N/A"]
    pair_heads = [h for h in heads if h.endswith("-usage")]
    rest = [t for t in tokens if t not in pairs]
    rest_heads = [h for h in heads if not h.endswith("-usage")]
    found: dict[str, str] = {}
    if len(pairs) == len(pair_heads):
        found |= dict(zip(pair_heads, pairs, strict=True))
    if len(rest) == len(rest_heads):
        found |= dict(zip(rest_heads, rest, strict=True))
    return found


def is_table(text: str) -> bool:
    """The drawn table of npu-smi."""
    return "|" in text and (
        "npu-smi" in text[:2048] or ("NPU" in text and "Health" in text and ("Bus-Id" in text or "AICore" in text))
    )


def read_map(sheet: Sheet, board: Board, text: str, first_line: int = 1) -> None:
    """`npu-smi info -m`: NPU id, chip id, logic id and name, columns two blanks apart; the MCU's row has no id."""
    heads: list[str] = []
    for number, line in sheet.lines(text, first_line):
        cells = [c.strip() for c in re.split(r"\t|\s{2,}", line.strip()) if c.strip()]
        if not cells:
            continue
        if cells[0].lower() == "npu id":
            heads = [c.lower() for c in cells]
            continue
        if not heads:
            if not refusal(sheet, line):
                sheet.unread("a row before any header", line, number)
            continue
        row = dict(zip(heads, cells, strict=False))
        if word(row.get("chip logic id")) is None or row.get("chip name", "").lower() == "mcu":
            continue
        if len(cells) != len(heads) or whole(row.get("npu id")) is None or whole(row.get("chip id")) is None:
            sheet.unread("a row that does not fit its header", line, number)
            continue
        card = board.card(row["npu id"], row["chip id"])
        card.name("model", row.get("chip name"))
        card.state("logic-id", row.get("chip logic id"))
        card.state("phy-id", row.get("chip phy-id", row.get("chip physical id")))
