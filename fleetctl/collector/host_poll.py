"""One host under the collector: its connection, the loop on it, its frames, and what is said about it.

All state of a host is here; `Collector` only says when. Frames arrive by callback and are turned into reports at once.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import replace
from typing import Protocol

from fleetctl.clock import Clock
from fleetctl.collector.asking import ask_script, printable
from fleetctl.collector.reach import ReachState, answered, is_due, missed
from fleetctl.collector.schedule import phase_s
from fleetctl.config.schema import Config
from fleetctl.errors import FleetctlError
from fleetctl.model.host import Host
from fleetctl.model.report import ErrorKind, HostReport
from fleetctl.probes.answers import HostAnswers
from fleetctl.probes.frames import Frame, FrameDecoder
from fleetctl.probes.kernel_log import FaultReader, KernelLog
from fleetctl.probes.plan import NO_PYTHON, LoopForm, Plan, first_form, launch_command, next_form
from fleetctl.probes.sections import Texts
from fleetctl.probes.sh_turns import LOST_S, ShTurns
from fleetctl.transport.base import EndReason, Session, Stream
from fleetctl.transport.pool import Connections, kind_of

log = logging.getLogger("fleetctl.collector")

HEARTBEAT_S = 45.0  # a turn a minute early or late must not skip one
SILENT_TURNS = 2  # turns without a frame after which the loop is taken for dead ...
SILENT_S = 30.0  # ... but not sooner: starting loops again on hosts that are merely busy makes them busier
GRACE_S = 5.0  # after its start, in which a loop need not have answered
SHORT_LIVES = 3  # loops in a row that ended right after their first word: another form is tried
EXEC_TIMEOUT_S = 60.0
EXEC_MAX_BYTES = 8 * 1024 * 1024


class Fleet(Protocol):
    """What a host needs of the collector around it."""

    config: Config
    plan: Plan
    clock: Clock
    connections: Connections
    fault_readers: tuple[FaultReader, ...]

    def program(self, form: LoopForm) -> bytes: ...
    def deliver(self, poll: HostPoll, report: HostReport, *, ok: bool) -> None: ...
    def spawn(self, poll: HostPoll) -> None: ...
    def count_late(self) -> None: ...
    def count_damaged(self, frames: int) -> None: ...


class HostPoll:
    """From one turn to the next. `turn` is called once per round, `on_data` whenever the host says something."""

    __slots__ = (
        "answers",
        "asked_at",
        "beat_at",
        "busy",
        "decoder",
        "epoch",
        "fleet",
        "form",
        "frames",
        "frames_at_turn",
        "host",
        "said_hello",
        "seq",
        "short_lives",
        "silent",
        "started_at",
        "state",
        "stream",
        "texts",
        "tried_at",
        "turns",
    )

    def __init__(self, host: Host, fleet: Fleet) -> None:
        self.host = host
        self.fleet = fleet
        interval_s = fleet.config.poll.interval_s
        self.answers = HostAnswers(fleet.plan, KernelLog(fleet.fault_readers), interval_s)
        self.state = ReachState()
        self.form = first_form(fleet.config.ssh.loop)
        self.turns: ShTurns | None = None
        self.stream: Stream | None = None
        self.decoder = FrameDecoder()
        self.texts = Texts()
        self.seq = 0
        self.frames = 0  # whole rounds since the start
        self.frames_at_turn = 0
        self.silent = 0
        self.said_hello = False
        self.short_lives = 0
        self.busy = False  # a task of ours connects or asks
        self.beat_at = 0.0
        self.asked_at: float | None = None  # sh form: a round was asked for and did not come yet
        self.epoch = 0  # of the stream; what an older one still has to say does not count
        self.started_at = 0.0
        self.tried_at = float("-inf")

    # -- turns ------------------------------------------------------------------------------------------------------

    def turn(self) -> None:
        """Its moment of the round has come: judge the round that was, start the next one."""
        fleet, now = self.fleet, self.fleet.clock.monotonic()
        poll = fleet.config.poll
        heard = self.frames != self.frames_at_turn
        self.frames_at_turn = self.frames
        if self.busy:
            fleet.count_late()
            return
        if self.stream is None:
            if self.form is LoopForm.EXEC or is_due(
                self.state, now, self.tried_at, poll.quiet_interval_s, poll.unreachable_after
            ):
                self.tried_at = now
                fleet.spawn(self)
            elif not heard:
                self.miss(self.state.error or ErrorKind.UNREACHABLE, "")
            return
        if (not heard and self.form is LoopForm.PYTHON) or self.silent or not self.said_hello:
            self.silent = 0 if heard else self.silent + 1
            if self.silent:
                self.on_silence()
                if self.stream is None:
                    return
        self.keep_going(now)

    def command(self, form: LoopForm) -> str:
        """What starts the loop; the console's own machine runs it in the console's own interpreter."""
        return launch_command(form, own_python=sys.executable if self.host.transport == "local" else "")

    def on_silence(self) -> None:
        """Connected, but no frame came since the last turn."""
        noise = self.decoder.noise
        if noise and not self.said_hello:
            self.miss(ErrorKind.GARBLED, f"prints something else than frames: {printable(noise)}")
        else:
            self.miss(ErrorKind.TIMED_OUT, "connected, but the loop on the host does not answer")
        waited_s = self.fleet.clock.monotonic() - max(self.started_at, self.state.answered_at or 0.0)
        if self.silent >= SILENT_TURNS and waited_s >= SILENT_S and self.stream is not None:
            if not self.said_hello:
                self.form = next_form(self.form, self.fleet.config.ssh.loop) or self.form
            self.close()

    def keep_going(self, now: float) -> None:
        """What a living loop needs from us: a heartbeat, or the words of this round."""
        stream = self.stream
        if stream is None:
            return
        if self.form is LoopForm.PYTHON:
            if now - self.beat_at >= HEARTBEAT_S:
                self.beat_at = now
                stream.write(b"h\n")
            return
        if self.asked_at is not None and now - self.asked_at < LOST_S:
            self.fleet.count_late()  # it still works on the last one: skipped, not queued
            return
        if self.turns is None:
            self.turns = ShTurns(self.fleet.plan, self.fleet.config.poll.interval_s)
        turn = self.turns.next(now)
        self.seq += 1
        self.asked_at = now if turn.round else None
        lines = f"r {self.seq} {' '.join(turn.round)}\n" if turn.round else ""
        if turn.beside:
            lines += f"b {self.seq} {' '.join(turn.beside)}\n"
        if lines:
            stream.write(lines.encode())

    # -- connecting -------------------------------------------------------------------------------------------------

    async def work(self) -> None:
        """Connect and start the loop, or ask once where no loop can be kept. Failures become reports."""
        try:
            session = await self.fleet.connections.session(self.host)
            if self.form is LoopForm.EXEC:
                await self.ask_once(session)
            else:
                await self.start(session)
        except FleetctlError as error:
            self.miss(kind_of(error), str(error))
        except Exception as error:  # a host's oddity must not end the round of the others
            log.exception("%s: unexpected failure", self.host.name)
            self.miss(ErrorKind.PROTOCOL, f"{type(error).__name__}: {error}")

    async def start(self, session: Session) -> None:
        """Start the loop of this form; its first round comes at once, later ones at the host's phase."""
        fleet, form = self.fleet, self.form
        interval_s = fleet.config.poll.interval_s
        self.decoder = FrameDecoder()
        self.texts = Texts()
        self.seq = 0
        self.silent = 0
        self.said_hello = False
        self.turns = None
        self.asked_at = None
        self.beat_at = fleet.clock.monotonic()
        program = fleet.program(form)
        if form is LoopForm.PYTHON:
            wait_s = (phase_s(self.host.name, interval_s) + interval_s / 2 - fleet.clock.now()) % interval_s
            program += f"i {interval_s:g} {wait_s:.3f}\nn\n".encode()
        self.epoch += 1
        mine = self.epoch

        def on_end(reason: EndReason) -> None:
            if mine == self.epoch:
                self.on_end(reason)

        self.started_at = fleet.clock.monotonic()
        stream = await session.stream(self.command(form), stdin=program, on_data=self.on_data, on_end=on_end)
        if mine != self.epoch:
            stream.close()
        elif stream.ended is None:
            self.stream = stream
            if form is LoopForm.SH:
                self.keep_going(fleet.clock.monotonic())

    async def ask_once(self, session: Session) -> None:
        """The round as one script. Kept state is what the sh loop would keep on the host."""
        fleet = self.fleet
        if self.turns is None:
            self.turns = ShTurns(fleet.plan, fleet.config.poll.interval_s)
        turn = self.turns.next(fleet.clock.monotonic())
        words = turn.round + turn.beside
        self.seq += 1
        script = fleet.plan.sh_script({word.partition(":")[0] for word in words}, "R", self.seq, words)
        self.decoder, self.texts, self.said_hello = FrameDecoder(), Texts(), True
        self.answers.form = LoopForm.EXEC.value
        before = self.frames
        got = await ask_script(session, script, timeout_s=EXEC_TIMEOUT_S, max_bytes=EXEC_MAX_BYTES)
        self.on_data(got.data)
        if self.frames == before:
            self.miss(got.error or ErrorKind.GARBLED, got.text)

    # -- what comes back --------------------------------------------------------------------------------------------

    def on_data(self, data: bytes) -> None:
        decoder = self.decoder
        damaged = decoder.damaged
        for frame in decoder.feed(data):
            if frame.kind in "RL":
                self.on_frame(frame)
            elif frame.kind == "H":
                self.said_hello = True
                self.answers.form = self.form.value
        if decoder.damaged != damaged:
            self.fleet.count_damaged(decoder.damaged - damaged)
            self.ask_full()

    def on_frame(self, frame: Frame) -> None:
        body = self.texts.read(frame.body)
        if self.form is LoopForm.PYTHON:
            if frame.seq != self.seq + 1 and self.seq:
                self.ask_full()
            self.seq = frame.seq
        elif self.turns is not None:
            if frame.kind == "R":
                self.asked_at = None
            self.turns.note(body.sections, self.fleet.clock.monotonic())
        if body.unreadable:
            self.ask_full()
        now = self.fleet.clock.now()
        self.answers.take(body, now)
        report = self.answers.report(self.host.name, now)
        self.frames += 1
        self.short_lives = 0
        was = self.state
        self.state = answered(was, report.reach, self.fleet.clock.monotonic())
        if was.failing:
            log.warning("%s: answers again after %d missed rounds", self.host.name, was.failures)
        self.fleet.deliver(self, report, ok=True)

    def ask_full(self) -> None:
        """A text is missing here: have the next ones sent whole."""
        if self.stream is not None:
            self.stream.write(b"f\n")

    def on_end(self, reason: EndReason) -> None:
        """The loop is gone: by itself, with its connection, or because this form does not work here."""
        self.stream = None
        setting = self.fleet.config.ssh.loop
        if not self.said_hello and reason.error is None:
            no_python = NO_PYTHON in self.decoder.noise
            following = next_form(self.form, setting)
            if following is not None:
                self.form = following
                if not self.busy:
                    self.fleet.spawn(self)  # at once, not in a minute
                return
            text = "no python3 there, and ssh.loop asks for it" if no_python else reason.stderr or reason.text
            self.miss(ErrorKind.GARBLED, text or "the loop did not start")
            return
        self.short_lives += 1
        if self.short_lives >= SHORT_LIVES and reason.error is None:
            self.form = next_form(self.form, setting) or self.form
            self.short_lives = 0
        self.tried_at = float("-inf")
        self.miss(reason.error or ErrorKind.CLOSED, reason.text or "the loop on the host ended")

    def miss(self, error: ErrorKind, text: str) -> None:
        """No answer in this round: say so once in the log, and in every round in a report."""
        fleet, poll = self.fleet, self.fleet.config.poll
        was = self.state
        stale_s = poll.stale_after * poll.interval_s
        self.state = missed(was, error, fleet.clock.monotonic(), stale_s, poll.unreachable_after)
        if not was.failing:
            log.warning("%s: %s: %s", self.host.name, error, text)
        report = HostReport(self.host.name, fleet.clock.now(), self.state.reach, error, text[:400])
        fleet.deliver(self, report, ok=False)

    def close(self) -> None:
        """End the stream on purpose: its end is no event."""
        self.epoch += 1
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.close()


def merged(first: HostReport, second: HostReport) -> HostReport:
    """Two reports of one host in one slot: the later one, with the events of both."""
    if second.error is not None and first.error is None:
        return first  # what it said stands; that it then failed is the next round's matter
    lost = tuple(fault for fault in first.faults if fault not in second.faults)
    return replace(second, faults=lost + second.faults) if lost else second


def run_in_task(poll: HostPoll, tasks: set[asyncio.Task[None]]) -> None:
    """Let a host connect or ask beside the others; it is `busy` until that is over."""
    if poll.busy:
        return
    poll.busy = True

    async def run() -> None:
        again = poll.form
        try:
            await poll.work()
        finally:
            poll.busy = False
        if poll.stream is None and poll.form is not again:  # the next form, at once
            run_in_task(poll, tasks)

    task = asyncio.create_task(run(), name=f"poll {poll.host.name}")
    tasks.add(task)
    task.add_done_callback(tasks.discard)
