"""What every vendor's tool can say instead of an answer, in the words of shells and kernels."""

from __future__ import annotations

import re

from fleetctl.model.reading import FindingKind
from fleetctl.probes.sheet import Sheet

_MISSING = re.compile(
    r"command not found|no such file or directory|executable file not found|^(?:\S*sh: )?(?:line )?(?:\d+: )?[\w./-]+: not found\s*$",
    re.IGNORECASE | re.MULTILINE,
)
_ELLIPSIS = re.compile(r"^[\s.…|]*(?:\.\.\.|…)[\s.…|]*$")


def is_ellipsis(line: str) -> bool:
    """A line of dots alone, as manuals and people leave things out; no tool prints it."""
    return _ELLIPSIS.match(line) is not None


def missing_tool(sheet: Sheet, text: str) -> bool:
    """True, and a finding, where the shell says that there is no such tool. Looks at the first 2,000 characters."""
    if _MISSING.search(text[:2000]) is None:
        return False
    sheet.find(FindingKind.MISSING_TOOL, "no such tool on the host", text[:2000])
    return True
