"""The host loop of a simulated host: the same lines in, the same frames out as probes/host_loop.py, without processes."""

from __future__ import annotations

import ast
import shlex
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fleetctl.probes.host_loop import DONE, FULL, HUNG, KEEP, MISSING, SAME, clean, frame, kept_bytes
from fleetctl_demo.shell import Shell

AGAIN_S = 600.0  # until a tool that was not there is looked at again, as on a real host


@dataclass(slots=True)
class _Ask:
    """One probe of the plan on this host."""

    id: str
    command: str
    present: bool
    every: float
    due: float = 0.0


class SimulatedLoop:
    """Answers on one channel. write: sends bytes to the console; later: runs a callback after so many seconds."""

    def __init__(
        self, shell: Shell, write: Callable[[bytes], None], later: Callable[[float, Callable[[], None]], Any]
    ) -> None:
        self._shell = shell
        self._write = write
        self._later = later
        self._buffer = b""
        self._asks: list[_Ask] = []
        self._sent: dict[str, tuple[str, bytes, bytes]] = {}
        self._seq = 0
        self._interval = 60.0
        self._timer: Any = None

    def feed(self, data: bytes) -> None:
        """Bytes from the console: first the program and its plan, then lines."""
        self._buffer += data
        if not self._asks:
            if len(self._buffer) < 8 or len(self._buffer) < 8 + int(self._buffer[:8]):
                return
            end = 8 + int(self._buffer[:8])
            packed, self._buffer = self._buffer[8:end], self._buffer[end:]
            self._start(_plan(packed))
        while b"\n" in self._buffer:
            line, self._buffer = self._buffer.split(b"\n", 1)
            self._hear(line)

    def close(self) -> None:
        """The channel is gone."""
        if self._timer is not None:
            self._timer.cancel()

    def _start(self, plan: dict[str, Any]) -> None:
        self._interval = float(plan["interval"])
        self._asks = [
            _Ask(
                item["id"],
                item["command"],
                not item["detect"] or self._shell.has_tool(item["detect"]),
                float(item["every"]),
            )
            for item in plan["probes"]
        ]
        self._write(frame("H", 0, b"python 3.11 pid 1"))
        self._timer = self._later(0.01, self._round)

    def _hear(self, line: bytes) -> None:
        word = line[:1]
        if word == b"f":
            self._sent = {}
        elif word == b"n":
            self._schedule(0.0)
        elif word == b"i":
            interval, phase = line[1:].split()
            self._interval = max(0.05, float(interval))
            self._schedule(float(phase))

    def _schedule(self, seconds: float) -> None:
        self.close()
        self._timer = self._later(seconds, self._round)

    def _round(self) -> None:
        self._schedule(self._interval)
        now = self._shell.now()
        due = [ask for ask in self._asks if ask.present and ask.due <= now + self._interval / 4]
        sections = []
        for ask in due:
            ask.due = now + ask.every
            sections.append(self._section(ask))
        self._seq += 1
        body = b"%.3f 0" % self._shell.host_clock() + b"".join(sections)
        try:
            self._write(frame("R", self._seq, body))
        except BrokenPipeError:  # the channel is closing; its end is told a moment later
            self.close()

    def _section(self, ask: _Ask) -> bytes:
        state, out, err = answer(self._shell, ask.command)
        old, self._sent[ask.id] = self._sent.get(ask.id), (state, out, err)
        mode, text = FULL, out
        if old == (state, out, err):
            mode, text, err = SAME, b"", b""
        elif old is not None and state.startswith(DONE) and (kept := kept_bytes(old[1], out)) > 16:
            mode, text = KEEP + str(kept), out[kept:]
        return section(ask.id, state, mode, text, err)


def answer(shell: Shell, command: str) -> tuple[str, bytes, bytes]:
    """(outcome and exit status, stdout, stderr) of one probe's command, as they stand in a frame."""
    ran = shell.run(command)
    if ran.hangs:
        return f"{HUNG} -1", b"", b"process 4711 does not end"
    if ran.status == 127:
        return f"{MISSING} 127", b"", ran.stderr.encode()
    return f"{DONE} {ran.status}", clean(ran.stdout.encode()), clean(ran.stderr.encode())


def section(id_: str, state: str, mode: str, text: bytes, err: bytes) -> bytes:
    """One probe's part of a frame's body."""
    return f"\x1d{id_} {state} 12 {mode}\n".encode() + text + (b"\x1c" + err if err else b"")


def rounds_of(shell: Shell, script: str) -> bytes | None:
    """The frames that the sh form of the host loop prints for a script of rounds; None when it is something else."""
    head, ids, rest = script.partition("\nIDS=")
    asked = [line.split() for line in rest.splitlines() if line.startswith("run_round ") and "$" not in line]
    if not ids or not asked:
        return None
    told = dict(word.split("=", 1) for word in shlex.split(head) if "=" in word)
    return b"".join(_one_round(shell, told, kind, int(seq), words) for _, kind, seq, *words in asked)


def _one_round(shell: Shell, told: dict[str, str], kind: str, seq: int, words: list[str]) -> bytes:
    sections = []
    for word in words:
        id_ = word.partition(":")[0]
        if f"C{id_}" not in told:
            continue
        if (detect := told.get(f"D{id_}", "")) and not shell.has_tool(detect):
            sections.append(section(id_, "n -1", FULL, b"", b""))
        else:
            state, out, err = answer(shell, told[f"C{id_}"])
            sections.append(section(id_, state, FULL, out, err))
    return frame(kind, seq, b"%.3f 0" % shell.host_clock() + b"".join(sections))


@lru_cache(maxsize=8)
def _plan(packed: bytes) -> dict[str, Any]:
    """The plan in a packed program: the argument of its last line, main({...})."""
    source = zlib.decompress(packed).decode()
    last = source.rstrip("\n").rsplit("\n", 1)[1]
    plan = ast.literal_eval(last.removeprefix("main(").removesuffix(")"))
    assert isinstance(plan, dict)
    return plan
