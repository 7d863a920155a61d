"""amd-smi: text blocks of `static`, `metric` and `process`, the same as JSON, and the fixed-width `monitor`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from fleetctl.model.probe import Output
from fleetctl.model.reading import FaultAction, FindingKind, ProbeResult
from fleetctl.probes.refusals import shell_refusal
from fleetctl.probes.sheet import Card, Sheet
from fleetctl.probes.text import identifier, is_unknown, split_number, whole, word
from fleetctl.probes.trees import MAX_PATH, lines_of_tree, paths_of_tree, read_json

# Path in lower case (blocks joined with /) -> (metric, unit when the value has none). First known wins.
_PATHS: tuple[tuple[str, str, str], ...] = (
    (r"usage/gfx_activity$", "util_pct", "%"),
    (r"usage/umc_activity$", "mem_util_pct", "%"),
    (r"(?:^|/)power/socket_power$", "power_w", "W"),
    (r"(?:^|/)power/(?:current_socket_power|average_socket_power|power_usage)$", "power_w", "W"),
    (r"(?:^|/)power/(?:power_limit|power_cap)$", "power_cap_w", "W"),
    (r"limit/(?:ppt0/)?socket_power(?:_limit)?$", "power_cap_w", "W"),
    (r"limit/power_cap$", "power_cap_w", "W"),
    (r"limit/max_power$", "power_cap_w", "W"),
    (r"temperature/edge$", "temp_c", "C"),
    (r"temperature/hotspot$", "hotspot_temp_c", "C"),
    (r"temperature/mem$", "mem_temp_c", "C"),
    (r"clock/(?:gfx_0|gfx)/clk$", "clock_mhz", "MHz"),
    (r"clock/(?:gfx_0|gfx)/max_clk$", "clock_max_mhz", "MHz"),
    (r"clock/(?:mem_0|mem)/clk$", "mem_clock_mhz", "MHz"),
    (r"mem_usage/used_vram$", "mem_used_bytes", "MB"),
    (r"mem_usage/total_vram$", "mem_total_bytes", "MB"),
    (r"vram/size$", "mem_total_bytes", "MB"),
    (r"fan/usage$", "fan_pct", "%"),
    (r"fan/rpm$", "fan_rpm", "rpm"),
    (r"ecc/total_correctable(?:_count)?$", "ecc_corrected_total", ""),
    (r"ecc/total_uncorrectable(?:_count)?$", "ecc_uncorrected_total", ""),
    (r"pcie/width$", "pcie_width", ""),
    (r"bus/max_pcie_width$", "pcie_width_max", ""),
    (r"pcie/replay_count$", "pcie_replay_total", ""),
    (r"energy/total_energy_consumption$", "energy_j", "J"),
)
_COMPILED = tuple((re.compile(p), m, u) for p, m, u in _PATHS)
_NAMES = {
    "model": ("asic/market_name", "board/product_name"),
    "serial": ("asic/asic_serial", "board/product_serial"),
    "pci": ("bus/bdf", "bdf"),
    "uuid": ("uuid",),
    "driver": ("driver/version",),
    "firmware": ("vbios/version", "ifwi/version"),
    "slot": ("asic/oam_id",),
}
_GENERATION = {2.5: 1, 5.0: 2, 8.0: 3, 16.0: 4, 32.0: 5, 64.0: 6}
_HEAD = re.compile(r"^GPU:\s*(\d{1,4})\s*$", re.MULTILINE)


def refusal(sheet: Sheet, text: str) -> bool:
    """amd-smi's own errors."""
    low = text[:4000].lower()
    if "error code:" in low:
        sheet.find(FindingKind.TOOL_FAILED, "the tool refuses", text[:2000])
    elif (
        "no amd gpu" in low
        or "no gpu" in low
        or "no device" in low
        or "amdsmi_status_no_drv" in low
        or "driver not loaded" in low
    ):
        kind = FindingKind.TOOL_FAILED if "driver" in low or "no_drv" in low else FindingKind.NO_DEVICES
        sheet.find(kind, "the driver sees no card or is not loaded", text[:2000])
        if kind is FindingKind.TOOL_FAILED:
            sheet.fault("driver", "not_loaded", text.strip()[:300], action=FaultAction.STOP_NEW_WORK)
    else:
        return shell_refusal(sheet, text)
    return True


