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
    python: source of a python3 reader to run in-process on the host instead of `command` ("" if none; it defines
    `read() -> str` and prints the same text that parse takes).
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
    doc: str = ""
