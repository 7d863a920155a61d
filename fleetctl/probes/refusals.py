"""What every vendor's tool can say instead of an answer, in the words of shells and kernels."""

from __future__ import annotations

import re

from fleetctl.model.reading import FindingKind
from fleetctl.probes.sheet import Sheet

_MISSING = re.compile(
    r"command not found|executable file not found"
    r"|^(?!.*(?:open|librar|load|/dev/|/sys/|/proc/)).*no such file or directory"
    r"|^(?:\S*sh: )?(?:line )?(?:\d+: )?[\w./-]+: not found\s*$",
    re.IGNORECASE | re.MULTILINE,
)
_RIGHTS = re.compile(
    r"permission denied|operation not permitted|insufficient permission|must be root|root privilege|(?:run|running) as root",
    re.IGNORECASE,
)
_CRASH = re.compile(
    r"segmentation fault|core dumped|illegal instruction|^(?:aborted|killed|bus error)\b|error while loading shared librar",
    re.IGNORECASE | re.MULTILINE,
)
_ELLIPSIS = re.compile(r"^[\s.…|]*(?:\.\.\.|…)[\s.…|]*$")


def is_ellipsis(line: str) -> bool:
    """A line of dots alone, as manuals and people leave things out; no tool prints it."""
    return _ELLIPSIS.match(line) is not None


def shell_refusal(sheet: Sheet, text: str) -> bool:
    """True, and a finding, where the shell or the kernel answers for the tool: there is none, it may not be run or
    open its device, it crashed. Looks at the first 2,000 characters."""
    head = text[:2000]
    if _MISSING.search(head) is not None:
        sheet.find(FindingKind.MISSING_TOOL, "no such tool on the host", head)
    elif _RIGHTS.search(head) is not None:
        sheet.find(FindingKind.NOT_PERMITTED, "it may not be read with these rights", head)
    elif _CRASH.search(head) is not None:
        sheet.find(FindingKind.TOOL_FAILED, "the tool did not run to its end", head)
    else:
        return False
    return True