def parse_text(output: Output) -> ProbeResult:
    """Blocks `GPU: n`; what stands before the first (warnings on power states, CPER notes) is passed over."""
    sheet = Sheet("amd")
    text = sheet.text_of(output)
    starts = list(_HEAD.finditer(text))
    for i, start in enumerate(starts):
        end = starts[i + 1].start() if i + 1 < len(starts) else len(text)
        block = text[start.end() : end]
        card = sheet.find_card("index", start[1]) or sheet.card(index=start[1])
        _card(sheet, card, {k.lower(): v for k, v in paths_of_tree(list(lines_of_tree(block))).items()})
        _processes(sheet, card, block)
    if not starts and text.strip() and not refusal(sheet, text):
        sheet.unread("no card in it", text)
    return sheet.result()


def parse_json(output: Output) -> ProbeResult:
    """A bare list on older releases, `{"gpu_data": [...]}` on newer; a value is `{"value": 42, "unit": "%"}` or text."""
    sheet = Sheet("amd")
    text = sheet.text_of(output)
    if _HEAD.search(text):  # a release that knows no --json prints its blocks
        return parse_text(output)
    document, problem = read_json(text)
    entries = document.get("gpu_data", document.get("gpus")) if isinstance(document, dict) else document
    if isinstance(document, dict) and entries is None and "gpu" in document:
        entries = [document]
    if problem or not isinstance(entries, list):
        if text.strip() and not refusal(sheet, text):
            sheet.unread(problem or "not a list of cards", text)
        return sheet.result()
    for entry in entries[:4096]:
        if not isinstance(entry, dict):
            sheet.unread("an entry that is no card", str(entry)[:200])
            continue
        index = str(entry.get("gpu", entry.get("gpu_id", "")))
        card = (sheet.find_card("index", index) if index else None) or sheet.card(index=index or None)
        _card(sheet, card, dict(_flat(entry)))
        listed = entry.get("process_list")
        for process in listed if isinstance(listed, list) else ():
            info = process.get("process_info") if isinstance(process, dict) else None
            if isinstance(info, dict):
                memory = info.get("memory_usage")
                used = dict(_flat(memory)).get("vram_mem") if isinstance(memory, dict) else None
                sheet.process(card, str(info.get("pid")), str(info.get("name")), used, "B")
    return sheet.result()


