"""XIDs of the mtgpu driver in the kernel log. The maker's guide names the codes; the line's form varies by version, so
only the words MTGPU and XID and the code are relied upon."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fleetctl.model.probe import Output
from fleetctl.model.reading import Fault, ProbeResult
from fleetctl.probes.logs import log_lines
from fleetctl.probes.sheet import Sheet
from fleetctl.probes.text import pci_address

_XID = re.compile(r"\bxid\b[^0-9]{0,40}(0x[0-9a-f]{1,8}|\d{1,10})\b", re.IGNORECASE)
_PCI = re.compile(r"\b(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\b", re.IGNORECASE)
_WANTED = ("mtgpu", "MTGPU")


def parse_kernel(output: Output) -> ProbeResult:
    """Faults only, folded per card and code."""
    sheet = Sheet("mthreads")
    text = output.stdout if not output.stdout.strip() else sheet.text_of(output)
    folded: dict[tuple[str, str | None], tuple[str, float | None, int]] = {}
    for line in log_lines(text, now=output.at, wanted=_WANTED):
        rest = line.message[:2000]
        places = list(_PCI.finditer(rest))
        device = pci_address(places[0][0]) if places else None
        match = _XID.search(_PCI.sub("card", rest))
        if match is None:
            continue
        code = f"0x{int(match[1], 16):08x}" if match[1].lower().startswith("0x") else match[1]
        _, at, count = folded.get((code, device), ("", None, 0))
        folded[(code, device)] = (rest, line.at if line.at is not None else at, count + 1)
    for (code, device), (said, at, count) in folded.items():
        sheet.fault("xid", code, said, device=device, at=at, count=count)
    return sheet.result()


def kernel_faults(lines: Sequence[str]) -> tuple[Fault, ...]:
    """Faults in new kernel lines."""
    mine = [line for line in lines if any(w in line for w in _WANTED)]
    return parse_kernel(Output("\n".join(mine))).faults if mine else ()
