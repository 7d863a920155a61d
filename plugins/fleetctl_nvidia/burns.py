"""Short burns of NVIDIA GPUs: DCGM's medium diagnostics, else gpu-burn."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from fleetctl.model.burn import Burn, Verdict
from fleetctl.model.probe import Output


def judge_dcgmi(output: Output) -> Verdict:
    """`dcgmi diag -j` of DCGM 2 to 4: every `status` in it, each with the name of the test it stands under."""
    text = output.stdout
    start = text.find("{")
    try:
        raw = json.JSONDecoder().raw_decode(text, start)[0] if start >= 0 else None
    except (ValueError, RecursionError):
        raw = None
    if raw is None:
        said = " ".join((text + " " + output.stderr).split())[:200]
        return Verdict(None, f"no result: {said or f'exit {output.exit_status}'}")
    found = list(_statuses(raw, "", 0))
    failed = sorted({name for name, status in found if status.startswith("fail")})
    if failed:
        return Verdict(False, f"failed: {', '.join(failed[:5])}")
    warned = sorted({name for name, status in found if status.startswith("warn")})
    if warned:
        return Verdict(False, f"warns: {', '.join(warned[:5])}")
    done = len({name for name, status in found if status.startswith("pass")})
    if not done:
        return Verdict(None, "no test was run")
    if output.exit_status:
        return Verdict(False, f"{done} tests passed, but it ended with {output.exit_status}")
    return Verdict(True, f"{done} tests passed")


def _statuses(node: Any, name: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > 12:
        return
    if isinstance(node, dict):
        name = str(node.get("name", name))[:60]
        if isinstance(node.get("status"), str):
            yield name, node["status"].strip().lower()
        for value in node.values():
            yield from _statuses(value, name, depth + 1)
    elif isinstance(node, list):
        for value in node[:1000]:
            yield from _statuses(value, name, depth + 1)


def judge_gpu_burn(output: Output) -> Verdict:
    """gpu-burn ends with a line per GPU: `GPU 0: OK` or `GPU 0: FAULTY`."""
    last = dict(re.findall(r"^\s*GPU (\d+): (OK|FAULTY)\s*$", output.stdout, re.MULTILINE))
    bad = [f"GPU {number}" for number, word in last.items() if word == "FAULTY"]
    if bad:
        return Verdict(False, f"faulty: {', '.join(bad[:8])}")
    if not last:
        return Verdict(None, f"no result, exit {output.exit_status}")
    return Verdict(True, f"{len(last)} GPUs held for 60 s")


BURNS = (
    Burn(
        name="dcgm",
        tool="dcgmi",
        command="dcgmi diag -r 2 -j",  # about two minutes
        judge=judge_dcgmi,
        limit_s=480.0,
        source="DCGM documentation: dcgmi diag",
    ),
    Burn(
        name="gpu-burn",
        tool="gpu_burn",
        # It looks for its kernel beside itself.
        command='cd "$(dirname "$(readlink -f "$(command -v gpu_burn)")")" && ./gpu_burn 60',
        judge=judge_gpu_burn,
        limit_s=180.0,
        paths=("/opt/gpu-burn",),
        source="gpu-burn README",
    ),
)