def _flat(entry: Mapping[str, object], before: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """`a/b` -> text for every leaf; `{"value": 42, "unit": "%"}` is the text `42 %`. Lists are passed over."""
    for key, value in list(entry.items())[:500]:
        path = f"{before}{key}".lower()
        if len(path) > MAX_PATH:
            continue
        if isinstance(value, dict) and "value" in value and len(value) <= 2:
            yield path, f"{value['value']} {value.get('unit', '')}".strip()
        elif isinstance(value, dict) and depth < 8:
            yield from _flat(value, f"{path}/", depth + 1)
        elif value is not None and not isinstance(value, list | dict):
            yield path, str(value)


@lru_cache(maxsize=4096)
def _meaning(path: str) -> tuple[str, str]:
    """(metric, unit) of a path, ("", "") for one that is no metric."""
    return next(((metric, unit) for pattern, metric, unit in _COMPILED if pattern.search(path)), ("", ""))


def _card(sheet: Sheet, card: Card, paths: Mapping[str, str]) -> None:
    for field, names in _NAMES.items():
        for name in names:
            text = paths.get(name)
            if field in ("serial", "uuid"):
                text = identifier(text) if text and "redacted" not in text.lower() else None
            card.name(field, text)
    for path, text in paths.items():
        metric, unit = _meaning(path[:200])
        if metric:
            card.put(metric, text, unit, raw=f"{path}: {text}")
    for path in ("pcie/speed", "bus/max_pcie_speed"):
        speed = split_number(paths.get(path, ""))
        if speed is not None and "gt/s" in speed[1].lower():
            card.put_number("pcie_gen_max" if path.startswith("bus") else "pcie_gen", _GENERATION.get(float(speed[0])))
    _throttle(card, paths)
    for state, path in (
        ("compute_partition", "partition/compute_partition"),
        ("memory_partition", "partition/memory_partition"),
    ):
        card.state(state, paths.get(path))
    place = paths.get("partition/partition_id", paths.get("partition_id"))
    if word(place) not in (None, "0"):
        card.fields["partition"] = place
        card.shares = ("power_w", "power_cap_w", "mem_total_bytes", "mem_used_bytes")


def _throttle(card: Card, paths: Mapping[str, str]) -> None:
    """Violations now in force; `THROTTLE_STATUS` on older releases."""
    violations = {p.rsplit("/", 1)[-1]: v for p, v in paths.items() if p.endswith("_violation_status")}
    known = {k: v for k, v in violations.items() if not is_unknown(v)}
    status = paths.get("power/throttle_status")
    if known:
        active = [k.removesuffix("_violation_status") for k, v in known.items() if v.strip().lower() == "active"]
        card.values["throttled"] = int(bool(active))
        card.state("throttle", ", ".join(active))
    elif word(status) is not None and status is not None:
        card.values["throttled"] = 0 if status.strip().upper() == "UNTHROTTLED" else 1


_PROCESS = re.compile(r"PROCESS_INFO:\s*\n((?:[ \t]{5,}.*\n?)*)")


def _processes(sheet: Sheet, card: Card, block: str) -> None:
    for match in _PROCESS.finditer(block):
        rows = {k.lower(): v for k, v in paths_of_tree(list(lines_of_tree(match[1]))).items()}
        if whole(rows.get("pid")) is not None:
            sheet.process(card, rows["pid"], rows.get("name"), rows.get("memory_usage/vram_mem"), "B")


# Header of `amd-smi monitor` -> (metric, unit).
_MONITOR = {
    "power": ("power_w", "W"),
    "power_usage": ("power_w", "W"),
    "max_power": ("power_cap_w", "W"),
    "pwr_cap": ("power_cap_w", "W"),
    "gpu_temp": ("temp_c", "C"),
    "gpu_t": ("temp_c", "C"),
    "mem_temp": ("mem_temp_c", "C"),
    "mem_t": ("mem_temp_c", "C"),
    "gfx_util": ("util_pct", "%"),
    "gfx%": ("util_pct", "%"),
    "gfx_clock": ("clock_mhz", "MHz"),
    "gfx_clk": ("clock_mhz", "MHz"),
    "mem_util": ("mem_util_pct", "%"),
    "mem%": ("mem_util_pct", "%"),
    "mem_clock": ("mem_clock_mhz", "MHz"),
    "vram_used": ("mem_used_bytes", "MB"),
    "vram_total": ("mem_total_bytes", "MB"),
    "single_ecc": ("ecc_corrected_total", ""),
    "double_ecc": ("ecc_uncorrected_total", ""),
    "pcie_replay": ("pcie_replay_total", ""),
}
_VALUE = re.compile(r"N/A|[-+]?[\d.]+(?:/\s*\d+(?:\.\d+)?)?(?:\s(?:W|°C|C|%|[Mm][Hh]z|MB|GB|Mb/s|MB/s)(?=\s|$))?|\S+")


def parse_monitor(output: Output) -> ProbeResult:
    """One row per card; several tables one after the other are samples, the last one counts."""
    sheet = Sheet("amd")
    head: list[str] = []
    last: dict[str, tuple[int, dict[str, str], str]] = {}
    for number, line in sheet.lines_of(output):
        words = line.split()
        if not words:
            continue
        if "GPU" in words and any(w.lower() in _MONITOR for w in words):
            head = [w.lower() for w in words]
            continue
        values = _VALUE.findall(line)
        if not head or len(values) != len(head) or whole(values[head.index("gpu")]) is None:
            if not refusal(sheet, line) and (head or not line.lstrip().startswith(("WARNING", "Gathering"))):
                sheet.unread("a row that does not fit its header", line, number)
            continue
        row = dict(zip(head, values, strict=True))
        key = row["gpu"] + ("/" + row["xcp"] if "xcp" in row else "")
        last[key] = (number, row, line)
    cards = [key.split("/")[0] for key in last]
    for key, (number, row, line) in last.items():
        alone = cards.count(key.split("/")[0]) == 1
        card = sheet.card(index=key.split("/")[0] if alone else key)
        if not alone and not key.endswith("/0"):
            card.fields["partition"] = f"XCP {row['xcp']}"
            card.shares = ("power_w", "power_cap_w", "mem_used_bytes", "mem_total_bytes")
        for name, text in row.items():
            if name in _MONITOR:
                metric, unit = _MONITOR[name]
                card.put(metric, text, unit, line=number, raw=line)
        if "/" in row.get("vram_used", "") or "vram_usage" in row:
            used, _, size = row.get("vram_usage", row.get("vram_used", "")).partition("/")
            card.put("mem_used_bytes", used, "GB")
            card.put("mem_total_bytes", size, "GB")
    if not last and not sheet.findings:
        sheet.unread("no card in it", output.stdout)
    return sheet.result()
