"""Every form of output that can be read. One parser takes whatever npu-smi and hccn_tool print, also many in one text."""

from __future__ import annotations

import re
from collections.abc import Callable

from fleetctl.model.probe import Output
from fleetctl.model.reading import ProbeResult
from fleetctl.plugin import Parser
from fleetctl.probes.detect_json import detect_parser
from fleetctl.probes.exporter import exporter_parser
from fleetctl.probes.prometheus import looks_like_exporter
from fleetctl.probes.sheet import Sheet
from fleetctl.probes.text import pci_address
from fleetctl_ascend.board import Board, refusal
from fleetctl_ascend.exporter import NPU_EXPORTER
from fleetctl_ascend.keyvalue import is_key_value, read_blocks
from fleetctl_ascend.links import is_link, read_link
from fleetctl_ascend.logs import looks_like_log, parse_log
from fleetctl_ascend.series import looks_like_series, parse_series, read_watch
from fleetctl_ascend.table import is_table, read_map, read_table
from fleetctl_ascend.vnpu import is_vnpu, read_vnpus

_COMMAND = re.compile(r"^\s*(?:[$#>]\s*)?((?:\S*/)?(?:npu-smi|hccn_tool|lspci|ascend-dmi)\b[^|\n]*)(?:\|[^\n]*)?$")
_OPTION = re.compile(r"(?:^|\s)-([ic])\s+(\d+)\b")
_LSPCI = re.compile(r"^\s*([0-9a-fA-F:]{2,13}\.[0-7])\s.*(?:Huawei|19e5)", re.MULTILINE)


def parse_any(output: Output) -> ProbeResult:
    """Read any answer, or a text that holds commands and their answers one after the other."""
    return _parse(output, "")


def parse_for_command(command: str) -> Callable[[Output], ProbeResult]:
    """The same, for one command line that says which card was asked."""
    return lambda output: _parse(output, command)


def _parse(output: Output, command: str) -> ProbeResult:
    sheet = Sheet("ascend")
    board = Board(sheet)
    text = sheet.text_of(output)
    for asked, first_line, answer in _sections(text, command):
        _section(sheet, board, asked, answer, first_line)
    board.finish()
    return sheet.result()


def _sections(text: str, command: str) -> list[tuple[str, int, str]]:
    """(command, first line, answer) for each command line in the text; the whole text when it holds none."""
    sections: list[tuple[str, int, list[str]]] = [(command, 1, [])]
    for number, line in enumerate(text.split("\n"), 1):
        match = _COMMAND.match(line) if "npu-smi" in line or "hccn_tool" in line or "lspci" in line else None
        if match and not line.lstrip().startswith("|") and ":" not in match[1].split(" ")[0]:
            if "not found" in line or "rror" in line:
                sections[-1][2].append(line)
            else:
                sections.append((match[1].strip(), number + 1, []))
        else:
            sections[-1][2].append(line)
    return [(asked, first, "\n".join(lines)) for asked, first, lines in sections]


def _section(sheet: Sheet, board: Board, command: str, answer: str, first_line: int) -> None:
    if not answer.strip():
        return
    options = dict(_OPTION.findall(command))
    if is_vnpu(answer):
        read_vnpus(board, answer, first_line, npu=options.get("i", ""), chip=options.get("c", "0"))
    elif is_table(answer):
        read_table(board, answer, first_line)
    elif re.search(r"^\s*NPU ID\s{2,}Chip ID", answer, re.MULTILINE) or re.search(r"^\s*NPU ID\tChip ID", answer, re.M):
        read_map(sheet, board, answer, first_line)
    elif re.search(r"^\s*NpuID", answer, re.MULTILINE | re.IGNORECASE):
        read_watch(board, answer, first_line)
    elif "lspci" in command:
        addresses = {pci_address(m) for m in _LSPCI.findall(answer)}
        sheet.expected = len(addresses)
    elif "hccn_tool" in command or is_link(answer):
        read_link(board, answer, npu=options.get("i", ""))
    elif is_key_value(answer) or "npu-smi" in command:
        read_blocks(board, answer, first_line, npu=options.get("i", ""), chip=options.get("c", ""))
    elif answer.strip().lower().startswith("datetime:") and answer.count("\n") < 4:
        return
    elif not refusal(sheet, answer):
        sheet.unread("an answer of no known kind", answer, first_line)


def _looks(text: str) -> bool:
    head = text[:16384]
    return (
        is_table(head)
        or is_key_value(head)
        or is_link(head)
        or is_vnpu(head)
        or "NpuID" in head
        or "Chip Logic ID" in head
    )


parse_exporter = exporter_parser(NPU_EXPORTER)

PARSERS = (
    Parser("ascend.smi", "npu-smi info", parse_any, _looks, for_command=parse_for_command),
    Parser("ascend.hccn", "hccn_tool", parse_any, is_link, for_command=parse_for_command),
    Parser(
        "ascend.exporter",
        "curl :8082/metrics",
        parse_exporter,
        lambda text: looks_like_exporter(
            text, "npu_chip_", "machine_npu_nums", "# HELP machine_npu_nums", "# HELP npu_chip"
        ),
    ),
    Parser("ascend.series", "cat npu_smi_0_details.csv", parse_series, looks_like_series),
    Parser("ascend.log", "cat history.log", parse_log, looks_like_log),
    detect_parser("ascend"),
)
