"""`hl-smi -q` and `-L`: one block per card, `[0] AIP (accel0) 0000:43:00.0`, rails and sensors counted out one by one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from fleetctl.model.probe import Output
from fleetctl.model.reading import ProbeResult
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.smi.family import throttle_reasons
from fleetctl.probes.text import measure, whole
from fleetctl.probes.trees import lines_of_tree, paths_of_tree

HEAD = re.compile(
    r"^\[?\s*(\d{1,4})?\]?\s*AIP\s+(?:\d+\s*)?(?:\((\w+)\)\s*)?"
    r"((?:[0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])\s*:?\s*$",
    re.MULTILINE,
)
_NAMES = {
    "model": ("product name",),
    "serial": ("serial number",),
    "uuid": ("aip uuid", "uuid"),
}
_STATES = {
    "module_id": "module id",
    "health": "module status",
    "memory_type": "memory type",
    "ecc_mode": "ecc mode/current",
}
# Transfers per second of a lane -> PCIe generation.
_GENERATIONS = {"2.5": "1", "5": "2", "5.0": "2", "8": "3", "8.0": "3", "16": "4", "16.0": "4", "32": "5", "32.0": "5"}
# Path in lower case -> (metric, unit).
_PATHS = (
    (r"memory usage/total$", "mem_total_bytes", "MB"),
    (r"memory usage/used$", "mem_used_bytes", "MB"),
    (r"utili[sz]ation/aip$|^aip[- ]util(?:ization)?$", "util_pct", "%"),
    (r"utili[sz]ation/memory$", "mem_util_pct", "%"),
    (r"^temperature/(?:aip|current|max)[^/]*$", "temp_c", "C"),
    (r"^clocks/(?:\[\s*\d+\]\s*)?soc$", "clock_mhz", "MHz"),
    (r"^clocks max/(?:\[\s*\d+\]\s*)?soc$", "clock_max_mhz", "MHz"),
    (r"^fan speed$", "fan_pct", "%"),
    (r"link width/current$", "pcie_width", ""),
    (r"link width/max$", "pcie_width_max", ""),
    (r"^replaced rows/single bit ecc$", "rows_remapped_corrected", ""),
    (r"^replaced rows/double bit ecc$", "rows_remapped_uncorrected", ""),
    (r"^replaced rows/pending$", "row_remap_pending", ""),
    (r"^ecc.*volatile.*(?:uncorrect|double)[^/]*(?:/total)?$", "ecc_uncorrected_total", ""),
    (r"^ecc.*volatile.*(?:correct|single)[^/]*(?:/total)?$", "ecc_corrected_total", ""),
    (r"^ecc.*aggregate.*(?:uncorrect|double)[^/]*(?:/total)?$", "ecc_uncorrected_life_total", ""),
    (r"^ecc.*aggregate.*(?:correct|single)[^/]*(?:/total)?$", "ecc_corrected_life_total", ""),
)
_COMPILED = tuple((re.compile(p), m, u) for p, m, u in _PATHS)


def log_parser(vendor: str, refusal: Callable[[Sheet, str], bool]) -> Callable[[Output], ProbeResult]:
    """A parse function for the log."""

    def parse(output: Output) -> ProbeResult:
        sheet = Sheet(vendor)
        text = sheet.text_of(output)
        text = re.sub(r"\n[ \t]+:[ \t]*(?=\S)", " : ", text)  # a value under its key, where the key is too long
        starts = list(HEAD.finditer(text))
        for fact, name in (("driver_version", "Driver Version"), ("tool_version", "HL-SMI Version")):
            if match := re.search(rf"(?m)^{name}\s*:\s*(\S+)", text):
                sheet.facts[fact] = match[1]
        if match := re.search(r"(?m)^Attached AIPs\s*:\s*(\d+)", text):
            sheet.expected = whole(match[1])
        for i, start in enumerate(starts):
            end = starts[i + 1].start() if i + 1 < len(starts) else len(text)
            card = sheet.card(index=start[1], pci=start[3], driver=sheet.facts.get("driver_version"))
            _card(card, text[start.end() : end])
        if not starts and text.strip() and not refusal(sheet, text):
            sheet.unread("no card in it", text)
        return sheet.result()

    return parse


def _card(card: Card, block: str) -> None:
    paths = {k.lower(): v for k, v in paths_of_tree(list(lines_of_tree(block))).items()}
    for field, names in _NAMES.items():
        for name in names:
            card.name(field, paths.get(name))
    spi = next((v for k, v in paths.items() if k.startswith("firmware [spi]")), None)
    card.name("firmware", match[0] if spi and (match := re.search(r"hl-\S+", spi)) else spi)
    card.name("pci", paths.get("pci/bus id"))
    for state, path in _STATES.items():
        text = paths.get(path)
        card.state(state, "OK" if text and text.lower() == "operational" else text)
    for path, text in paths.items():
        for pattern, metric, unit in _COMPILED:
            if pattern.search(path[:200]):
                card.put(metric, re.sub(r"^[xX](?=\d)", "", text), unit)
                break
        if match := re.search(r"link speed/(current|max)$", path):
            speed = _GENERATIONS.get(re.sub(r"\s*GT/s$", "", text, flags=re.IGNORECASE))
            card.put("pcie_gen" if match[1] == "current" else "pcie_gen_max", speed)
    _sensors(card, paths)
    _rails(card, paths)
    reasons = {k.rsplit("/", 1)[1]: v for k, v in paths.items() if k.startswith("clocks throttle reasons/")}
    if reasons:
        card.values["throttled"], words = throttle_reasons(reasons)
        card.state("throttle", words)


def _numbers(metric: str, texts: Iterable[str], unit: str) -> list[float]:
    return [v for text in texts if (v := measure(metric, text, unit)[0]) is not None]


def _sensors(card: Card, paths: dict[str, str]) -> None:
    """The hottest of each kind: the chip's dies, the memory stacks, the board."""
    for metric, words in (("temp_c", "on chip"), ("mem_temp_c", "hbm"), ("board_temp_c", "on board")):
        texts = [v for k, v in paths.items() if k.startswith("temperature/") and f"] {words}" in k]
        known = _numbers(metric, texts, "C")
        if texts and card.values.get(metric) is None:
            card.values[metric] = max(known) if known else None


def _rails(card: Card, paths: dict[str, str]) -> None:
    """Power comes over two rails with a limit each: the board's is their sum, unknown where one is."""
    for metric, key in (("power_w", "power draw"), ("power_cap_w", "power limit")):
        texts = [v for k, v in paths.items() if k.startswith("power readings") and k.endswith(f"/{key}")]
        known = _numbers(metric, texts, "W")
        if texts:
            card.values[metric] = sum(known) if len(known) == len(texts) else None
