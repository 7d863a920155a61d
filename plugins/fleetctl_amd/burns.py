"""A short burn of AMD GPUs: the lightest level of the ROCm Validation Suite."""

from __future__ import annotations

import re

from fleetctl.model.burn import Burn, Verdict
from fleetctl.model.probe import Output

_RESULT = re.compile(r"^\[RESULT\].*\bpass:\s*(TRUE|FALSE)", re.IGNORECASE | re.MULTILINE)


def judge_rvs(output: Output) -> Verdict:
    """RVS prints a `[RESULT] ... pass: TRUE|FALSE` line per GPU and action, and `[ERROR ]` lines."""
    words = [word.upper() for word in _RESULT.findall(output.stdout)]
    if "FALSE" in words:
        return Verdict(False, f"{words.count('FALSE')} of {len(words)} results do not pass")
    if not words:
        error = re.search(r"^\[ERROR ?\].*", output.stdout + "\n" + output.stderr, re.MULTILINE)
        return Verdict(None, f"no result: {error.group()[:200] if error else f'exit {output.exit_status}'}")
    if output.exit_status:
        return Verdict(False, f"{len(words)} results pass, but it ended with {output.exit_status}")
    return Verdict(True, f"{len(words)} results pass")


BURNS = (
    Burn(
        name="rvs",
        tool="rvs",
        command="rvs -r 1",
        judge=judge_rvs,
        limit_s=600.0,
        paths=("/opt/rocm/bin",),
        source="ROCm Validation Suite, user guide: predefined levels 1 to 5",
    ),
)
