"""`npu-smi info -t KIND -i N` and `-l`: `Key : value` lines, one block per chip, the chip's id first or last."""

from __future__ import annotations

import re

from fleetctl.probes.sheet import Card
from fleetctl.probes.text import measure, total, whole, word
from fleetctl_ascend.board import Board, refusal

_LINE = re.compile(r"^\s*([^:]{1,60}?)\s*:\s*(.*?)\s*$")
Block = dict[str, str]

# Key in lower case, blanks before the unit taken out -> (metric, unit).
_METRICS = {
    "aicore usage rate(%)": ("util_pct", "%"),
    "temperature(c)": ("temp_c", "C"),
    "npu temperature(c)": ("temp_c", "C"),
    "hbm temperature(c)": ("mem_temp_c", "C"),
    "hbm clock speed(mhz)": ("mem_clock_mhz", "MHz"),
    "npu real-time power(w)": ("power_w", "W"),
    "power dissipation(w)": ("power_w", "W"),
    "real-time power(w)": ("power_w", "W"),
    "hbm bandwidth usage rate(%)": ("mem_util_pct", "%"),
    "power limit(w)": ("power_cap_w", "W"),
}
_NAMES = {
    "serial number": "serial",
    "software version": "driver",
    "firmware version": "firmware",
    "pcie bus info": "pci",
    "slot id": "slot",
    "vdie id": "uuid",
    "chip name": "model",
}
_ECC = re.compile(r"^(?:ddr|hbm) (single|double) bit (error count|aggregate total err cnt|isolated pages count)$")
_ECC_METRICS = {
    ("single", "error count"): "ecc_corrected_total",
    ("double", "error count"): "ecc_uncorrected_total",
    ("single", "aggregate total err cnt"): "ecc_corrected_life_total",
    ("double", "aggregate total err cnt"): "ecc_uncorrected_life_total",
}


def read_blocks(board: Board, text: str, first_line: int = 1, *, npu: str = "", chip: str = "") -> None:
    """Read one answer. npu, chip: from the command line, where the text does not say."""
    count = 0
    for block in _blocks(board, text, first_line, npu):
        npu = block.get("npu id", npu)
        if not npu or whole(npu) is None:
            if "card count" in block:
                board.sheet.expected = whole(block["card count"])
            elif any(k in _METRICS or k in _NAMES for k in block):
                board.sheet.unread("values of no card", str(block)[:400])
            continue
        count = whole(block.get("chip count")) or count
        _block(board, block, npu, chip, count)


def _blocks(board: Board, text: str, first_line: int, npu: str) -> list[Block]:
    blocks: list[Block] = []
    block: Block = {}
    for number, line in board.sheet.lines(text, first_line):
        if not line.strip():
            if block:
                blocks.append(block)
            block = {}
            continue
        match = _LINE.match(line)
        if match is None:
            if not refusal(board.sheet, line, npu or None):
                board.sheet.unread("a line that is no `key : value`", line, number)
            continue
        key = re.sub(r"\s+\(", "(", match[1].strip().lower())
        if key in block:  # the blank line between two chips is missing
            blocks.append(block)
            block = {}
        block[key] = match[2]
    if block:
        blocks.append(block)
    return blocks


def _block(board: Board, block: Block, npu: str, chip: str, count: int) -> None:
    name = block.get("chip name", "").lower()
    if name == "mcu":
        _controller(board, block, npu)
        return
    of = block.get("chip id", chip)
    if of and whole(of) is not None:
        _values(board, board.card(npu, of), block)
        return
    interesting = [
        k
        for k in block
        if k in _METRICS or k in _NAMES or k.startswith(("product", "health", "error code", "ddr", "hbm"))
    ]
    if not interesting:
        return
    # The board's own block: who it is holds for each of its chips; values only where it has one.
    identity = not any(k in _METRICS or _ECC.match(k) or "capacity" in k for k in block)
    if not identity and count > 1:
        if all(_METRICS.get(k, ("power_w",))[0] == "power_w" for k in block):
            _controller(board, block, npu)
        else:
            board.sheet.unread(f"NPU {npu}: values that do not say of which of its {count} chips", str(block)[:400])
        return
    for number in range(min(count, 16) if identity and count > 1 else 1):
        _values(board, board.card(npu, str(number)), block)


def _controller(board: Board, block: Block, npu: str) -> None:
    """The board's management controller: its power is that of the whole board, its temperature the board's."""
    cards = board.known(npu) or [board.card(npu)]
    for key, text in block.items():
        metric, unit = _METRICS.get(key, ("", ""))
        if metric == "power_w":
            cards[0].put("power_w", text, unit)
        elif metric == "temp_c":
            cards[0].put("board_temp_c", text, unit)
    for card in cards[1:]:
        card.shares = ("power_w", "board_temp_c")


def _values(board: Board, card: Card, block: Block) -> None:
    for key, text in block.items():
        if key in _METRICS:
            metric, unit = _METRICS[key]
            card.put(metric, text, unit)
        elif key in _NAMES:
            card.name(_NAMES[key], text)
    if "chip name" not in block:
        card.name("model", block.get("product name"))
    _clocks(card, block)
    _memory(card, block)
    _errors(card, block)
    _health(board, card, block)


def _clocks(card: Card, block: Block) -> None:
    now, rated = block.get("aicore curfreq(mhz)"), block.get("aicore freq(mhz)")
    card.put("clock_mhz", now if now is not None else rated, "MHz")
    if now is not None:
        card.put("clock_max_mhz", rated, "MHz")


def _memory(card: Card, block: Block) -> None:
    """HBM where the chip has it, else DDR. Use is printed as a percentage only, so the bytes in use stay unknown."""
    for kind in ("hbm", "ddr"):
        size, _ = measure("mem_total_bytes", block.get(f"{kind} capacity(mb)"), "MiB")
        if size:
            card.put("mem_total_bytes", block[f"{kind} capacity(mb)"], "MiB")
            card.put("mem_util_pct", block.get(f"{kind} bandwidth usage rate(%)"), "%")
            if f"{kind} usage rate(%)" in block:
                card.state("memory_used_pct", block[f"{kind} usage rate(%)"])
            return


def _errors(card: Card, block: Block) -> None:
    counts: dict[str, list[str]] = {}
    pages: list[str] = []
    for key, text in block.items():
        match = _ECC.match(key)
        if match is None:
            continue
        if match[2] == "isolated pages count":
            pages.append(text)
        else:
            counts.setdefault(_ECC_METRICS[(match[1], match[2])], []).append(text)
    for metric, texts in counts.items():
        card.values[metric] = total(texts)
    if pages:
        card.values["pages_retired"] = total(pages)


def _health(board: Board, card: Card, block: Block) -> None:
    for key in ("health status", "health"):
        card.state("health", block.get(key))
    codes = block.get("error code")
    if word(codes) is None or codes is None:
        return
    for code in re.findall(r"\b(?:0[xX])?([0-9A-Fa-f]{8})\b", codes):
        place = card.fields.get("pci") or card.fields.get("index")
        board.sheet.fault("npu", f"0x{code.upper()}", block.get("error information") or codes, device=place)


def is_key_value(text: str) -> bool:
    """Answers of `-t` and `-l`."""
    return any(w in text for w in ("NPU ID   ", "Chip Count  ", "Card Count  "))
