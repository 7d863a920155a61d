"""xpu-smi of Intel: two-column tables of `discovery`, `stats` and `health`, the same as JSON, CSV of `dump`, `ps`."""

from __future__ import annotations

import csv
import re

from fleetctl.model.probe import Output
from fleetctl.model.reading import ProbeResult
from fleetctl.plugin import Parser
from fleetctl.probes.detect_json import detect_parser
from fleetctl.probes.refusals import is_ellipsis
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.smi import Family, csv_parser, list_parser
from fleetctl.probes.smi.csv_form import looks_like_csv
from fleetctl.probes.text import is_unknown, whole
from fleetctl_intel.json_form import parse_json
from fleetctl_intel.kernel import parse_kernel
from fleetctl_intel.words import identify, put, ras_faults, refusal, tile, together

FAMILY = Family(vendor="intel", refusal=refusal)


def parse_tables(output: Output) -> ProbeResult:
    """`discovery`, `stats` and `health`: a left column that holds the device's id or the value's name, a right one that
    goes on below."""
    sheet = Sheet("intel")
    text = sheet.text_of(output)
    rows: dict[str, str] = {}
    card: Card | None = None
    left_before = ""

    def close() -> None:
        if card is None:
            return
        identify(card, rows)
        tiles: dict[str, Card] = {}
        for name, value in rows.items():
            put(sheet, card, tiles, name, value)
        ras_faults(sheet, card, rows)
        _health(sheet, card, rows)

    for number, line in sheet.lines(text):
        stripped = line.strip()
        if not stripped or not stripped.strip("+-=") or is_ellipsis(stripped):
            continue
        if not stripped.startswith("|"):
            if not refusal(sheet, stripped):
                sheet.unread("a line outside the table", line, number)
            continue
        cells = [c.strip() for c in stripped.strip("|").split("|", 1)]
        if len(cells) < 2 or not stripped.endswith("|"):
            sheet.unread("a row that was cut", line, number)
            continue
        left, right = cells
        if left.lower() == "device id" and right.lower().startswith(("device info", "topology info")):
            continue
        index = left if whole(left) is not None else right if left.lower() == "device id" else None
        if index is not None:
            close()
            rows, left_before = {}, ""
            card = sheet.card(index=index)
        if left.lower() == "device id":
            continue
        if whole(left) is not None or not left:
            name, colon, value = right.partition(":")
            if colon:
                rows.setdefault(f"{left_before}{name.strip()}", value.strip())
        elif card is None:
            sheet.unread("a value of no device", line, number)
        elif re.match(r"\d\.\s", left):  # health: `1. GPU Core Temperature | Status: Ok`, more below
            left_before = f"{left}/"
            name, _, value = right.partition(":")
            rows.setdefault(f"{left_before}{name.strip()}", value.strip())
        else:
            rows.setdefault(left, right)
    close()
    if not sheet.cards and not sheet.findings:
        sheet.unread("no card in it", text)
    return sheet.result()


def _health(sheet: Sheet, card: Card, rows: dict[str, str]) -> None:
    said = {re.sub(r"^\d\.\s*", "", k.removesuffix("/Status")): v for k, v in rows.items() if k.endswith("/Status")}
    bad = {k: v for k, v in said.items() if not is_unknown(v) and v.lower() not in ("ok", "normal")}
    if any(not is_unknown(v) for v in said.values()):
        card.state("health", ", ".join(f"{k}: {v}" for k, v in bad.items()) or "OK")
    for part, word in bad.items():
        text = next((v for k, v in rows.items() if part in k and k.endswith("/Description")), "")
        sheet.fault(
            "health", part.lower().replace(" ", "_"), f"{part}: {word}. {text}", device=card.fields.get("index")
        )


def _cells(line: str) -> list[str]:
    try:
        return [c.strip() for c in next(csv.reader([line], skipinitialspace=True), [])]
    except csv.Error:
        return []


def parse_dump(output: Output) -> ProbeResult:
    """`dump`: CSV with blanks. The first sample often knows nothing: of several each value's last known one counts.
    With `-t` there is a row per tile."""
    sheet = Sheet("intel")
    heads: list[str] = []
    device = part = -1
    last: dict[tuple[str, str], dict[str, str]] = {}
    for number, line in sheet.lines_of(output):
        if not line.strip() or is_ellipsis(line):
            continue
        cells = _cells(line)
        low = [c.lower().replace(" ", "") for c in cells]
        if "deviceid" in low:
            heads, device = cells, low.index("deviceid")
            part = low.index("tileid") if "tileid" in low else -1
            continue
        if not heads or len(cells) != len(heads) or whole(cells[device]) is None:
            if not refusal(sheet, line):
                sheet.unread("a row that does not fit its header", line, number)
            continue
        row = last.setdefault((cells[device], cells[part] if part >= 0 else ""), {})
        for head, cell in zip(heads, cells, strict=True):
            if not is_unknown(cell) or head not in row:
                row[head] = cell
    _samples(sheet, last)
    if not last and not sheet.findings:
        sheet.unread("no row in it", output.stdout)
    return sheet.result()


