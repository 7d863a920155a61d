"""The sheet a parser fills: cards, faults and findings in any order, one ProbeResult at the end.

Keys, plausibility and the limit on findings live here, so that no parser can get them wrong on its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from fleetctl.model.probe import Outcome, Output
from fleetctl.model.reading import (
    Device,
    Fault,
    FaultAction,
    FindingKind,
    Link,
    ProbeFinding,
    ProbeResult,
    Process,
    Reading,
    Value,
)
from fleetctl.probes.text import MAX_CHARS, clean, excerpt, identifier, measure, pci_address, scaled, whole, word

MAX_FINDINGS = 64
MAX_LINE = 2000  # characters; the widest row of a drawn table here has 520
MAX_CARDS = 4096
MAX_FAULTS = 4096


class Card:
    """One card (or part of one) while its lines are still being read."""

    __slots__ = ("_sheet", "fields", "key", "parent", "shares", "states", "values")

    def __init__(self, sheet: Sheet, fields: dict[str, str | None]) -> None:
        self._sheet = sheet
        self.fields = fields
        self.values: dict[str, Value] = {}
        self.states: dict[str, str] = {}
        self.parent: Card | None = None
        self.shares: tuple[str, ...] = ()
        self.key = ""

    def name(self, field: str, text: str | None) -> None:
        """Set one identity field (model, serial, uuid, pci ...) unless it is unknown or already there."""
        if self.fields.get(field) is not None or text is None:
            return
        if field == "pci":
            self.fields[field] = pci_address(text)
        elif field in ("serial", "uuid"):
            self.fields[field] = identifier(text)
        else:
            self.fields[field] = word(text)

    def put(self, metric: str, text: str | None, unit: str = "", *, line: int | None = None, raw: str = "") -> None:
        """Set one metric from its printed text unless it is already known. What cannot be read becomes a finding."""
        if self.values.get(metric) is not None:
            return
        value, problem = measure(metric, text, unit)
        self._keep(metric, value, problem, line, raw or (text or ""))

    def put_number(self, metric: str, number: float | int | None, unit: str = "") -> None:
        """Set one metric from a number that is one already (JSON, exporters)."""
        if number is None or self.values.get(metric) is not None:
            return
        value, problem = scaled(metric, number, unit)
        self._keep(metric, value, problem, None, str(number))

    def _keep(self, metric: str, value: Value, problem: str, line: int | None, raw: str) -> None:
        self.values[metric] = value
        if problem:
            self._sheet.unread(f"card {self.fields.get('index') or '?'}, {problem}", raw, line)

    def state(self, name: str, text: str | None) -> None:
        """Set one word (health, mode) unless the tool knows none."""
        value = word(text)
        if value is not None and name not in self.states:
            self.states[name] = value[:200]


_BLANKS = 200  # in a row, more than any tool pads with
_EMPTY_LINES = re.compile(r"\n(?:[ \t]*\n){19}(?:[ \t]*\n)*+")


def squeeze(text: str) -> str:
    """Text without endless blanks and empty lines: patterns that skip blanks would cost the square of such a run."""
    for blank in " \t":
        if blank * _BLANKS in text:
            text = re.sub(f"{blank}{{{_BLANKS},}}", blank * _BLANKS, text)
    return _EMPTY_LINES.sub("\n" * 20, text)


class Sheet:
    """Everything one output says, collected."""

    def __init__(self, vendor: str) -> None:
        self.vendor = vendor
        self.cards: list[Card] = []
        self.faults: list[Fault] = []
        self.findings: list[ProbeFinding] = []
        self.facts: dict[str, str] = {}
        self.expected: int | None = None
        self._processes: list[tuple[Card | None, Process]] = []
        self._links: list[tuple[Card, Link]] = []
        self._unsaid = 0

    def text_of(self, output: Output) -> str:
        """The text to parse: cleaned, cut at the limit, with a finding for what the command's end already tells."""
        text = output.stdout
        if len(text) > MAX_CHARS or output.outcome is Outcome.CUT:
            self.find(
                FindingKind.TOO_LARGE, f"output over the limit was cut after {min(len(text), MAX_CHARS)} characters"
            )
            text = text[:MAX_CHARS]
        if output.outcome is Outcome.MISSING:
            self.find(FindingKind.MISSING_TOOL, "no such tool on the host", output.stderr)
        elif output.outcome in (Outcome.TIMEOUT, Outcome.HUNG):
            self.find(FindingKind.TOOL_HUNG, "the tool did not end in time", output.stderr or text)
        text = squeeze(clean(text))
        low = (text[:400] + output.stderr[:400]).lower()
        if output.outcome is Outcome.DONE and output.exit_status == 127 and "not found" in low and len(text) < 400:
            self.find(FindingKind.MISSING_TOOL, "no such tool on the host", output.stderr or text)
            return ""
        if output.outcome is Outcome.DONE and not text.strip():
            if output.stderr.strip() or output.exit_status not in (0, None):
                self.find(FindingKind.TOOL_FAILED, f"no output, exit status {output.exit_status}", output.stderr)
            else:
                self.unread("the output is empty", "")
        return text

    def lines_of(self, output: Output) -> Iterator[tuple[int, str]]:
        """The lines of `text_of`, with their numbers."""
        return self.lines(self.text_of(output))

    def lines(self, text: str, first: int = 1) -> Iterator[tuple[int, str]]:
        """Lines of a drawn or listed form, numbered. No tool draws one of MAX_LINE characters: such a line is noise,
        and not shown to patterns whose cost grows with its square."""
        for number, line in enumerate(text.split("\n"), first):
            if len(line) <= MAX_LINE:
                yield number, line
            else:
                self.unread(f"a line of {len(line)} characters", line, number)

    def card(self, **fields: str | None) -> Card:
        """A new card. Fields as in model.Device; addresses and identifiers are normalised."""
        card = Card(self, {"vendor": self.vendor})
        for field, text in fields.items():
            card.name(field, text)
        if len(self.cards) < MAX_CARDS:
            self.cards.append(card)
        return card

    def find_card(self, field: str, value: str | None) -> Card | None:
        """The first card whose identity field has this value."""
        wanted = pci_address(value) if field == "pci" else value
        if wanted is None:
            return None
        return next((c for c in self.cards if c.fields.get(field) == wanted), None)

    def fault(
        self,
        family: str,
        code: str,
        text: str,
        *,
        device: str | None = None,
        action: FaultAction | None = None,
        at: float | None = None,
        count: int = 1,
    ) -> None:
        """One fault; meaning and action come from the plugin's ladder unless the line itself names the action."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(
                Fault(self.vendor, family, code, excerpt(text, 500), device=device, action=action, at=at, count=count)
            )

    def find(self, kind: FindingKind, text: str, raw: str = "", line: int | None = None) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(ProbeFinding(kind, text, line, excerpt(raw)))
        else:
            self._unsaid += 1

    def unread(self, text: str, raw: str, line: int | None = None) -> None:
        """A line, cell or text that could not be read; the raw text stays."""
        self.find(FindingKind.UNREADABLE, text, raw, line)

    def process(
        self, card: Card | None, pid: str | int | None, name: str | None = None, mem: str | None = None,
        unit: str = "", user: str | None = None,
    ) -> None:  # fmt: skip
        """One process that holds a card; a pid that is no number is skipped with a finding."""
        number = whole(str(pid)) if pid is not None else None
        if number is None or number > 2**31:
            self.unread("a process without a number", f"{pid} {name}")
            return
        used, _ = measure("mem_used_bytes", mem, unit)
        entry = Process(number, "", word(name), word(user), None if used is None else int(used))
        if len(self._processes) < MAX_FAULTS:
            self._processes.append((card, entry))

    def link(
        self, card: Card, index: str, kind: str, up: bool | None, *, speed_gbps: float | None = None,
        errors_total: int | None = None, peer: str | None = None,
    ) -> None:  # fmt: skip
        if len(self._links) < MAX_FAULTS:
            self._links.append((card, Link("", index, kind, up, speed_gbps, errors_total, peer)))

    def _name_cards(self) -> None:
        seen: set[str] = set()
        for number, card in enumerate(self.cards):
            f = card.fields
            key = card.key or f.get("uuid") or f.get("serial") or f.get("pci") or f.get("index") or f"#{number}"
            if not card.key and not (f.get("uuid") or f.get("serial") or f.get("pci")):
                key = f"{self.vendor}-{key}"
            if card.parent is not None and not f.get("uuid") and not card.key:
                key = f"{card.parent.key}/{f.get('index') or number}"
            if key in seen:  # the same serial on every slice or die, or a tool that prints a card twice
                for extra in (f.get("index"), f"#{number}"):
                    if extra and f"{key}/{extra}" not in seen:
                        key = f"{key}/{extra}"
                        break
            seen.add(key)
            card.key = key

    def result(self) -> ProbeResult:
        """All that was read, frozen."""
        self._name_cards()
        readings = []
        places: dict[str, str] = {}
        for card in self.cards:
            f = card.fields
            device = Device(
                kind="card", key=card.key, index=f.get("index"), vendor=f.get("vendor"), model=f.get("model"),
                chip=f.get("chip"), serial=f.get("serial"), uuid=f.get("uuid"), pci=f.get("pci"), slot=f.get("slot"),
                firmware=f.get("firmware"), driver=f.get("driver"), partition=f.get("partition"),
                parent=card.parent.key if card.parent is not None else None, shares=card.shares,
            )  # fmt: skip
            readings.append(Reading(device, card.values, card.states))
            if device.pci and card.parent is None:
                places.setdefault(device.pci, card.key)
        if self._unsaid:
            self.findings[-1] = ProbeFinding(FindingKind.UNREADABLE, f"and {self._unsaid + 1} more like these")
        return ProbeResult(
            readings=tuple(readings),
            faults=tuple(replace(x, device=places.get(x.device, x.device)) if x.device else x for x in self.faults),
            findings=tuple(self.findings),
            processes=tuple(replace(p, device=c.key if c is not None else p.device) for c, p in self._processes),
            links=tuple(replace(link, device=c.key) for c, link in self._links),
            facts=self.facts,
            devices_expected=self.expected,
        )
