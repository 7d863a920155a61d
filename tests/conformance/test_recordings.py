"""Every recording of the shared set, read in place: as many cards as were counted by eye, every value as printed.

INDEX.tsv gives counts and values in words ("device 0: temp=42, power_w=44, mem 0/32510"); what is stated there in
that form is compared. Runs where the shared recordings lie next to the repository (or FLEETCTL_RECORDINGS names them).
"""

from __future__ import annotations

import csv
import os
import random
import re
import time
from pathlib import Path

import pytest

from fleetctl.model.metric import metrics_of
from fleetctl.model.reading import FindingKind, ProbeResult
from fleetctl.plugin import Plugin, load_plugin, load_plugins
from fleetctl.probes.parsing import exit_code, parse_text
from fleetctl.probes.text import plausible


def _find() -> Path | None:
    named = os.environ.get("FLEETCTL_RECORDINGS")
    places = [Path(named)] if named else [p / "shared" / "recordings" for p in Path(__file__).resolve().parents]
    return next((p / "accelerators" for p in places if (p / "accelerators" / "INDEX.tsv").exists()), None)


ROOT = _find()
pytestmark = pytest.mark.conformance


def _rows() -> list[dict[str, str]]:
    if ROOT is None:
        return []
    with (ROOT / "INDEX.tsv").open(encoding="utf-8", newline="") as file:
        return [r for r in csv.DictReader(file, delimiter="\t") if _plugin(r) is not None]


def _plugin(row: dict[str, str]) -> Plugin | None:
    """The plugin of a row; the other collector's lists name the vendor in the file's name."""
    name = row["vendor"]
    if name == "gpustack-runtime":
        name = row["file"].split("detect__")[1].split("_")[0].split(".")[0]
    plugin = next((p for p in load_plugins()[0] if p.name == name), None)
    return plugin if plugin is not None and plugin.parsers else None


ROWS = _rows()
# Counts in the index that mean something else than rows of cards.
_OTHER_COUNT = {
    "ascend/device-history.log": 0,  # one device had exceptions; no card is described
    "nvidia/fabricmanager.log": 0,  # eight cards in the machine; the log describes none
    "amd/dmesg__umc-bogus-count.log": 0,
}
_LOGS = ("dmesg", "kmsg")
_PAIRS = {
    "temp": ("temp_c", 1.0),
    "power_w": ("power_w", 1.0),
    "power_cap_w": ("power_cap_w", 1.0),
    "cap": ("power_cap_w", 1.0),
    "util": ("util_pct", 1.0),
    "aicore": ("util_pct", 1.0),
    "mem_used_mib": ("mem_used_bytes", 2.0**20),
    "mem_total_mib": ("mem_total_bytes", 2.0**20),
    "hbm_used": ("mem_used_bytes", 2.0**20),
    "hbm_total": ("mem_total_bytes", 2.0**20),
    "edge": ("temp_c", 1.0),
    "junction": ("hotspot_temp_c", 1.0),
}
_WHO = re.compile(r"^(?:device|gpu|NPU|HCU|card|chip)\s*(\d+)(?:\s*chip (\d+))?\s*:?", re.IGNORECASE)


def _read(row: dict[str, str], *, command: bool) -> ProbeResult:
    assert ROOT is not None
    plugin = _plugin(row)
    assert plugin is not None
    text = (ROOT / row["file"]).read_bytes().decode("utf-8", errors="replace")
    return parse_text(plugin, text, command=row["command"] if command else "").result


@pytest.mark.parametrize("row", ROWS, ids=[r["file"] for r in ROWS])
@pytest.mark.parametrize("command", [True, False], ids=["with-command", "by-looks"])
def test_everything_in_the_recording_is_read(row: dict[str, str], command: bool) -> None:
    result = _read(row, command=command)
    unread = [f for f in result.findings if f.kind in (FindingKind.UNREADABLE, FindingKind.TOO_LARGE)]
    assert not unread
    assert exit_code(result) == 0


@pytest.mark.parametrize("row", ROWS, ids=[r["file"] for r in ROWS])
def test_as_many_cards_as_were_counted_by_eye(row: dict[str, str]) -> None:
    name = row["file"]
    counted = int((re.match(r"\d+", row["devices"]) or ["0"])[0])
    wanted = _OTHER_COUNT.get(name, 0 if any(w in name for w in _LOGS) else counted)
    result = _read(row, command=True)
    assert sum(r.device.parent is None for r in result.readings if r.device.kind == "card") == wanted


