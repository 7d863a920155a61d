"""Real sshd hosts whose tools print recordings: every vendor is found without configuration, and faults stay apart.

Runs where the shared testbed and recordings lie next to the repository.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.hostbed import HOSTBED, LIMIT_S, Bed, running_bed

RECORDINGS = HOSTBED.parents[2] / "recordings" / "accelerators"
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


class Fleet:
    """One host per vendor, and fleetctl beside it."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        folder = bed.folder.parent
        self.config = folder / "fleet.toml"
        lines = ['name = "bed"', "[store]", f'path = "{folder}/fleet.db"', "[ssh]", f'config = "{bed.config()}"',
                 f'known_hosts = "{bed.folder}/known_hosts"', f'host_keys = "{folder}/host_keys"',
                 f'identity_files = ["{bed.folder}/keys/client"]', f"connect_timeout_s = {LIMIT_S:g}",
                 "[[sites]]", 'name = "s1"']  # fmt: skip
        for host in bed.hosts:
            lines += ["[[hosts]]", f'nodes = "{host.name}"', f'site = "{host.site}"']
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def fleetctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fleetctl", "-C", str(self.config), *words]
        env = {**os.environ, "COLUMNS": "200"}
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=600, env=env)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    groups = [
        {"site": "s1", "vendor": v, "prefix": f"{v}-", "count": 1, "tools": {tool: str(RECORDINGS / name)}}
        for v, (tool, name, _) in TOOLS.items()
    ]
    groups.append({"site": "s1", "vendor": "none", "prefix": "none-", "count": 1})  # no test's: see Bed
    layout = tmp_path_factory.mktemp("vendors") / "layout.json"
    layout.write_text(json.dumps({"groups": groups}), encoding="utf-8")
    with running_bed("--lite", "--layout", str(layout)) as bed:
        yield Fleet(bed)


def _devices(fleet: Fleet) -> list[dict[str, Any]]:
    answer = fleet.fleetctl("devices", "-o", "json")
    assert answer.returncode == 0, answer.stderr
    return list(json.loads(answer.stdout))


def _counts(fleet: Fleet) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in _devices(fleet):
        counts[row["vendor"]] = counts.get(row["vendor"], 0) + row["cards"]
    return counts


def test_every_vendor_is_found_and_its_cards_are_counted(fleet: Fleet) -> None:
    every = {vendor: cards for vendor, (_, _, cards) in TOOLS.items()}
    for _ in range(20):  # a tool has seconds to answer; on a busy machine one may miss a round
        polled = fleet.fleetctl("poll")
        if polled.returncode == 0 and _counts(fleet) == every:
            break
    assert polled.returncode == 0, polled.stderr
    assert _counts(fleet) == every


@pytest.mark.parametrize(
    ("probe", "fault", "kind"),
    [
        ("metax.table", ("missing",), "missing_tool"),
        ("cambricon.table", ("garbage", "4000"), "unreadable"),
        ("enflame.query", ("exit", "1", "driver not ready"), "tool_failed"),
    ],
)
def test_a_tool_that_fails_is_said_to_in_its_own_way(
    fleet: Fleet, probe: str, fault: tuple[str, ...], kind: str
) -> None:
    vendor = probe.partition(".")[0]
    tool = TOOLS[vendor][0]
    fleet.bed("fault", f"{vendor}-01/{tool}", *fault)
    try:
        answer = fleet.fleetctl("probe", "run", f"{vendor}-01", probe)
    finally:
        fleet.bed("heal", f"{vendor}-01/{tool}")
    if kind == "missing_tool" and not answer.stdout:
        assert answer.returncode == 3  # no probe fits a host without the tool
        return
    read = json.loads(answer.stdout)
    assert not read["devices"]
    assert kind in {f["kind"] for f in read["findings"]}, read["findings"]
