"""Output with a bound: how much of what a command prints is kept, and what its end is called."""

from __future__ import annotations

from collections.abc import Callable

from fleetctl.model.probe import Outcome, Output
from fleetctl.transport.base import STDERR_TAIL_BYTES, decode

MISSING_STATUS = 127  # POSIX sh: command not found


class Capture:
    """stdout and stderr of one command, together at most max_bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._room = max_bytes
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.full = False
        self._tell: Callable[[], None] = lambda: None

    def add(self, data: bytes, is_stderr: bool) -> None:
        if self.full:
            return
        (self.stderr if is_stderr else self.stdout).extend(data[: self._room])
        self._room -= len(data)
        if self._room < 0:
            self.full = True
            self._tell()

    def when_full(self, tell: Callable[[], None]) -> None:
        """Call `tell` once when more comes than is kept; at once if that was before anybody could say so."""
        self._tell = tell
        if self.full:
            tell()


class Tail:
    """The last few KiB of a stream's stderr."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def add(self, data: bytes) -> None:
        self._kept.extend(data[-STDERR_TAIL_BYTES:])
        if len(self._kept) > STDERR_TAIL_BYTES:
            del self._kept[:-STDERR_TAIL_BYTES]

    @property
    def text(self) -> str:
        return decode(self._kept)


def finish(capture: Capture, exit_status: int | None, *, timed_out: bool, lost: bool) -> Output:
    """Name the end of a command. Cut wins over time and loss: its output is the explanation of both."""
    if capture.full:
        outcome = Outcome.CUT
    elif timed_out:
        outcome = Outcome.TIMEOUT
    elif lost:
        outcome = Outcome.LOST
    elif exit_status == MISSING_STATUS:
        outcome = Outcome.MISSING
    else:
        outcome = Outcome.DONE
    status = exit_status if outcome in (Outcome.DONE, Outcome.MISSING) else None
    return Output(decode(capture.stdout), decode(capture.stderr), status, outcome)
