"""Lines of MetaX's kernel drivers (`METAX.B10200.ATU.ERROR ...`) and their error ids, folded per card and code.

Source: the maker's notes on EID messages (C500_EIDMessage, C500_DriverEIDMessage). No recording with one is public.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fleetctl.model.probe import Output
from fleetctl.model.reading import Fault, FaultAction, ProbeResult
from fleetctl.probes.logs import log_lines
from fleetctl.probes.sheet import Sheet
from fleetctl.probes.text import pci_address

_BAD = "EMERG|ALERT|CRIT|ERROR|WARN"  # INFO and DEBUG are talk
_DRIVER = re.compile(rf"\b(?:METAX|MXCD|MXGVM)\.B([0-9A-Fa-f]{{1,8}})\.([A-Za-z0-9_]{{1,32}})\.({_BAD})\b:?\s*(.*)$")
_LIBRARY = re.compile(rf"\b({_BAD})\s+(EID\s*\(.*)$")
_EID = re.compile(r"\bEID\s*\(([0-9A-Fa-f:.]{0,16}|[xX:.]{0,16})\)\s*:\s*0[xX]([0-9A-Fa-f]{1,8})\b[,\s]*(.*)$")
_WORDS = ("METAX.", "MXCD.", "MXGVM.", " EID")


def address_of(code: str) -> str:
    """The PCI address of a driver's card number: 32 bits in hex, domain 16, bus 8, device 5, function 3."""
    number = int(code, 16)
    return f"{number >> 16:04x}:{number >> 8 & 0xFF:02x}:{number >> 3 & 0x1F:02x}.{number & 7}"


def parse_kernel(output: Output) -> ProbeResult:
    """Faults only; a log without any is a healthy one. code: the error id (`0x2101`), else module.level (`ATU.ERROR`).

    One event may take several lines: count counts lines.
    """
    sheet = Sheet("metax")
    text = output.stdout if not output.stdout.strip() else sheet.text_of(output)
    folded: dict[tuple[str, str | None], tuple[str, float | None, int, FaultAction | None]] = {}
    for line in log_lines(text, now=output.at, wanted=_WORDS):
        found = _read(line.message)
        if found is None:
            continue
        code, device, said, action = found
        first, at, count, _ = folded.get((code, device), (said, None, 0, None))
        folded[(code, device)] = (first, line.at if line.at is not None else at, count + 1, action)
    for (code, device), (said, at, count, action) in folded.items():
        sheet.fault("metax", code, said, device=device, action=action, at=at, count=count)
    return sheet.result()


def _read(message: str) -> tuple[str, str | None, str, FaultAction | None] | None:
    """(code, PCI address, text, action the line's own level names)."""
    device: str | None = None
    if match := _DRIVER.search(message):
        device, level, said = address_of(match[1]), match[3], match[4]
        code = f"{match[2].upper()}.{level}"
    elif match := _LIBRARY.search(message):
        level, said, code = match[1], match[2], ""
    else:
        return None
    if eid := _EID.search(said):
        code = f"0x{eid[2].lower()}"
        device = device or pci_address(eid[1])
        said = eid[3]
    if not code:
        return None
    return code, device, said or message, FaultAction.OBSERVE if level == "WARN" else None


def kernel_faults(lines: Sequence[str]) -> tuple[Fault, ...]:
    """Faults in new kernel lines."""
    mine = [line for line in lines if any(w in line for w in _WORDS)]
    return parse_kernel(Output("\n".join(mine))).faults if mine else ()


def looks_like_kernel(text: str) -> bool:
    """A log with a line of one of the drivers in it."""
    return (
        re.search(r"\b(?:METAX|MXCD|MXGVM)\.B[0-9A-Fa-f]{1,8}\.|\bEID ?\([0-9A-Fa-f:.]+\):", text[:65536]) is not None
    )
