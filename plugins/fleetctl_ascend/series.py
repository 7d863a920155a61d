"""Samples over time: `npu-smi info watch` and the CSV of its collectors. The last sample of a card is its reading."""

from __future__ import annotations

import csv
import re

from fleetctl.model.probe import Output
from fleetctl.model.reading import ProbeResult
from fleetctl.probes.sheet import Sheet
from fleetctl.probes.text import whole
from fleetctl_ascend.board import Board, refusal

_WATCH = {
    "pwr(w)": ("power_w", "W"),
    "temp(c)": ("temp_c", "C"),
    "ai core(%)": ("util_pct", "%"),
    "aicore(%)": ("util_pct", "%"),
    "memory bw(%)": ("mem_util_pct", "%"),
    "hbm bw(%)": ("mem_util_pct", "%"),
}
_CSV = {
    "power": ("power_w", "W"),
    "freq": ("clock_mhz", "MHz"),
    "temp": ("temp_c", "C"),
    "aicore": ("util_pct", "%"),
    "hbm_used": ("mem_used_bytes", "MiB"),
}


def read_watch(board: Board, text: str, first_line: int = 1) -> None:
    """`npu-smi info watch -s ptam`: a header, then one row per chip and second."""
    heads: list[str] = []
    last: dict[tuple[str, str], tuple[int, dict[str, str]]] = {}
    for number, line in board.sheet.lines(text, first_line):
        if not line.strip():
            continue
        if line.strip().lower().startswith("npuid"):
            heads = [h.lower() for h in re.split(r"\s{2,}|(?<=\))\s+", line.strip())]
            continue
        cells = line.split()
        if len(heads) < 2 or len(cells) != len(heads) or None in (whole(cells[0]), whole(cells[1])):
            if not refusal(board.sheet, line):
                board.sheet.unread("a row that does not fit its header", line, number)
            continue
        last[(cells[0], cells[1])] = (number, dict(zip(heads, cells, strict=True)))
    for (npu, chip), (number, row) in last.items():
        card = board.card(npu, chip)
        for head, cell in row.items():
            if head in _WATCH:
                card.put(*(_WATCH[head][0], cell, _WATCH[head][1]), line=number)


def parse_series(output: Output) -> ProbeResult:
    """CSV with a header of time, dev_id and values."""
    sheet = Sheet("ascend")
    board = Board(sheet)
    heads: list[str] = []
    last: dict[str, tuple[int, dict[str, str]]] = {}
    for number, line in sheet.lines_of(output):
        if not line.strip():
            continue
        cells = [c.strip() for c in next(csv.reader([line]), [])]
        if "dev_id" in cells:
            heads = cells
        elif not heads or len(cells) != len(heads) or whole(cells[heads.index("dev_id")]) is None:
            if heads or not refusal(sheet, line):
                sheet.unread("a row that does not fit its header", line, number)
        else:
            last[cells[heads.index("dev_id")]] = (number, dict(zip(heads, cells, strict=True)))
    for index, (number, row) in last.items():
        card = board.card(index)
        for head, cell in row.items():
            if head in _CSV:
                card.put(_CSV[head][0], cell, _CSV[head][1], line=number)
    return sheet.result()


def looks_like_series(text: str) -> bool:
    return "dev_id," in text[:512] and text[:512].split("\n")[0].count(",") > 1
