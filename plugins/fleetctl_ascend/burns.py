"""A short burn of Ascend NPUs: the AI Core stress test of ascend-dmi (MindCluster ToolBox)."""

from __future__ import annotations

import re

from fleetctl.model.burn import Burn, Verdict
from fleetctl.model.probe import Output

_WORD = re.compile(r"\b(PASS|SKIP|INFO|FAIL|GENERAL_WARN|IMPORTANT_WARN|EMERGENCY_WARN)\b")
_BAD = frozenset({"FAIL", "GENERAL_WARN", "IMPORTANT_WARN", "EMERGENCY_WARN"})


def judge_dmi(output: Output) -> Verdict:
    """Its report has one word per item and device; any *_WARN says that an AI Core may be faulty."""
    words = _WORD.findall(output.stdout)
    bad = sorted({w for w in words if w in _BAD})
    if bad:
        return Verdict(False, f"reports {', '.join(bad)}")
    if "PASS" not in words:
        said = " ".join((output.stdout + " " + output.stderr).split())[:200]
        return Verdict(None, f"no result: {said or f'exit {output.exit_status}'}")
    if output.exit_status:
        return Verdict(False, f"reports PASS, but it ended with {output.exit_status}")
    return Verdict(True, "AI Core stress test passed")


BURNS = (
    Burn(
        name="ascend-dmi",
        tool="ascend-dmi",
        command="ascend-dmi --dg -i aicore -s -q",
        judge=judge_dmi,
        limit_s=900.0,
        paths=("/usr/local/Ascend/toolbox/latest/Ascend-DMI/bin",),
        source="CANN troubleshooting: AI Core errors; MindCluster ToolBox user guide",
    ),
)
