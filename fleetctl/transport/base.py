"""What every way to a machine offers: connect, run one command, keep one stream open.

    Transport.connect(host) -> Session      once per host, kept open
    Session.run(command)    -> Output       one command, waited for
    Session.stream(command) -> Stream       one long-lived command whose output arrives by callback

Callbacks instead of `async for`: at 12,500 streams a callback costs a third of a task per line (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fleetctl.model.host import Host
from fleetctl.model.probe import Output
from fleetctl.model.report import ErrorKind

MAX_OUTPUT_BYTES = 1 << 20  # of one command, unless the caller says otherwise
STDERR_TAIL_BYTES = 4096  # kept of a stream's stderr, to explain its end


@dataclass(frozen=True, slots=True)
class EndReason:
    """Why a stream ended; handed to `on_end` exactly once.

    error: None when the command ended by itself or we closed the stream, else CLOSED (the connection is gone) or
    GARBLED (more unread output than allowed); exit_status: None when a signal or the connection ended it; stderr: the
    last 4 KiB of it, decoded with errors="replace"; text: one sentence for people.
    """

    error: ErrorKind | None
    text: str
    exit_status: int | None = None
    stderr: str = ""


class Stream(Protocol):
    """A running command. Every method may be called at any time; after the end they do nothing."""

    @property
    def ended(self) -> EndReason | None:
        """None while the command runs."""

    def write(self, data: bytes) -> None:
        """Send to its stdin. Never blocks; what the host does not read is buffered."""

    def write_eof(self) -> None:
        """End its stdin."""

    def close(self) -> None:
        """End the command (TERM where that can be sent, then the channel) and report `on_end`."""


class Session(Protocol):
    """A live way to one host. Commands are POSIX sh; several may run at once."""

    @property
    def host(self) -> Host: ...

    @property
    def closed(self) -> bool:
        """True once the connection is gone, whoever ended it."""

    @property
    def facts(self) -> dict[str, str]:
        """What is known of the connection: server, cipher, kex, address, via. For `doctor` and `show`; may be empty."""

    async def run(
        self,
        command: str,
        *,
        stdin: bytes = b"",
        timeout_s: float = 30.0,
        max_bytes: int = MAX_OUTPUT_BYTES,
    ) -> Output:
        """Run one command and wait for its end.

        Never raises for what the command does: Outcome.TIMEOUT after timeout_s, CUT once stdout and stderr together
        exceed max_bytes (the start is kept, the command is ended), MISSING for exit status 127, LOST when the
        connection ends first. A nonzero exit status is Outcome.DONE.
        """

    async def stream(
        self,
        command: str,
        *,
        stdin: bytes = b"",
        on_data: Callable[[bytes], None],
        on_end: Callable[[EndReason], None],
    ) -> Stream:
        """Start a long-lived command. `on_data` gets stdout as it comes, in arbitrary pieces, on the event loop, and
        must not block; `on_end` comes once, after the last data. stdin is sent at once and stays open.

        Raises UnreachableError when the command cannot be started.
        """

    async def close(self) -> None:
        """End the connection and everything on it; may be called twice."""


class Transport(Protocol):
    """One way to reach hosts."""

    async def connect(self, host: Host) -> Session:
        """A new session. Raises AuthError, HostKeyError, UnreachableError or TimedOutError; `error.kind` is the
        ErrorKind and `error.hint` the next step."""

    async def close(self) -> None:
        """End whatever is shared between sessions (jump hosts, agents); sessions are closed by their owners."""


def decode(data: bytes | bytearray) -> str:
    """What a host printed, as text. Never raises: bytes that are not UTF-8 become U+FFFD."""
    return data.decode("utf-8", "replace")
