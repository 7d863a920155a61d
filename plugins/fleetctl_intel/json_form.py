"""`discovery -j`, `stats -j` and `ps -j` of xpu-smi."""

from __future__ import annotations

import re

from fleetctl.model.probe import Output
from fleetctl.model.reading import FindingKind, ProbeResult
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.trees import read_entries, read_json
from fleetctl_intel.words import identify, put, refusal, tile, together

_LEVELS = {
    "GPU_UTILIZATION": ("util_pct", "%"),
    "POWER": ("power_w", "W"),
    "GPU_FREQUENCY": ("clock_mhz", "MHz"),
    "GPU_CORE_TEMPERATURE": ("temp_c", "C"),
    "CORE_TEMPERATURE": ("temp_c", "C"),
    "MEMORY_TEMPERATURE": ("mem_temp_c", "C"),
    "MEMORY_USED": ("mem_used_bytes", "MiB"),
    "MEMORY_BANDWIDTH": ("mem_util_pct", "%"),
    "RAS_ERROR_CAT_NON_COMPUTE_ERRORS_CORRECTABLE": ("ecc_corrected_total", ""),
    "RAS_ERROR_CAT_NON_COMPUTE_ERRORS_UNCORRECTABLE": ("ecc_uncorrected_total", ""),
}
_FAULTS = {
    "RAS_ERROR_CAT_RESET": "reset",
    "RAS_ERROR_CAT_DRIVER_ERRORS": "driver_errors",
    "RAS_ERROR_CAT_PROGRAMMING_ERRORS": "programming_errors",
    "RAS_ERROR_CAT_CACHE_ERRORS_UNCORRECTABLE": "cache_uncorrectable",
    "RAS_ERROR_CAT_NON_COMPUTE_ERRORS_UNCORRECTABLE": "memory_uncorrectable",
}
_PREFIX = "XPUM_STATS_"
_BYTES = 2.0**24  # memory in use above this is bytes (the service's own interface), below it MiB (the command)

_EMPTY = re.compile(r'"device_list"\s*:\s*(?:\[\s*\]|null)')


def parse_json(output: Output) -> ProbeResult:
    """One device (`stats -d 0 -j`), a list of devices, or a list of processes."""
    sheet = Sheet("intel")
    text = sheet.text_of(output)
    document, problem = read_json(text)
    devices = _devices(document)
    if devices is None and (whole_ones := read_entries(text, "device_list")):
        sheet.unread("JSON that does not end: the devices before the break are read", text[-500:])
        devices = whole_ones
    if devices is None and _EMPTY.search(text[:2000]) is not None:
        sheet.find(FindingKind.NO_DEVICES, "the driver sees no card", text)
        sheet.expected = 0
        return sheet.result()
    if devices is None:
        if not refusal(sheet, text):
            sheet.unread(problem or "no device in it", text)
        return sheet.result()
    for device in devices[:4096]:
        if isinstance(device, dict) and "process_id" in device:
            _process(sheet, device)
        elif isinstance(device, dict) and "device_id" in device:
            _device(sheet, device)
        else:
            sheet.unread("an entry that is no device", str(device)[:300])
    return sheet.result()


def _devices(document: object) -> list[object] | None:
    if isinstance(document, list):
        return document if any(isinstance(d, dict) and "device_id" in d for d in document) else None
    if not isinstance(document, dict):
        return None
    for value in document.values():
        if isinstance(value, list) and value and isinstance(value[0], dict) and "device_id" in value[0]:
            return value
    return [document] if "device_id" in document else None


def _device(sheet: Sheet, device: dict[str, object]) -> None:
    texts = {k: str(v) for k, v in device.items() if v is not None and not isinstance(v, dict | list)}
    card = sheet.card(index=texts.get("device_id"))
    identify(card, texts)
    tiles: dict[str, Card] = {}
    for name, value in texts.items():
        put(sheet, card, tiles, name, value)
    _levels(sheet, card, card, device.get("device_level"))
    listed = device.get("tile_level")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict):
            piece = tile(sheet, card, tiles, str(entry.get("tile_id", len(tiles))).rsplit("/", 1)[-1])
            _levels(sheet, card, piece, entry.get("data_list"))
    for metric in dict.fromkeys(m for p in tiles.values() for m in p.values):
        together(card, metric, [p.values.get(metric) for p in tiles.values()])


def _levels(sheet: Sheet, card: Card, target: Card, entries: object) -> None:
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or entry.get("value") is None:
            continue
        kind = str(entry.get("metrics_type", "")).removeprefix(_PREFIX)
        value = str(entry["value"])
        if kind in _LEVELS:
            metric, unit = _LEVELS[kind]
            large = isinstance(entry["value"], int | float) and entry["value"] >= _BYTES
            target.put(metric, value, "B" if large and metric == "mem_used_bytes" else unit)
        if kind in _FAULTS and isinstance(entry["value"], int | float) and entry["value"] > 0:
            who = card.fields.get("pci") or card.fields.get("index")
            sheet.fault("ras", _FAULTS[kind], f"{kind}: {value}", device=who, count=int(min(entry["value"], 2**31)))


def _process(sheet: Sheet, entry: dict[str, object]) -> None:
    index = str(entry.get("device_id"))
    card = sheet.find_card("index", index) or sheet.card(index=index)
    memory = entry.get("mem_size")
    name = entry.get("process_name")
    sheet.process(
        card,
        str(entry["process_id"]),
        None if name is None else str(name),
        None if memory is None else str(memory),
        "KB",
    )
    card.values["procs"] = int(card.values.get("procs") or 0) + 1
