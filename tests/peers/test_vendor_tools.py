"""Real sshd hosts whose tools print recordings: every vendor is found without configuration, and faults stay apart.

Runs where the shared testbed and recordings lie next to the repository.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def _shared() -> Path | None:
    places = [p / "shared" for p in Path(__file__).resolve().parents]
    return next((p for p in places if (p / "testbed" / "hosts" / "hostbed.py").exists()), None)


SHARED = _shared()
pytestmark = pytest.mark.peers

# vendor -> (tool, recording, cards)
TOOLS = {
    "nvidia": ("nvidia-smi", "nvidia/nvidia-smi-query-gpu-all__l40s-595-load.csv", 1),
    "ascend": ("npu-smi", "ascend/npu-smi-info__25.2.0-a3-4chips.txt", 4),
    "amd": ("amd-smi", "amd/amd-smi-metric__part.txt", 1),
    "hygon": ("hy-smi", "hygon/rocm-smi-json__24.04.3.json", 1),
    "metax": ("mx-smi", "metax/mx-smi__2.2.9-8xc500.txt", 8),
    "cambricon": ("cnmon", "cambricon/cnmon__5.10.22-2xmlu370x8.txt", 2),
    "iluvatar": ("ixsmi", "iluvatar/ixsmi-q-x__2xmrv100.xml", 2),
    "mthreads": ("mthreads-gmi", "mthreads/mthreads-gmi__2.4.1-8xs5000.txt", 8),
    "enflame": ("efsmi", "enflame/efsmi-q__s60-8of10.txt", 8),
    "gaudi": ("hl-smi", "gaudi/hl-smi-csv__8xhl325.csv", 8),
    "denglin": ("dlsmi", "denglin/dlsmi__8xks38.xml", 8),
    "tenstorrent": ("tt-smi", "tenstorrent/tt-smi-snapshot__p300c.json", 1),
    "neuron": ("neuron-ls", "neuron/neuron-ls__trn2n-part.json", 2),
}


class Bed:
    """One host per vendor."""

    def __init__(self, folder: Path) -> None:
        assert SHARED is not None
        self.folder = folder
        self.script = SHARED / "testbed" / "hosts" / "hostbed.py"
        root = SHARED / "recordings" / "accelerators"
        groups = [
            {"site": "s1", "vendor": v, "prefix": f"{v}-", "count": 1, "tools": {tool: str(root / name)}}
            for v, (tool, name, _) in TOOLS.items()
        ]
        layout = folder / "layout.json"
        layout.write_text(json.dumps({"groups": groups}), encoding="utf-8")
        self.run("start", "--lite", "--layout", str(layout))
        hosts = json.loads((folder / "bed" / "hosts.json").read_text(encoding="utf-8"))
        bed = folder / "bed"
        lines = ['name = "bed"', "[store]", f'path = "{folder}/fleet.db"', "[ssh]", f'config = "{bed}/ssh_config"',
                 f'known_hosts = "{bed}/known_hosts"', f'host_keys = "{folder}/host_keys"',
                 f'identity_files = ["{bed}/keys/client"]', "[[sites]]", 'name = "s1"']  # fmt: skip
        for host in hosts:
            lines += ["[[hosts]]", f'nodes = "{host["name"]}"', 'site = "s1"']
        (folder / "fleet.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def run(self, *words: str) -> None:
        command = [sys.executable, str(self.script), words[0], "--dir", str(self.folder / "bed"), *words[1:]]
        subprocess.run(command, check=True, capture_output=True, timeout=120)

    def fleetctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fleetctl", "-C", str(self.folder / "fleet.toml"), *words]
        env = {**os.environ, "COLUMNS": "200"}
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=env)


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    bed = Bed(tmp_path_factory.mktemp("vendors"))
    yield bed
    bed.run("stop", "--rm")


def _devices(bed: Bed) -> list[dict[str, Any]]:
    answer = bed.fleetctl("devices", "-o", "json")
    assert answer.returncode == 0, answer.stderr
    return list(json.loads(answer.stdout))


def test_every_vendor_is_found_and_its_cards_are_counted(bed: Bed) -> None:
    polled = bed.fleetctl("poll")
    assert polled.returncode == 0, polled.stderr
    counts: dict[str, int] = {}
    for row in _devices(bed):
        counts[row["vendor"]] = counts.get(row["vendor"], 0) + row["cards"]
    assert counts == {vendor: cards for vendor, (_, _, cards) in TOOLS.items()}


@pytest.mark.parametrize(
    ("probe", "fault", "kind"),
    [
        ("metax.table", ("missing",), "missing_tool"),
        ("cambricon.table", ("garbage", "4000"), "unreadable"),
        ("enflame.query", ("exit", "1", "driver not ready"), "tool_failed"),
    ],
)
def test_a_tool_that_fails_is_said_to_in_its_own_way(bed: Bed, probe: str, fault: tuple[str, ...], kind: str) -> None:
    vendor = probe.partition(".")[0]
    tool = TOOLS[vendor][0]
    bed.run("fault", f"{vendor}-01/{tool}", *fault)
    try:
        answer = bed.fleetctl("probe", "run", f"{vendor}-01", probe)
    finally:
        bed.run("heal", f"{vendor}-01/{tool}")
    if kind == "missing_tool" and not answer.stdout:
        assert answer.returncode == 3  # no probe fits a host without the tool
        return
    read = json.loads(answer.stdout)
    assert not read["devices"]
    assert kind in {f["kind"] for f in read["findings"]}, read["findings"]
