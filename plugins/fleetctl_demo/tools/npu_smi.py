"""npu-smi as driver 24.1 prints it: `info` (the table), `info -l` and `info -m`."""

from __future__ import annotations

from collections.abc import Sequence

from fleetctl_demo.machine import Card

_LINE = "+===========================+===============+====================================================+\n"
_HEAD = (
    "+------------------------------------------------------------------------------------------------+\n"
    "| npu-smi 24.1.rc2                 Version: 24.1.rc2                                             |\n"
    "+---------------------------+---------------+----------------------------------------------------+\n"
    "| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|\n"
    "| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |\n" + _LINE
)
_RULE = "+---------------------------+---------------+----------------------------------------------------+\n"
_PROCESSES = (
    _RULE
    + "| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |\n"
    + _LINE
)


def run(arguments: str, cards: Sequence[Card]) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of `npu-smi ARGUMENTS` on a host with these cards."""
    found = [card for card in cards if not card.lost]
    words = arguments.split()
    if words == ["info"]:
        return 0, _table(found), ""
    if words == ["info", "-l"]:
        body = "".join(
            f"\tNPU ID                         : {c.index}\n\tChip Count                     : 1\n\n" for c in found
        )
        return 0, f"\tTotal Count                    : {len(found)}\n\n{body}", ""
    if words == ["info", "-m"]:
        head = (
            "\tNPU ID                         Chip ID                        Chip Logic ID                  Chip Name\n"
        )
        rows = "".join(f"\t{c.index:<31}0{'':<30}{c.index:<31}Ascend {c.type.name}\n" for c in found)
        return 0, head + rows, ""
    if len(words) >= 5 and words[0] == "info" and "-t" in words and "-i" in words:
        number, what = words[words.index("-i") + 1], words[words.index("-t") + 1]
        for card in found:
            if str(card.index) == number and what in _DETAILS:
                return 0, _DETAILS[what](card), ""
        return 1, "Invalid card id.\n", ""
    return 1, "Error parameter of -t.\n", ""


def details(cards: Sequence[Card]) -> str:
    """What a loop over all cards with `info -t board, common, ecc and health` prints, each under its command line."""
    out = []
    for card in cards:
        if not card.lost:
            for what in ("board", "common", "ecc", "health"):
                out.append(f"npu-smi info -t {what} -i {card.index}\n{_DETAILS[what](card)}\n")
    return "".join(out)


def _pairs(*pairs: tuple[str, object]) -> str:
    return "".join(f"\t{name:<31}: {value}\n" for name, value in pairs)


def _board(card: Card) -> str:
    return _pairs(
        ("NPU ID", card.index),
        ("Product Name", "IT21HMDC01-B2"),
        ("Serial Number", card.serial),
        ("Software Version", "24.1.rc2"),
        ("Firmware Version", "7.3.0.1.231"),
        ("Compatibility", "OK"),
        ("PCIe Bus Info", card.pci.upper()),
        ("Chip Count", 1),
    )


def _common(card: Card) -> str:
    return _pairs(
        ("NPU ID", card.index),
        ("Chip Count", 1),
        ("Chip ID", 0),
        ("Memory Usage Rate(%)", 0),
        ("HBM Usage Rate(%)", 100 * card.mem_used_mib // card.type.mem_mib),
        ("Aicore Usage Rate(%)", card.util_pct),
        ("Aicore Freq(MHZ)", card.type.clock_mhz),
        ("Aicore curFreq(MHZ)", card.clock_mhz),
        ("Temperature(C)", card.temp_c),
        ("NPU Real-time Power(W)", f"{card.power_w:.1f}"),
    )


def _ecc(card: Card) -> str:
    return _pairs(
        ("NPU ID", card.index),
        ("Chip Count", 1),
        ("HBM Single Bit Error Count", card.ecc_corrected),
        ("HBM Double Bit Error Count", card.ecc_uncorrected),
        ("HBM Single Bit Aggregate Total Err Cnt", card.ecc_corrected * 4),
        ("HBM Double Bit Aggregate Total Err Cnt", card.ecc_uncorrected),
        ("Chip ID", 0),
    )


def _health(card: Card) -> str:
    bad = card.ecc_uncorrected > 0
    return _pairs(
        ("Health", "Alarm" if bad else "OK"),
        ("Error Code", "80E01801" if bad else "NA"),
        ("Error Information", "NA"),
    )


_DETAILS = {"board": _board, "common": _common, "ecc": _ecc, "health": _health}


def _table(cards: Sequence[Card]) -> str:
    out = [_HEAD]
    for card in cards:
        health = "Alarm" if card.ecc_uncorrected else "OK"
        hbm = f"{card.mem_used_mib:<5}/ {card.type.mem_mib}"
        out.append(
            f"| {card.index:<6}{card.type.name:<20}| {health:<14}| {card.power_w:<12.1f}{card.temp_c:<18}{'0    / 0':<21}|\n"
        )
        out.append(f"| {'0':<26}| {card.pci.upper():<14}| {card.util_pct:<12}{'0    / 0':<18}{hbm:<21}|\n")
        out.append(_LINE)
    out.append(_PROCESSES)
    for card in cards:
        if card.processes:
            for pid, name, mem in card.processes:
                out.append(f"| {card.index:<8}{'0':<18}| {pid:<14}| {name[:24]:<25}| {mem:<24}|\n")
        else:
            out.append(f"| No running processes found in NPU {card.index:<60} |\n")
        out.append(_LINE)
    return "".join(out)
