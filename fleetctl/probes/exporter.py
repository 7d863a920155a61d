"""From exporter samples to cards: a table of names per exporter, labels for who."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fleetctl.model.probe import Output
from fleetctl.model.reading import ProbeResult
from fleetctl.probes.prometheus import Sample, samples
from fleetctl.probes.refusals import shell_refusal
from fleetctl.probes.sheet import Card, Sheet


@dataclass(frozen=True, slots=True)
class Exporter:
    """One exporter's naming.

    prefix: of its samples (others are passed over); metrics: sample name -> (metric, unit of the printed number);
    adds: sample name -> metric it is added to (one series per link or kind); labels: identity field -> label names;
    key: labels that make a card, best first; special: handles what no table can say, True when it did.
    """

    vendor: str
    prefix: str
    metrics: Mapping[str, tuple[str, str]]
    labels: Mapping[str, tuple[str, ...]]
    key: tuple[str, ...]
    adds: Mapping[str, str] = field(default_factory=dict)
    part: Callable[[Mapping[str, str]], str | None] = field(default=lambda labels: None)
    part_metrics: frozenset[str] = frozenset()
    special: Callable[[Sheet, Card | None, Sample], bool] = field(default=lambda sheet, card, sample: False)


def exporter_parser(exporter: Exporter) -> Callable[[Output], ProbeResult]:
    """A parse function for one exporter's text."""

    def parse(output: Output) -> ProbeResult:
        sheet = Sheet(exporter.vendor)
        text = sheet.text_of(output)
        cards: dict[str, Card] = {}
        if len(text) < 2000 and "{" not in text and shell_refusal(sheet, text):
            return sheet.result()
        seen = 0
        for item in samples(text):
            if isinstance(item, tuple):
                sheet.unread("a line that is no sample", item[1], item[0])
                continue
            if not item.name.startswith(exporter.prefix):
                continue
            seen += 1
            _sample(sheet, exporter, cards, item)
        if not seen and text.strip():
            sheet.unread("no sample of this exporter in it", text)
        return sheet.result()

    return parse


def _sample(sheet: Sheet, exporter: Exporter, cards: dict[str, Card], sample: Sample) -> None:
    who = next((sample.labels[k] for k in exporter.key if sample.labels.get(k)), None)
    card: Card | None = None
    if who is not None:
        card = cards.get(who)
        if card is None:
            card = cards[who] = sheet.card()
        for name, labels in exporter.labels.items():
            for label in labels:
                card.name(name, sample.labels.get(label))
    if exporter.special(sheet, card, sample):
        return
    if card is None:
        return
    target = card
    piece = exporter.part(sample.labels)
    metric, unit = exporter.metrics.get(sample.name, ("", ""))
    if piece is not None and metric in exporter.part_metrics:
        target = _part(sheet, cards, card, f"{who}/{piece}", piece)
    if metric:
        target.put_number(metric, sample.value, unit)
        target.values.setdefault(metric, None)
    elif added := exporter.adds.get(sample.name):
        total = target.values.get(added)
        if sample.value is not None and sample.value >= 0 and sample.value < 2**53:
            target.values[added] = (total or 0) + sample.value
        else:
            target.values.setdefault(added, None)


def _part(sheet: Sheet, cards: dict[str, Card], card: Card, key: str, name: str) -> Card:
    piece = cards.get(key)
    if piece is None:
        piece = cards[key] = sheet.card(index=name, model=card.fields.get("model"), pci=card.fields.get("pci"))
        piece.fields["partition"] = name
        piece.parent = card
        piece.shares = ("power_w", "temp_c")
    return piece
