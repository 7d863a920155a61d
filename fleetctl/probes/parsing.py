"""Which of a plugin's parsers reads a text, and the text read by it. The whole of `fleetctl probe parse`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fleetctl.model.probe import Outcome, Output
from fleetctl.model.reading import FindingKind, ProbeFinding, ProbeResult
from fleetctl.plugin.plugin import Parser, Plugin
from fleetctl.probes.text import MAX_CHARS, clean, excerpt

_HEAD = 65536  # characters that `looks` may judge by


@dataclass(frozen=True, slots=True)
class Parsed:
    """What came out, and by which parser ("" when none took it)."""

    parser: str
    result: ProbeResult


def parse_text(
    plugin: Plugin, text: str, *, command: str = "", exit_status: int | None = 0, cut: bool = False
) -> Parsed:
    """Read a recorded text. command: how it was made, helps where the text alone does not tell; cut: there was more.

    Never raises.
    """
    outcome = Outcome.CUT if cut or len(text) > MAX_CHARS else Outcome.DONE
    output = Output(text[:MAX_CHARS], exit_status=exit_status, outcome=outcome)
    # A text that is too long and looks like no form is not read on the word of a command line.
    parser = choose_parser(plugin, text[:_HEAD], command, strict=outcome is Outcome.CUT)
    if parser is None:
        return Parsed("", _refused(plugin, text, outcome))
    parse = parser.for_command(command) if command and parser.for_command is not None else parser.parse
    return Parsed(parser.name, guarded(parse, output))


def guarded(parse: object, output: Output) -> ProbeResult:
    """A parse that promises not to raise, held to its promise: a slip becomes a finding and the round goes on."""
    try:
        result = parse(output)  # type: ignore[operator]
    except Exception as error:
        text = f"the parser failed: {type(error).__name__}: {error}"
        return ProbeResult(findings=(ProbeFinding(FindingKind.UNREADABLE, text[:300], None, excerpt(output.stdout)),))
    assert isinstance(result, ProbeResult)
    return result


def choose_parser(plugin: Plugin, head: str, command: str, *, strict: bool = False) -> Parser | None:
    """The parser of the command where the text does not contradict it, else the first that likes the looks.

    strict: only a parser that likes the looks.
    """
    head = clean(head)
    by_looks = [p for p in plugin.parsers if _looks(p, head)]
    by_command = None if strict and not by_looks else _by_command(plugin, command)
    if by_command is not None and (by_command in by_looks or not by_looks):
        return by_command
    if by_looks:
        return by_looks[0]
    # A short text that looks like no form may be a refusal of the tool, which every parser of the plugin knows.
    if plugin.parsers and 0 < len(head.strip()) < 4096:
        return plugin.parsers[0]
    return None


def _looks(parser: Parser, head: str) -> bool:
    try:
        return bool(parser.looks(head))
    except Exception:
        return False


def _words(command: str) -> list[str]:
    """Words of a command without path and values: `/opt/x/nvidia-smi --query-gpu=a,b` -> nvidia-smi, --query-gpu."""
    command = command.split("|")[0]
    words = re.split(r"[\s=]+", command.strip())
    return [w.rsplit("/", 1)[-1] if i == 0 else w for i, w in enumerate(words) if w and w not in ("sudo", "...")]


def _by_command(plugin: Plugin, command: str) -> Parser | None:
    """The parser with the most words in the command, all of them there."""
    asked = set(_words(command.removeprefix("sudo ").strip()))
    best: tuple[int, Parser] | None = None
    for parser in plugin.parsers:
        words = _words(parser.command)
        if words and all(w in asked for w in words) and (best is None or len(words) > best[0]):
            best = (len(words), parser)
    return best[1] if best else None


def _refused(plugin: Plugin, text: str, outcome: Outcome) -> ProbeResult:
    findings = []
    if outcome is Outcome.CUT:
        findings.append(ProbeFinding(FindingKind.TOO_LARGE, f"more than {MAX_CHARS} characters"))
    if text.strip():
        reason = f"no form of {plugin.title} that is known"
    else:
        reason = "the output is empty"
    findings.append(ProbeFinding(FindingKind.UNREADABLE, reason, None, excerpt(text)))
    return ProbeResult(findings=tuple(findings))


def exit_code(result: ProbeResult) -> int:
    """0: all was read; 1: part was; 2: nothing was. A tool's clear "no device" or "no driver" counts as read."""
    unread = any(
        f.kind in (FindingKind.UNREADABLE, FindingKind.TOO_LARGE, FindingKind.TOOL_HUNG) for f in result.findings
    )
    missing = any(f.kind is FindingKind.MISSING_TOOL for f in result.findings)
    anything = bool(result.readings or result.faults or result.facts or result.processes or result.links)
    if unread or missing:
        return 1 if anything else 2
    return 0
