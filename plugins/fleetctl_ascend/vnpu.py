"""`npu-smi info -t info-vnpu -i N -c M`: the virtual NPUs of a chip, as parts of it. From the vendor's manual; unproven.

The table of parts has a header with `Vnpu ID` and `Template Name`; columns are found by these words.
"""

from __future__ import annotations

import re

from fleetctl.probes.text import whole, word
from fleetctl_ascend.board import Board

_HEAD = re.compile(r"vnpu id", re.IGNORECASE)


def is_vnpu(text: str) -> bool:
    """The answer about virtual NPUs."""
    return "vnpu id" in text.lower() or "total number of vnpu" in text.lower()


def read_vnpus(board: Board, text: str, first_line: int = 1, *, npu: str = "", chip: str = "0") -> None:
    """Add one part per row; npu and chip come from the command line, where no card is named they are a finding."""
    heads: list[str] = []
    for number, line in board.sheet.lines(text, first_line):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if _HEAD.search(line):
            heads = [cell.lower() for cell in cells]
            continue
        if not heads or not line.strip().startswith("|"):
            continue
        row = dict(zip(heads, cells, strict=False))
        if whole(row.get("vnpu id")) is None:
            continue
        if not npu:
            board.sheet.unread("a virtual NPU of no card: name it with --command", line, number)
            continue
        card = board.card(npu, chip)
        part = board.sheet.card(index=row["vnpu id"])
        part.parent = card
        part.fields["partition"] = word(row.get("template name")) or f"vnpu {row['vnpu id']}"
        part.state("status", row.get("status"))
