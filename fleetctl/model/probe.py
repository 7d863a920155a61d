"""What to ask a host: a command, limits, a cadence, and the pure function that reads the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from fleetctl.model.reading import ProbeResult


class Outcome(StrEnum):
    """How a command on a host ended."""

    DONE = "done"  # it ended by itself, whatever its exit status
    TIMEOUT = "timeout"  # it was stopped at its limit
    HUNG = "hung"  # an earlier run of it still lives (state D): not started again
    MISSING = "missing"  # no such tool
    CUT = "cut"  # more output than allowed; the start of it is here
    LOST = "lost"  # the connection ended first


@dataclass(frozen=True, slots=True)
class Output:
    """What a command printed. Text is decoded with errors="replace"; size is bounded by the transport."""

    stdout: str
    stderr: str = ""
    exit_status: int | None = 0
    outcome: Outcome = Outcome.DONE
    at: float | None = None  # host clock, epoch seconds


@dataclass(frozen=True, slots=True)
class Probe:
    """One question to a host.

    name: "<vendor>.<what>" ("nvidia.smi"); command: POSIX sh, run with LC_ALL=C, TZ=UTC and a PATH that includes the
    vendors' odd places; detect: POSIX sh that exits 0 when this probe makes sense on the host (run once, remembered,
    asked again when the answer stops fitting), "" means always; timeout_s: enforced on the host; every_s: cadence, 0
    means every round; background: run beside the round, its answer comes with a later frame (slow tools); replaces:
    names of probes that need not run where this one answers (the in-process reader replaces starting the tool);
    python: source of a self-contained python3.6 module that defines `read() -> str` ("" if none). Where the host has
    python3 it replaces `command`: a child process of the host loop imports it once, lives on, and calls `read()` when
    the probe is due, so it may keep handles and counters. What it returns is the text that parse takes. If it raises,
    `command` is run instead (if there is one) and the reader is tried again ten minutes later. It is not to write to
    stdout; a read that does not end is the outcome `hung`.

    columns: metric names of the quick form (() if none): the text ends in one line of JSON values, `[[71, 40.5, null], ...]`,
    one row per reading in the order in which parse returns them, one value per column, in the catalogue's units.
    While all lines before it stay the same, only that line travels and parse is not called again. So: identity,
    states, faults and processes go above, numbers into the last line. parse must read the same text as a whole.
    """

    name: str
    command: str
    parse: Callable[[Output], ProbeResult]
    detect: str = ""
    timeout_s: float = 10.0
    every_s: float = 0.0
    background: bool = False
    replaces: tuple[str, ...] = ()
    python: str = ""
    columns: tuple[str, ...] = ()
    doc: str = ""
