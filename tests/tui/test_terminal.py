"""`fleetctl` itself on a real pseudo-terminal: it starts, shows the store, answers keys, leaves the terminal clean."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path

import pyte
import pytest

from fleetctl.engine.lock import EngineLock
from tests.fakes import stored_fleet

FLEET = """\
name = "city-pool"
[[sites]]
name = "lingang"
[[racks]]
name = "r001"
site = "lingang"
nodes = "gpu[001-008]"
[[hosts]]
nodes = "gpu[001-048]"
site = "lingang"
cards = 8
[store]
path = "{path}"
"""
LIMIT_S = 300.0  # only so that a broken console ends the test at all


class Terminal:
    """A child on a pseudo-terminal, its screen kept by pyte."""

    def __init__(self, command: list[str], environ: dict[str, str], columns: int, lines: int) -> None:
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, environ)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self) -> bool:
        """Take what is there, waiting a moment; False when the child has ended."""
        if not select.select([self.fd], [], [], 1.0)[0]:
            return True
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:
            return False
        self.raw += data
        # pyte takes the question for synchronised output, which ends in a letter of its own, for text.
        self.stream.feed(data.replace(b"\x1b[?2026$p", b"").replace(b"\x1b[?2048$p", b""))
        return bool(data)

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def until(self, words: str) -> None:
        end = time.monotonic() + LIMIT_S
        while words not in self.text:
            if time.monotonic() > end or not self.read():
                raise AssertionError(f"no {words!r} on the screen:\n{self.text}")

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.fd >= 0:  # it has not ended by itself
            os.kill(self.pid, signal.SIGKILL)
            self._reap()

    def press(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def ended(self) -> int:
        end = time.monotonic() + LIMIT_S
        while self.read():
            assert time.monotonic() < end, f"it does not end:\n{self.text}"
        return self._reap()

    def _reap(self) -> int:
        _pid, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        self.fd = -1
        return os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("key", [b"q", b"\x03"])
def test_it_leaves_from_the_first_frame_on(tmp_path: Path, key: bytes) -> None:
    path = tmp_path / "fleet.db"
    stored_fleet.fill(path, hosts=48, rounds=1)
    (tmp_path / "fleet.toml").write_text(FLEET.format(path=path))
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    command = [sys.executable, "-m", "fleetctl", "-C", str(tmp_path / "fleet.toml")]
    with EngineLock(path), Terminal(command, environ, 120, 36) as terminal:
        terminal.until("Overview")
        terminal.press(key)  # the fleet is being read
        assert terminal.ended() == 0
    assert b"\x1b[?1049l" in terminal.raw


@pytest.mark.parametrize("extra", [{"COLORTERM": "truecolor"}, {"NO_COLOR": "1"}])
def test_from_the_command_line_to_a_node_and_out(tmp_path: Path, extra: dict[str, str]) -> None:
    path = tmp_path / "fleet.db"
    stored_fleet.fill(path, hosts=48, rounds=3)
    (tmp_path / "fleet.toml").write_text(FLEET.format(path=path))
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm-256color", "LANG": "C.UTF-8", **extra}
    command = [sys.executable, "-m", "fleetctl", "-C", str(tmp_path / "fleet.toml")]
    # Somebody else polls this store, so that the console starts no engine of its own.
    with EngineLock(path), Terminal(command, environ, 80, 24) as terminal:
        terminal.until("48 nodes")
        terminal.until("Xid 79")
        terminal.press(b":gpu003\r")
        terminal.until("hottest card")
        terminal.press(b"2")
        terminal.until("1 of 48")
        terminal.press(b"q")
        assert terminal.ended() == 0
    assert b"\x1b[?1049l" in terminal.raw  # the screen from before is back
    if "NO_COLOR" in extra:
        assert b"38;" not in terminal.raw
        assert b"48;" not in terminal.raw
