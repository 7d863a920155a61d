"""Parse cost per host and round, vendor by vendor, beside what the standard library needs only to take the text apart.

    python benchmarks/parse.py [RECORDINGS]

RECORDINGS: folder with INDEX.tsv (default: ../shared/recordings/accelerators). Median of many runs, one process.
The floor is csv, ElementTree, json or splitlines over the same text: no unit, no check, no card.
"""

from __future__ import annotations

import csv
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from fleetctl.model.probe import Output
from fleetctl.plugin import load_plugin
from fleetctl.plugin.catalogue import enrich
from fleetctl.probes.parsing import choose_parser

# The form each vendor's round asks for, with the largest recording of it.
CASES = (
    ("nvidia", "nvidia/nvidia-smi__8xv100-sxm2-450.txt"),
    ("nvidia", "nvidia/nvidia-smi-query-gpu-all__h200-590-load.csv"),
    ("nvidia", "nvidia/nvidia-smi-q-x__rtx3080-595-dtd13.xml"),
    ("nvidia", "nvidia/dcgm-exporter-metrics__8xh100.prom"),
    ("ascend", "ascend/npu-smi-info__24.1.rc1-8x910b3.txt"),
    ("amd", "amd/rocm-smi-json__mi100-rocm571.json"),
    ("amd", "amd/rocm-smi__8xmi308x.txt"),
    ("hygon", "hygon/rocm-smi__8xk100.txt"),
    ("metax", "metax/mx-smi__2.2.9-8xc500.txt"),
    ("cambricon", "cambricon/cnmon__5.10.22-2xmlu370x8.txt"),
    ("iluvatar", "iluvatar/ixsmi-q-x__2xmrv100.xml"),
    ("kunlunxin", "kunlunxin/xpu-smi-m__2xp800.txt"),
    ("mthreads", "mthreads/mthreads-gmi__2.4.1-8xs5000.txt"),
    ("enflame", "enflame/efsmi-q__s60-8of10.txt"),
    ("gaudi", "gaudi/hl-smi-csv__8xhl325.csv"),
    ("gaudi", "gaudi/hl-smi__1.4.1-8xhl205.txt"),
    ("intel", "intel/xpu-smi-dump__6xmax1550.csv"),
    ("thead", "thead/ppu-smi__table.txt"),
    ("tenstorrent", "tenstorrent/tt-smi-snapshot__p300c.json"),
    ("neuron", "neuron/neuron-ls__trn2n.txt"),
    ("denglin", "denglin/dlsmi__8xks38.xml"),
)


def floor(text: str) -> Callable[[], object]:
    """The cheapest way to take this text apart with the standard library."""
    start = text.lstrip()[:1]
    if start == "<":
        return lambda: ElementTree.fromstring(text.split("?>", 1)[-1])
    if start in "{[":
        return lambda: json.loads(text)
    if text.count(",") > 3 * text.count("\n"):
        return lambda: list(csv.reader(text.splitlines()))
    return lambda: [line.split() for line in text.splitlines()]


def median_us(call: Callable[[], object]) -> float:
    """Microseconds of one call; at least 30 calls or half a second of them."""
    call()
    took: list[float] = []
    end = time.process_time() + 0.5
    while len(took) < 30 or time.process_time() < end:
        at = time.process_time()
        call()
        took.append(time.process_time() - at)
        if len(took) >= 3000:
            break
    return statistics.median(took) * 1e6


def main() -> None:
    default = Path(__file__).resolve().parents[2] / "shared" / "recordings" / "accelerators"
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    print(f"{'recording':52} {'cards':>5} {'KB':>6} {'parse us':>9} {'us/card':>8} {'floor us':>9} {'ratio':>6}")
    for vendor, name in CASES:
        plugin = load_plugin(vendor)
        if not plugin.parsers or not (root / name).exists():
            continue
        text = (root / name).read_text(encoding="utf-8", errors="replace")
        parser = choose_parser(plugin, text, "")
        assert parser is not None, name
        output, parse = Output(text), parser.parse
        cards = len(parse(output).readings)
        cost = median_us(lambda parse=parse, output=output: enrich(parse(output)))
        try:
            base = median_us(floor(text))
        except (ValueError, ElementTree.ParseError):
            base = float("nan")
        size = len(text.encode()) / 1024
        print(f"{name:52} {cards:5} {size:6.1f} {cost:9.0f} {cost / max(cards, 1):8.0f} {base:9.0f} {cost / base:6.1f}")


if __name__ == "__main__":
    main()
