"""One script on one host, its output as bytes: frames carry lengths, so decoding before reading them would break them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from fleetctl.model.report import ErrorKind
from fleetctl.probes.plan import LoopForm, launch_command
from fleetctl.transport.base import EndReason, Session


@dataclass(frozen=True, slots=True)
class Answer:
    """What came until the end, the time limit or the size limit. error: why it is not whole, None when it ended well."""

    data: bytes
    error: ErrorKind | None
    text: str


async def ask_script(session: Session, script: bytes, *, timeout_s: float, max_bytes: int) -> Answer:
    """Run a script of the exec form. Raises UnreachableError when it cannot be started."""
    done: asyncio.Future[EndReason | None] = asyncio.get_running_loop().create_future()
    parts: list[bytes] = []
    size = 0

    def on_data(data: bytes) -> None:
        nonlocal size
        size += len(data)
        if size <= max_bytes:
            parts.append(data)
        elif not done.done():
            done.set_result(None)

    def on_end(reason: EndReason) -> None:
        if not done.done():
            done.set_result(reason)

    stream = await session.stream(launch_command(LoopForm.EXEC), stdin=script, on_data=on_data, on_end=on_end)
    stream.write_eof()
    try:
        async with asyncio.timeout(timeout_s):
            reason = await done
    except TimeoutError:
        return Answer(b"".join(parts), ErrorKind.TIMED_OUT, f"the script did not end within {timeout_s:g} s")
    finally:
        stream.close()
    data = b"".join(parts)
    if reason is None:
        return Answer(data, ErrorKind.GARBLED, f"printed more than {max_bytes} bytes")
    said = printable((reason.stderr or "").encode() or data)
    return Answer(data, reason.error, f"no whole answer (exit {reason.exit_status}): {said or reason.text}")


def printable(noise: bytes) -> str:
    """The start of what was said, safe to show."""
    text = noise[:120].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in text)