@pytest.mark.parametrize("row", ROWS, ids=[r["file"] for r in ROWS])
def test_values_are_those_read_by_eye(row: dict[str, str]) -> None:
    result = _read(row, command=True)
    cards = [r for r in result.readings if r.device.parent is None and r.device.kind == "card"]
    if not cards or row["file"].endswith("details__910a.csv"):
        return  # a series: the index gives its first row too
    number = 0
    for part in row["expected"].split(";"):
        who = _WHO.match(part.strip())
        if who:
            number = next((i for i, c in enumerate(cards) if c.device.index in (who[1], f"{who[1]}/{who[2] or 0}")), -1)
        if number < 0 or "first sample" in part or "next sample" in part or "tool" in part:
            continue
        values = cards[number].values
        for name, text in re.findall(r"(?<!mem )\b(\w+)[= ]([\d.]+\d|\d|N/A)(?=[ ,;]|$)", part):
            if name in _PAIRS and not (name in ("edge", "junction") and "=" in part and f"{name}=" in part):
                metric, factor = _PAIRS[name]
                wanted = None if text == "N/A" else float(text) * factor
                assert values.get(metric) == (None if wanted is None else pytest.approx(wanted, abs=0.51)), (name, part)
        for used, size in re.findall(r"\b(?:mem|hbm|memory|vram) (\d+)/(\d+)\b(?! (?:bytes|MB|MiB))", part):
            if "hbm" in row["expected"] and "memory " + used in part:
                continue  # the chip's second memory
            assert values.get("mem_used_bytes") == int(used) * 2**20
            assert values.get("mem_total_bytes") == int(size) * 2**20


def _assert_sound(result: ProbeResult) -> None:
    """What must hold for any input: plausible values, distinct keys, bounded findings with bounded raw text."""
    for reading in result.readings:
        names = {m.name for m in metrics_of(reading.device.kind)}
        for metric, value in reading.values.items():
            assert metric in names
            assert value is None or plausible(metric, value), (metric, value)
    keys = [r.device.key for r in result.readings]
    assert len(keys) == len(set(keys))
    assert all(keys)
    assert len(result.findings) <= 65
    assert all(len(f.raw) <= 2048 and "\x1b" not in f.raw for f in result.findings)
    assert exit_code(result) in (0, 1, 2)


def _damage(text: str, other: str, rng: random.Random) -> str:
    """Cut, splice, repeat, drop, swap and corrupt."""
    for _ in range(rng.randint(1, 4)):
        at, to = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
        kind = rng.randrange(8)
        if kind == 0:
            text = text[:at]
        elif kind == 1:
            text = text[at:]
        elif kind == 2:
            text = text[:at] + other[rng.randrange(len(other) + 1) :][:2000] + text[at:]
        elif kind == 3:
            text = text[:at] + text[at : at + 300] * 3 + text[at:]
        elif kind == 4:
            text = text[:at] + text[min(to, at + 200) :]
        elif kind == 5:
            junk = rng.choice(
                ["\x1b[31m", "\x00", "￿", "²³", "-1", "99999999999999999999", "|", "\t", "N/A", '"', "<", "["]
            )
            text = text[:at] + junk + text[at + rng.randrange(4) :]
        elif kind == 6:
            lines = text.split("\n")
            rng.shuffle(lines)
            text = "\n".join(lines)
        else:
            text = text.replace(" ", rng.choice(["", "  ", "\t"]), rng.randrange(1, 40))
    return text


@pytest.mark.parametrize("row", ROWS, ids=[r["file"] for r in ROWS])
def test_damaged_recordings_never_break_a_parser(row: dict[str, str]) -> None:
    assert ROOT is not None
    plugin = _plugin(row)
    assert plugin is not None
    rng = random.Random(row["file"])
    text = (ROOT / row["file"]).read_bytes().decode("utf-8", errors="replace")
    rounds = int(os.environ.get("FLEETCTL_DAMAGE", "40"))
    for _ in range(rounds if len(text) < 20_000 else max(rounds // 8, 4)):
        other = (ROOT / rng.choice(ROWS)["file"]).read_bytes().decode("utf-8", errors="replace")
        damaged = _damage(text, other, rng)
        result = parse_text(plugin, damaged, command=rng.choice([row["command"], ""])).result
        _assert_sound(result)
        assert not [f for f in result.findings if "the parser failed" in f.text], damaged[:500]


@pytest.mark.parametrize("row", ROWS, ids=[r["file"] for r in ROWS])
def test_a_recording_in_another_vendors_hands_gives_no_card_of_its_own(row: dict[str, str]) -> None:
    """A text of one tool read as another's never becomes a crash; what it gives is plausible."""
    assert ROOT is not None
    text = (ROOT / row["file"]).read_bytes().decode("utf-8", errors="replace")
    started = time.process_time()
    for plugin in load_plugins()[0]:
        if plugin.parsers:
            result = parse_text(plugin, text).result
            _assert_sound(result)
            assert not [f for f in result.findings if "the parser failed" in f.text]
    assert time.process_time() - started < 60


def test_the_index_is_read_whole() -> None:
    assert len(ROWS) > 100
    assert load_plugin("nvidia").parsers
