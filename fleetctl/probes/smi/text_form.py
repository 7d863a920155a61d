"""`-q`, whole or with `-d SECTION`: indented headings and `key : value` lines, one block per card."""

from __future__ import annotations

import re
from collections.abc import Callable

from fleetctl.model.probe import Output
from fleetctl.model.reading import ProbeResult
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.smi.family import TEXT, TEXT_NAMES, TEXT_STATES, Family, fill, throttle_reasons
from fleetctl.probes.text import total, whole
from fleetctl.probes.trees import lines_of_tree, paths_of_tree

_UNITS = {"mem_used_bytes": "MiB", "mem_total_bytes": "MiB"}
_FACTS = {"driver version": "driver_version", "cuda version": "cuda_version", "timestamp": "timestamp"}
Line = tuple[int, int, str, str | None]


def text_parser(family: Family) -> Callable[[Output], ProbeResult]:
    """A parse function for `-q` of this family."""
    word = f"(?:{family.word}|GPU)"
    address = r"((?:[0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7])"
    head = re.compile(rf"^(?:\[\d+\]\s+)?{word}\s+(?:\(\w+\)\s+)?{address}\s*$", re.MULTILINE)

    def parse(output: Output) -> ProbeResult:
        sheet = Sheet(family.vendor)
        text = sheet.text_of(output)
        starts = list(head.finditer(text))
        preamble = text[: starts[0].start()] if starts else text
        if preamble.strip() and family.refusal(sheet, preamble) and not starts:
            return sheet.result()
        driver = None
        for _, _, key, value in lines_of_tree(preamble):
            low = key.lower()
            if value and low in _FACTS:
                sheet.facts[_FACTS[low]] = value.strip()
                driver = value.strip() if low == "driver version" else driver
            elif value and low.startswith("attached ") and whole(value) is not None:
                sheet.expected = whole(value)
        if not starts and text.strip() and not sheet.facts and sheet.expected is None:
            sheet.unread("no card in it", text)
        for number, start in enumerate(starts):
            end = starts[number + 1].start() if number + 1 < len(starts) else len(text)
            _card(sheet, family, start[1], text[start.end() : end], driver)
        family.finish(sheet)
        return sheet.result()

    return parse


def _card(sheet: Sheet, family: Family, address: str, block: str, driver: str | None) -> None:
    lines = list(lines_of_tree(block))
    lines, processes = _split_processes(lines)
    paths = paths_of_tree(lines)
    card = sheet.card(pci=address, driver=driver)
    for name, keys in TEXT_NAMES.items():
        for key in keys:
            card.name(name, paths.get(key.format(w=family.word)))
    fill(card, paths, {m: tuple(k.format(w=family.word) for k in keys) for m, keys in TEXT.items()}, _UNITS)
    _sums(card, paths)
    pages = [paths.get(f"Retired Pages/{p}", "") for p in ("Single Bit ECC", "Double Bit ECC")]
    if any(p in paths for p in ("Retired Pages/Single Bit ECC", "Retired Pages/Double Bit ECC")):
        card.values["pages_retired"] = total(pages)
    for state, keys in TEXT_STATES.items():
        for key in keys:
            card.state(state, paths.get(key.format(w=family.word)))
    reasons = {
        path.rsplit("/", 1)[1]: text
        for path, text in paths.items()
        if path.startswith(("Clocks Event Reasons/", "Clocks Throttle Reasons/"))
    }
    held, words = throttle_reasons(reasons)
    if reasons:
        card.values["throttled"] = held
        card.state("throttle", words)
    if any("gpu is lost" in v.lower() for v in paths.values()):
        sheet.fault("bus", "lost", "the card fell off the bus", device=card.fields.get("pci"))
    if processes is not None:
        for process in processes:
            sheet.process(card, process.get("id"), process.get("name"), process.get("mem"), "MiB")
        card.values["procs"] = len(processes)
    _slices(sheet, card, lines)


_SUMS = {"corrected": ("SRAM Correctable", "DRAM Correctable"),
         "uncorrected": ("SRAM Uncorrectable", "SRAM Uncorrectable Parity", "SRAM Uncorrectable SEC-DED",
                         "DRAM Uncorrectable")}  # fmt: skip


def _sums(card: Card, paths: dict[str, str]) -> None:
    for scope, life in (("Volatile", ""), ("Aggregate", "life_")):
        for kind, names in _SUMS.items():
            metric = f"ecc_{kind}_{life}total"
            printed = [paths[p] for n in names if (p := f"ECC Errors/{scope}/{n}") in paths]
            if printed and card.values.get(metric) is None:
                card.values[metric] = total(printed)


def _split_processes(lines: list[Line]) -> tuple[list[Line], list[dict[str, str]] | None]:
    """The lines without the process section, and its processes; None when the section is absent or says N/A."""
    rest: list[Line] = []
    processes: list[dict[str, str]] | None = None
    inside: int | None = None
    for line in lines:
        _, indent, key, value = line
        if inside is not None and indent <= inside:
            inside = None
        if inside is None and key == "Processes":
            inside = indent
            processes = [] if value is None or value.strip().lower() == "none" else None
            continue
        if inside is None or processes is None:
            rest.append(line)
        elif key == "Process ID":
            processes.append({"id": (value or "").strip()})
        elif processes and key == "Name":
            processes[-1].setdefault("name", (value or "").strip())
        elif processes and key.startswith("Used ") and key.endswith(" Memory"):
            processes[-1].setdefault("mem", (value or "").strip())
    return rest, processes


def _slices(sheet: Sheet, card: Card, lines: list[Line]) -> None:
    """`MIG Device` blocks of a card that is cut in slices."""
    block: list[Line] | None = None
    blocks: list[list[Line]] = []
    level = 0
    for line in lines:
        _, indent, key, _ = line
        if key in ("MIG Device", "MIG Devices Info"):
            block, level = [], indent
            blocks.append(block)
        elif block is not None and indent <= level:
            block = None
        elif block is not None:
            block.append(line)
    for number, block in enumerate(blocks):
        paths = paths_of_tree(block)
        piece = sheet.card(
            index=paths.get("Index", str(number)), model=card.fields.get("model"), pci=card.fields.get("pci")
        )
        gi, ci = paths.get("GPU Instance ID"), paths.get("Compute Instance ID")
        piece.fields["partition"] = f"GI {gi} CI {ci}"
        piece.parent = card
        piece.shares = ("power_w", "temp_c")
        piece.name("uuid", paths.get("MIG UUID") or paths.get("UUID"))
        for metric, key in (("mem_used_bytes", "Used"), ("mem_total_bytes", "Total")):
            piece.put(metric, paths.get(f"FB Memory Usage/{key}"), "MiB")
