"""`topo -m` of many tools: a matrix of cards whose cells say by what way two of them are joined."""

from __future__ import annotations

import re
from collections.abc import Callable

from fleetctl.model.probe import Output
from fleetctl.model.reading import ProbeResult
from fleetctl.probes.sheet import Card, Sheet


def matrix_parser(
    vendor: str, word: str, bond: str, kind: str, refusal: Callable[[Sheet, str], bool]
) -> Callable[[Output], ProbeResult]:
    """A parse function. word: what a card is called ("PPU" in PPU0); bond: how a cell names the maker's own links, with
    how many are bonded after it ("ICN" in ICN2); kind: what those links are called."""
    name, cell = re.compile(rf"{word}\d{{1,4}}"), re.compile(rf"{bond}(\d{{1,3}})")
    head = re.compile(rf"(?:{word}|NIC)\d{{1,4}}|mlx5_\w+")

    def parse(output: Output) -> ProbeResult:
        sheet = Sheet(vendor)
        heads: list[str] = []
        text = sheet.text_of(output)
        for line in text.split("\n"):
            cells = line.split()
            if line.strip().lower().startswith("legend"):
                break
            if cells and not heads and name.fullmatch(cells[0]) and "X" not in cells:
                heads = [c for c in cells if head.fullmatch(c)]
            elif cells and heads and name.fullmatch(cells[0]):
                bonds = [(p, m[1]) for p, c in zip(heads, cells[1:], strict=False) if (m := cell.fullmatch(c))]
                _card(sheet, sheet.card(index=cells[0][len(word) :]), cells[0], bonds)
        if not sheet.cards and text.strip() and not refusal(sheet, text):
            sheet.unread("no matrix in it", text)
        return sheet.result()

    def _card(sheet: Sheet, card: Card, who: str, bonds: list[tuple[str, str]]) -> None:
        for peer, _ in bonds:
            sheet.link(card, f"{who}-{peer}", kind, True, peer=peer)
        if bonds:
            card.values["links_up"] = sum(int(count) for _, count in bonds)

    return parse
