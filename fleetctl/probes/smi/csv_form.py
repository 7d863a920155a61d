"""`--query-gpu=... --format=csv[,noheader][,nounits]` and its sisters for processes and retired pages."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable

from fleetctl.model.probe import Output
from fleetctl.model.reading import FindingKind, ProbeResult
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.smi.family import QUERY_NAMES, QUERY_STATES, QUERY_UNITS, Family, fill, throttle_reasons
from fleetctl.probes.text import measure, pci_address, split_number, total, whole

_NAME = r"[A-Za-z]\w*(?:\.[\w-]+)*"
_HEADER = re.compile(rf"^\"?{_NAME}(?: \[[^\]]*\])?(?:\s*,\s*{_NAME}(?: \[[^\]]*\])?)*\s*$")
_UUIDISH = re.compile(r"^(?=.*\d)[A-Za-z0-9]{2,}(?:-[A-Za-z0-9]+)+$")  # not every maker follows the standard form
_UUID = re.compile(r"^(?:GPU|PPU|MIG)-[0-9a-fA-F-]{8,}$|^[0-9a-fA-F]{8}-[0-9a-fA-F-]{20,}$")
_MEMORY_FIELDS = ("used_gpu_memory", "used_memory", "used_ppu_memory")
_PROCESS_FIELDS = {"pid", "process_name", *_MEMORY_FIELDS}
_INVALID = re.compile(r'Field "([^"]+)" is not a valid field to query')


def fields_of_command(command: str) -> list[str]:
    """The fields a command line asks for: `--query-gpu=index,name` -> ["index", "name"]; [] when it names none."""
    match = re.search(r"(?:--query-[a-z-]+|-Q)[= ]\s*[\"']?([\w.,-]+)", command)
    return [f for f in match[1].split(",") if f] if match else []


def _cells(line: str) -> list[str]:
    try:
        return [c.strip() for c in next(csv.reader([line], skipinitialspace=True))]
    except (csv.Error, StopIteration):
        return [c.strip() for c in line.split(",")]


def _is_header(line: str) -> bool:
    if "," not in line and line.strip() not in ("index", "uuid", "name"):
        return False
    if not _HEADER.match(line.strip()):
        return False
    words = [c.split(" [")[0] for c in _cells(line)]
    return any(
        "." in w or "_" in w or w in ("index", "uuid", "name", "pid", "serial", "pstate") for w in words
    ) and all(re.fullmatch(_NAME, w) for w in words)


def _fits(names: list[str], cells: list[str], *, headed: bool = False) -> bool:
    """Whether a row can be of these fields: same length and every identity where it should be.

    headed: the tool named the fields itself, so a UUID may look as it likes.
    """
    if len(names) != len(cells):
        return False
    for name, cell in zip(names, cells, strict=True):
        if name == "index" and whole(cell) is None:
            return False
        if name == "uuid" and not headed and not (_UUIDISH.match(cell) or _UUID.match(cell) or cell.startswith("[")):
            return False
        if (
            name in ("pci.bus_id", "gpu_bus_id", "bus_id", "ppu_bus_id")
            and pci_address(cell) is None
            and not cell.startswith("[")
        ):
            return False
        if name == "pstate" and not re.fullmatch(r"P\d+|\[.*\]|N/A", cell):
            return False
    return True


def csv_parser(
    family: Family, known: tuple[tuple[str, ...], ...], *, asked: str = ""
) -> Callable[[Output], ProbeResult]:
    """A parse function. known: lists of fields that a headerless answer may have, our own first; asked: the command."""
    lists = [list(k) for k in known]
    if fields := fields_of_command(asked):
        lists.insert(0, fields)

    def parse(output: Output) -> ProbeResult:
        sheet = Sheet(family.vendor)
        text = sheet.text_of(output)
        names: list[str] | None = None
        units: dict[str, str] = {}
        headed = False
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            if (bad := _INVALID.search(line)) is not None:
                sheet.find(FindingKind.TOOL_FAILED, f"this driver has no field {bad[1]}", line, number)
                continue
            if _is_header(line):
                heads = _cells(line)
                names = [h.split(" [")[0].strip() for h in heads]
                units = {n: h.split("[")[1].rstrip("] ") for n, h in zip(names, heads, strict=True) if "[" in h}
                headed = True
                continue
            if family.refusal(sheet, line):
                continue
            cells = _cells(line)
            if names is None:
                names = next((n for n in lists if _fits(n, cells)), None)
                if names is None:
                    _loose(sheet, cells, line, number)
                    continue
            if len(cells) > len(names) and "process_name" in names:  # a name with commas in it
                at, more = names.index("process_name"), len(cells) - len(names)
                cells[at : at + more + 1] = [", ".join(cells[at : at + more + 1])]
            if not _fits(names, cells, headed=headed):
                sheet.unread(f"{len(cells)} cells that do not fit the {len(names)} fields asked for", line, number)
                continue
            _row(sheet, family, dict(zip(names, cells, strict=True)), units, line, number)
        family.finish(sheet)
        return sheet.result()

    return parse


def _loose(sheet: Sheet, cells: list[str], line: str, number: int) -> None:
    """A headerless row of fields nobody told us: who the card is can be seen, which number is what cannot."""
    uuid = next((c for c in cells if _UUID.match(c)), None)
    pci = next((c for c in cells if pci_address(c)), None)
    if uuid is None and pci is None:
        sheet.unread("a line that is no row of this form", line, number)
        return
    names = [c for c in cells if len(c) > 2 and not split_number(c) and c not in (uuid, pci) and not c.startswith("[")]
    card = sheet.card(uuid=uuid, pci=pci, index=cells[0] if whole(cells[0]) is not None else None)
    card.name("model", next((n for n in names if " " in n or not n.startswith("P")), None))
    sheet.unread("a row without header whose columns are not known: name them with --command", line, number)


def _row(sheet: Sheet, family: Family, row: dict[str, str], units: dict[str, str], line: str, number: int) -> None:
    if "pid" in row and _PROCESS_FIELDS & row.keys():
        card = _card_of(sheet, row)
        field = next((f for f in _MEMORY_FIELDS if f in row), "")
        memory, unit = row.get(field), units.get(field, "MiB")
        sheet.process(card, row["pid"], row.get("process_name"), memory, unit)
        return
    if "retired_pages.address" in row:
        card = _card_of(sheet, row)
        if card is not None and row["retired_pages.address"].lower().startswith("0x"):
            card.put_number("pages_retired", None)
            card.values["pages_retired"] = int(card.values.get("pages_retired") or 0) + 1
        return
    if "processor" in row and "memory" in row:  # a pair of clocks the card could have
        if (possible := _card_of(sheet, row)) is not None:
            wanted, _ = measure("clock_max_mhz", row["processor"], "MHz")
            best = possible.values.get("clock_max_mhz")
            possible.values["clock_max_mhz"] = wanted if best is None else max(best, wanted or 0)
        return
    lost = [c for c in row.values() if "gpu is lost" in c.lower()]
    card = sheet.card(**{f: row.get(n) for f, ns in QUERY_NAMES.items() for n in ns if n in row})
    named = {m: units[n] for m, ns in family.query.items() for n in ns if n in units and n in row}
    fill(card, row, family.query, {**QUERY_UNITS, **named})
    for state, names in QUERY_STATES.items():
        for name in names:
            card.state(state, row.get(name))
    reasons = {
        name.rsplit(".", 1)[1]: cell
        for name, cell in row.items()
        if name.startswith(("clocks_event_reasons.", "clocks_throttle_reasons."))
        and not name.endswith((".supported", ".active"))
    }
    active = row.get("clocks_event_reasons.active", row.get("clocks_throttle_reasons.active"))
    _throttle(card, reasons, active)
    if "retired_pages.single_bit_ecc.count" in row or "retired_pages.double_bit.count" in row:
        counts = [row.get("retired_pages.single_bit_ecc.count", ""), row.get("retired_pages.double_bit.count", "")]
        card.values["pages_retired"] = total(counts)
    if (count := whole(row.get("count"))) is not None:
        sheet.expected = count
    if lost:
        sheet.fault(
            "bus", "lost", "the card fell off the bus", device=card.fields.get("pci") or card.fields.get("index")
        )


# Bits of clocks_event_reasons.active, from nvml.h; idle and chosen clocks are left out.
_THROTTLE_BITS = {0x4: "sw_power_cap", 0x8: "hw_slowdown", 0x20: "sw_thermal_slowdown", 0x40: "hw_thermal_slowdown",
                  0x80: "hw_power_brake_slowdown"}  # fmt: skip
_OTHER_BITS = {0x1: "gpu_idle", 0x2: "applications_clocks_setting", 0x10: "sync_boost", 0x100: "display_clocks_setting"}


def _throttle(card: Card, reasons: dict[str, str], active: str | None) -> None:
    held, words = throttle_reasons(reasons)
    if held is None and active is not None and active.lower().startswith("0x"):
        try:
            bits = int(active, 16)
        except ValueError:
            return
        held = int(any(bits & b for b in _THROTTLE_BITS))
        words = ", ".join(name for bit, name in {**_THROTTLE_BITS, **_OTHER_BITS}.items() if bits & bit)
    if held is not None:
        card.values["throttled"] = held
        card.state("throttle", words)


def _card_of(sheet: Sheet, row: dict[str, str]) -> Card | None:
    """The card a process or page row belongs to, made when it is new; None when the row does not say."""
    fields = {f: row[n] for f, ns in QUERY_NAMES.items() for n in ns if n in row and f != "index"}
    for field in ("pci", "uuid", "serial"):
        if (value := fields.get(field)) and (card := sheet.find_card(field, value)):
            return card
    return sheet.card(**fields) if fields else None


def looks_like_csv(text: str) -> bool:
    """A header line of query fields, or rows that hold an address or UUID between commas."""
    for line in text[:8192].split("\n")[:20]:
        if not line.strip():
            continue
        if _is_header(line):
            return True
        cells = line.split(",")
        if len(cells) > 2 and any(pci_address(c) or _UUID.match(c.strip()) for c in cells):
            return True
    return False