def _samples(sheet: Sheet, last: dict[tuple[str, str], dict[str, str]]) -> None:
    cards: dict[str, Card] = {}
    tiles: dict[str, dict[str, Card]] = {}
    for (index, part), row in last.items():
        if index not in cards:
            cards[index], tiles[index] = sheet.card(index=index), {}
        identify(cards[index], row)
        target = cards[index] if whole(part) is None else tile(sheet, cards[index], tiles[index], part)
        for name, value in row.items():
            put(sheet, target, {}, name, value)
        ras_faults(sheet, cards[index], row)
    for index, pieces in tiles.items():
        for metric in dict.fromkeys(m for p in pieces.values() for m in p.values):
            together(cards[index], metric, [p.values.get(metric) for p in pieces.values()])


def parse_discovery(output: Output) -> ProbeResult:
    """The properties as CSV where the version has them, else the list of devices as JSON."""
    return (parse_json if "{" in output.stdout[:4096] else parse_dump)(output)


def parse_ps(output: Output) -> ProbeResult:
    """`ps`: who holds which card; memory in kB, as its help says. The tool lists itself."""
    sheet = Sheet("intel")
    heads: list[str] = []
    for number, line in sheet.lines_of(output):
        cells = line.split()
        if not cells or is_ellipsis(line):
            continue
        if cells[0] == "PID":
            heads = [c.lower() for c in cells]
            continue
        if len(cells) < len(heads) or not heads or whole(cells[0]) is None or "deviceid" not in heads:
            if not refusal(sheet, line):
                sheet.unread("a row that does not fit its header", line, number)
            continue
        place = len(cells) - (len(heads) - heads.index("deviceid"))
        row = dict(zip(heads[heads.index("deviceid") :], cells[place:], strict=True))
        card = sheet.find_card("index", row["deviceid"]) or sheet.card(index=row["deviceid"])
        sheet.process(card, cells[0], " ".join(cells[1:place]), row.get("mem"), "KB")
        card.values["procs"] = int(card.values.get("procs") or 0) + 1
    if not heads and not sheet.findings:
        sheet.unread("no header in it", output.stdout)
    return sheet.result()


PARSERS = (
    Parser("intel.dump", "xpu-smi dump", parse_dump, lambda text: re.search(r"(?mi)^Timestamp,\s*Device ?Id", text[:8192]) is not None),
    Parser("intel.properties", "xpu-smi discovery --dump", parse_dump, lambda text: re.search(r"(?m)^Device ID,", text[:4096]) is not None),
    Parser("intel.json", "xpu-smi discovery -j", parse_json,
           lambda text: '"device_list"' in text[:4096] or '"device_id"' in text[:8192]),
    Parser("intel.stats-json", "xpu-smi stats -j", parse_json, lambda text: '"device_level"' in text or '"tile_level"' in text),
    Parser("intel.ps-json", "xpu-smi ps -j", parse_json, lambda text: '"process_id"' in text[:8192]),
    Parser("intel.ps", "xpu-smi ps", parse_ps, lambda text: text.lstrip().startswith("PID") and "DeviceID" in text[:512]),
    Parser("intel.discovery", "xpu-smi discovery", parse_tables,
           lambda text: "| Device ID" in text[:4096] and "Device Information" in text[:4096]),
    Parser("intel.health", "xpu-smi health", parse_tables, lambda text: "| 1. GPU Core Temperature" in text[:4096]),
    Parser("intel.stats", "xpu-smi stats", parse_tables, lambda text: "| Device ID" in text[:4096]),
    Parser("intel.list", "xpu-smi --list-gpus", list_parser(FAMILY), lambda text: re.search(r"(?m)^GPU \d+: .*UUID:", text[:4096]) is not None),
    Parser("intel.query", "xpu-smi --query-gpu=... --format=csv", csv_parser(FAMILY, ()),
           lambda text: "|" not in text[:512] and "{" not in text[:512] and looks_like_csv(text),
           for_command=lambda command: csv_parser(FAMILY, (), asked=command)),
    Parser("intel.kernel", "dmesg", parse_kernel, lambda text: re.search(r"\b(?:i915|xe) [0-9a-f]{4}:", text[:65536]) is not None),
    detect_parser("intel"),
)  # fmt: skip
