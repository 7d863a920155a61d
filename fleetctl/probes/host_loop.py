"""The small program that runs on a host: asks the probes that are due and writes one frame per round to stdout.

It is sent over the channel's stdin and lives in memory only; nothing is written to the host's disk. It travels as one
program, so all of it stands in this one file, however long. It runs on
python3.6 and newer with `-S -E`, imports nothing that is slow to import, and is a plain module here so that tests can
import it. docs/reference/frame-format.md has the format of the frames and of the lines it takes on stdin.
"""

import binascii
import errno
import os
import select
import signal
import sys
import time

FULL, SAME, KEEP = "f", "s", "k"
DONE, TIMEOUT, HUNG, MISSING, CUT = "d", "t", "h", "m", "c"
MARKS = b"\x1c\x1d\x1e\x1f"  # the frame's own separators never occur inside a text
GRACE_S = 2.0  # between TERM and KILL, and between KILL and "this one cannot be killed"
FRAME_WAIT_S = 3.0  # a round's frame does not wait longer than this for a tool; the answer follows in a later frame
AGAIN_S = 600.0  # until a tool that was not there, or a reader that failed, is looked at again
ERR_BYTES = 2048  # of stderr: enough to say why


def clean(data: bytes) -> bytes:
    """The text without the frame's separators."""
    return data.translate(None, MARKS)


def frame(kind: str, seq: int, body: bytes) -> bytes:
    """One whole frame: mark, kind, number, length and checksum of the body, body, end mark."""
    head = "\x1eF%s %d %d %08x\n" % (kind, seq, len(body), binascii.crc32(body) & 0xFFFFFFFF)
    return head.encode() + body + b"\x1f\n"


def kept_bytes(old: bytes, new: bytes) -> int:
    """How many bytes at the start of `new`, in whole lines, are as in `old`."""
    kept = 0
    for a, b in zip(old.split(b"\n"), new.split(b"\n")):
        if a != b:
            break
        kept += len(a) + 1
    return min(kept, len(old), len(new))


class Ask:
    """One probe of the plan, and what is known about it on this host."""

    def __init__(self, item: "dict[str, object]") -> None:
        self.id = str(item["id"])
        self.command = str(item.get("command", ""))
        self.detect = str(item.get("detect", ""))
        self.timeout = float(str(item.get("timeout", 10)))
        self.every = float(str(item.get("every", 0)))
        self.background = bool(item.get("background"))
        self.inline = bool(item.get("inline"))
        self.python = str(item.get("python", ""))
        self.replaces = set(str(item.get("replaces", "")).split())
        self.present = not self.detect
        self.answers = False  # its last run ended well
        self.due = 0.0
        self.queued = False
        self.hung_pid = 0
        self.reader_after = 0.0  # the python reader is not tried before this moment
        self.worker = None  # type: Worker | None
        self.read = None  # type: object


class Job:
    """One running command: its process group, what it printed so far, and when it must end."""

    def __init__(self, ask: "Ask | None", command: str, timeout: float, limit: int) -> None:
        self.ask = ask
        self.limit = limit
        self.out = b""
        self.err = b""
        self.started = time.monotonic()
        self.deadline = self.started + timeout
        self.killing = 0
        self.outcome = DONE
        self.status = -1
        self.reaped = False
        out_r, out_w = os.pipe()
        err_r, err_w = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            become_tool(out_w, err_w, command)
        os.close(out_w)
        os.close(err_w)
        for fd in (out_r, err_r):
            os.set_blocking(fd, False)
        self.fds = {out_r: "out", err_r: "err"}

    def take(self, fd: int) -> None:
        """Read what is there; more than the limit ends the command."""
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            os.close(fd)
            del self.fds[fd]
        elif self.fds[fd] == "err":
            self.err = (self.err + data)[:ERR_BYTES]
        else:
            self.out += data
            if len(self.out) > self.limit and self.outcome == DONE:
                self.outcome = CUT
                self.killing = 1  # a flood is not asked politely
                self.deadline = 0.0
            self.out = self.out[: self.limit]

    def reap(self) -> bool:
        if not self.reaped:
            pid, status = wait_for(self.pid)
            if pid:
                self.reaped = True
                self.status = status
                for fd in list(self.fds):  # what it wrote before it ended; its orphans may hold the pipe open for ever
                    while fd in self.fds and self.outcome == DONE:
                        before = len(self.out) + len(self.err)
                        self.take(fd)
                        if len(self.out) + len(self.err) == before:
                            break
                kill_group(self.pid, signal.SIGKILL)
                self.close()
        return self.reaped

    def press(self, now: float) -> bool:
        """Past its deadline: TERM, then KILL, then give up. True when there is nothing more to wait for."""
        if now < self.deadline:
            return False
        if self.outcome == DONE:
            self.outcome = TIMEOUT
        self.killing += 1
        if self.killing > 2:
            self.outcome = HUNG
            self.close()
            return True
        kill_group(self.pid, signal.SIGTERM if self.killing == 1 else signal.SIGKILL)
        self.deadline = now + GRACE_S
        return False

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.fds = {}


class Worker:
    """A child that keeps a python reader loaded, so that a driver that hangs does not hold up the loop."""

    def __init__(self, ask: Ask, limit: int) -> None:
        go_r, self.go = os.pipe()
        self.fd, back_w = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            serve_reader(ask.python, go_r, back_w, limit)
        os.close(go_r)
        os.close(back_w)
        os.set_blocking(self.fd, False)
        self.buf = b""

    def ask(self) -> None:
        self.buf = b""
        os.write(self.go, b"?")

    def take(self) -> "tuple[bool, bytes] | None":
        """(ended well, text) when the answer is whole; None while it is not. Raises EOFError when the child died."""
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return None
        if not data:
            raise EOFError
        self.buf += data
        if len(self.buf) < 10:
            return None
        size = int(self.buf[1:10])
        return (self.buf[:1] == b"0", self.buf[10:]) if len(self.buf) >= 10 + size else None

    def close(self) -> None:
        os.close(self.go)
        os.close(self.fd)


def become_tool(out_w: int, err_w: int, command: str) -> None:
    """In the child: own process group, no stdin, then the shell. Never returns."""
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(out_w, 1)
        os.dup2(err_w, 2)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execv("/bin/sh", ["sh", "-c", command])
    finally:
        os._exit(126)


def serve_reader(source: str, go_r: int, back_w: int, limit: int) -> None:
    """In the child: load the reader once and call it whenever asked. Never returns."""
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        close_others(go_r, back_w)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        space = {"__name__": "reader"}  # type: dict[str, object]
        read = None
        while os.read(go_r, 1):
            ok = b"0"
            try:
                if read is None:
                    exec(compile(source, "reader", "exec"), space)
                    read = space["read"]
                text = read().encode("utf-8", "replace")[:limit]  # type: ignore[operator]
            except Exception as error:  # a stranger's driver may raise anything
                ok, text = b"1", ("%s: %s" % (type(error).__name__, error)).encode("utf-8", "replace")[:ERR_BYTES]
            data = ok + b"%09d" % len(text) + text
            while data:
                data = data[os.write(back_w, data) :]
    finally:
        os._exit(0)


def close_others(*keep: int) -> None:
    """Close what was inherited, so that a reader that hangs holds no pipe of ours open."""
    try:
        fds = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        fds = list(range(3, 256))
    for fd in fds:
        if fd > 2 and fd not in keep:
            try:
                os.close(fd)
            except OSError:
                pass


def wait_for(pid: int) -> "tuple[int, int]":
    """(pid, exit status) when it has ended, (0, 0) while it lives. A signal counts as 128 + its number, as in sh."""
    try:
        got, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return pid, -1
    if not got:
        return 0, 0
    return got, 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def kill_group(pid: int, number: int) -> None:
    """Send a signal to a whole process group; one that is gone is fine."""
    try:
        os.killpg(pid, number)
    except OSError:
        pass


class Loop:
    """Rounds, the two lanes of running tools, frames out and lines in."""

    def __init__(self, plan: "dict[str, object]") -> None:
        self.interval = float(str(plan["interval"]))
        self.limit = int(str(plan["max_bytes"]))
        self.patience = float(str(plan["heartbeat"]))
        self.asks = [Ask(item) for item in plan["probes"]]  # type: ignore[attr-defined]
        self.by_id = {ask.id: ask for ask in self.asks}
        self.sent = {}  # type: dict[str, tuple[str, bytes, bytes]]
        self.seq = 0
        self.pending = b""  # a frame the channel has not taken yet
        self.skipped = 0
        self.sections = []  # type: list[bytes]
        self.round_at = time.monotonic() + 0.01
        self.wanted = False  # a round out of turn
        self.frame_at = None  # type: float | None
        self.heard = time.monotonic()
        self.line = b""
        self.detecting = []  # type: list[Ask]
        self.detect_at = 0.0
        self.lanes = [None, None]  # type: list[object]
        self.queues = [[], []]  # type: list[list[Ask]]
        self.reading = [None, None]  # type: list[tuple[Ask, float, float, int] | None]
        self.over = ""
        self.poll = select.poll()
        self.known = {}  # type: dict[int, int]

    # -- what is due ------------------------------------------------------------------------------------------------

    def start_round(self, now: float) -> None:
        late = now - self.round_at
        if late >= 0:
            self.round_at += self.interval * (1 + int(late // self.interval))
        self.wanted = False
        if now >= self.detect_at:
            self.detecting = [ask for ask in self.asks if ask.detect and not ask.present]
            self.detect_at = now + AGAIN_S
        covered = set()
        for ask in self.asks:
            if ask.present and ask.answers:
                covered |= ask.replaces
        for ask in self.asks:
            if not ask.present or ask.id in covered or now + self.interval / 4 < ask.due:
                continue
            ask.due = now + ask.every
            if ask.inline:
                self.run_inline(ask, now)
            elif not ask.queued and not self.is_hung(ask, now):
                ask.queued = True
                self.queues[ask.background].append(ask)
        self.frame_at = now + min(FRAME_WAIT_S, self.interval / 2)
        self.step(now)

    def is_hung(self, ask: Ask, now: float) -> bool:
        if ask.hung_pid and not wait_for(ask.hung_pid)[0]:
            self.answer(ask, HUNG, -1, 0.0, b"", b"process %d does not end" % ask.hung_pid)
            return True
        ask.hung_pid = 0
        return False

    def run_inline(self, ask: Ask, now: float) -> None:
        """Our own readers of /proc: no process, no child. They touch nothing that can hang."""
        try:
            if ask.read is None:
                space = {"__name__": "reader"}  # type: dict[str, object]
                exec(compile(ask.python, ask.id, "exec"), space)
                ask.read = space["read"]
            text = ask.read().encode("utf-8", "replace")  # type: ignore[operator]
            self.answer(ask, DONE, 0, time.monotonic() - now, text[: self.limit], b"")
        except Exception as error:  # another kernel, or no right to read: the command may still know
            if ask.command:
                ask.inline, ask.python, ask.queued = False, "", True
                self.queues[ask.background].append(ask)
            else:
                self.answer(ask, DONE, 1, 0.0, b"", ("%s: %s" % (type(error).__name__, error)).encode())

    # -- running ----------------------------------------------------------------------------------------------------

    def step(self, now: float) -> None:
        """Start what the lanes have room for; end what is past its time; send the frame when the round is whole."""
        for lane in (0, 1):
            self.end_lane(lane, now)
            while self.lanes[lane] is None and self.reading[lane] is None:
                if lane == 0 and self.detecting:
                    self.lanes[0] = Job(None, detect_script(self.detecting), 10.0, 65536)
                elif self.queues[lane]:
                    self.start(lane, self.queues[lane].pop(0), now)
                else:
                    break
        idle = self.lanes[0] is None and self.reading[0] is None
        if self.frame_at is not None and (idle or now >= self.frame_at):
            self.frame_at = None
            self.send("R")
        elif self.frame_at is None and self.sections:
            self.send("L")

    def start(self, lane: int, ask: Ask, now: float) -> None:
        if ask.python and now >= ask.reader_after:
            try:
                if ask.worker is None:
                    ask.worker = Worker(ask, self.limit)
                ask.worker.ask()
                self.reading[lane] = (ask, now, now + ask.timeout, 0)
                return
            except OSError:
                self.drop_worker(ask)
        if ask.command:
            self.lanes[lane] = Job(ask, ask.command, ask.timeout, self.limit)
        else:
            self.answer(ask, DONE, 1, 0.0, b"", b"the reader failed and there is no command")

    def end_lane(self, lane: int, now: float) -> None:
        job = self.lanes[lane]
        if isinstance(job, Job) and (job.reap() or job.press(now)):
            self.lanes[lane] = None
            if job.ask is None:
                self.end_detect(job)
            else:
                outcome = MISSING if job.outcome == DONE and job.status == 127 else job.outcome
                if outcome == HUNG:
                    job.ask.hung_pid = job.pid
                if outcome == MISSING and job.ask.detect:
                    job.ask.present = False
                self.answer(job.ask, outcome, job.status, now - job.started, job.out, job.err)
        reading = self.reading[lane]
        if reading is not None and now >= reading[2]:
            ask, started, _, killing = reading
            worker = ask.worker
            if worker is None:
                self.reading[lane] = None
                return
            kill_group(worker.pid, signal.SIGKILL)
            if wait_for(worker.pid)[0]:
                outcome = TIMEOUT
            elif killing < 2:
                self.reading[lane] = (ask, started, now + GRACE_S / 2, killing + 1)
                return
            else:
                outcome, ask.hung_pid = HUNG, worker.pid
            worker.close()
            ask.worker = None
            self.reading[lane] = None
            self.answer(ask, outcome, -1, now - started, b"", b"the reader did not answer in time")

    def take_reading(self, lane: int, now: float) -> None:
        reading = self.reading[lane]
        if reading is None or reading[0].worker is None:
            return
        ask, started = reading[:2]
        try:
            got = reading[0].worker.take()
        except (EOFError, OSError, ValueError):
            got = (False, b"the reader died")
            self.drop_worker(ask)
            if reading[3]:  # by our own hand
                self.reading[lane] = None
                self.answer(ask, TIMEOUT, -1, now - started, b"", b"the reader did not answer in time")
                return
        if got is None:
            return
        self.reading[lane] = None
        ok, text = got
        if ok:
            self.answer(ask, DONE, 0, now - started, text, b"")
            return
        self.drop_worker(ask)
        ask.reader_after = now + AGAIN_S
        if ask.command:
            self.queues[lane].insert(0, ask)
        else:
            self.answer(ask, DONE, 1, now - started, b"", text)

    def drop_worker(self, ask: Ask) -> None:
        if ask.worker is not None:
            kill_group(ask.worker.pid, signal.SIGKILL)
            ask.worker.close()
            wait_for(ask.worker.pid)
            ask.worker = None

    def end_detect(self, job: Job) -> None:
        """Note which probes make sense here. A snippet that hangs is passed over, those after it are asked again."""
        said = job.out.decode("ascii", "replace").split()
        for word in said:
            ask = self.by_id.get(word[1:])
            if ask is not None and word[:1] == "+":
                ask.present = True
                ask.due = 0.0
                if not ask.queued and not ask.inline:
                    ask.queued = True
                    ask.due = time.monotonic() + ask.every
                    self.queues[ask.background].append(ask)
        rest = self.detecting[len(said) :]
        if rest:
            self.answer(rest[0], job.outcome, job.status, 0.0, b"", b"looking for the tool did not end")
        self.detecting = rest[1:]

    # -- frames -----------------------------------------------------------------------------------------------------

    def answer(self, ask: Ask, outcome: str, status: int, seconds: float, out: bytes, err: bytes) -> None:
        """Add a section; a text as sent last time travels as `same`, one with the same first lines without them."""
        ask.queued = False
        ask.answers = outcome == DONE and status == 0
        out, err = clean(out), clean(err)
        state = "%s %d" % (outcome, status)
        old = self.sent.get(ask.id)
        self.sent[ask.id] = (state, out, err)
        mode, text = FULL, out
        if old is not None and outcome == DONE:
            if old == (state, out, err):
                mode, text, err = SAME, b"", b""
            else:
                kept = kept_bytes(old[1], out)
                if kept:
                    mode, text = KEEP + str(kept), out[kept:]
        head = "\x1d%s %s %d %s\n" % (ask.id, state, seconds * 1000, mode)
        self.sections.append(head.encode() + text + (b"\x1c" + err if err else b""))

    def send(self, kind: str) -> None:
        if self.pending:  # the channel is stuck: say so later, keep no queue
            self.skipped += 1
            self.sections = []
            self.sent = {}
            return
        body = b"%.3f %d" % (time.time(), self.skipped) + b"".join(self.sections)
        self.sections = []
        self.seq += 1
        self.pending = frame(kind, self.seq, body)
        self.flush()

    def flush(self) -> None:
        try:
            self.pending = self.pending[os.write(1, self.pending) :]
        except BlockingIOError:
            pass
        except OSError:
            self.over = "the channel is closed"

    def hear(self) -> None:
        """Lines from the console: h(eartbeat), f(ull texts), n(ow), d(etect), i SECONDS PHASE, q(uit)."""
        try:
            data = os.read(0, 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.over = "the channel is closed"
            return
        self.heard = time.monotonic()
        lines = (self.line + data).split(b"\n")
        self.line = lines.pop()[:256]
        for line in lines:
            word = line[:1]
            if word == b"f":
                self.sent = {}
            elif word == b"n":
                self.wanted = True
            elif word == b"d":
                self.detect_at = 0.0
                for ask in self.asks:
                    ask.present = not ask.detect
            elif word == b"i":
                try:
                    interval, phase = line[1:].split()
                    self.interval = max(0.05, float(interval))
                    self.round_at = self.heard + float(phase)
                except ValueError:
                    pass
            elif word == b"q":
                self.over = "asked to"

    # -- the loop ---------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Tell poll() about the descriptors of this moment; a set that stays the same costs nothing."""
        want = {0: select.POLLIN}
        if self.pending:
            want[1] = select.POLLOUT
        for job in self.lanes:
            if isinstance(job, Job):
                for fd in job.fds:
                    want[fd] = select.POLLIN
        for reading in self.reading:
            if reading is not None and reading[0].worker is not None:
                want[reading[0].worker.fd] = select.POLLIN
        want[self.wake] = select.POLLIN
        if want != self.known:
            for fd in self.known:
                if fd not in want:
                    self.poll.unregister(fd)
            for fd in want:
                self.poll.register(fd, want[fd])
            self.known = want

    def next_moment(self) -> float:
        moments = [self.round_at, self.heard + self.patience]
        if self.frame_at is not None:
            moments.append(self.frame_at)
        moments += [job.deadline for job in self.lanes if isinstance(job, Job)]
        moments += [reading[2] for reading in self.reading if reading is not None]
        return min(moments)

    def run(self) -> None:
        self.wake, wake_w = os.pipe()
        for fd in (0, 1, self.wake, wake_w):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake_w)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, self.stop)
        hello = "python %d.%d pid %d" % (sys.version_info[0], sys.version_info[1], os.getpid())
        self.pending = frame("H", self.seq, hello.encode())
        self.flush()
        while not self.over:
            now = time.monotonic()
            if now - self.heard > self.patience:
                self.over = "no word from the console"
                break
            if now >= self.round_at or self.wanted:
                self.start_round(now)
            else:
                self.step(now)
            self.watch()
            wait_ms = 0 if self.wanted else int((self.next_moment() - time.monotonic()) * 1000) + 1
            for fd, _ in self.poll.poll(max(0, wait_ms)):
                self.ready(fd)
        self.end()

    def ready(self, fd: int) -> None:
        if fd == 0:
            self.hear()
        elif fd == 1:
            self.flush()
        elif fd == self.wake:
            try:
                os.read(fd, 512)
            except OSError:
                pass
        else:
            now = time.monotonic()
            for lane in (0, 1):
                job, reading = self.lanes[lane], self.reading[lane]
                if isinstance(job, Job) and fd in job.fds:
                    job.take(fd)
                elif reading is not None and reading[0].worker is not None and fd == reading[0].worker.fd:
                    self.take_reading(lane, now)

    def stop(self, number: int, _: object) -> None:
        self.over = "signal %d" % number

    def end(self) -> None:
        """Leave nothing behind: every process group we started goes, as far as it can."""
        for job in self.lanes:
            if isinstance(job, Job):
                kill_group(job.pid, signal.SIGKILL)
        for ask in self.asks:
            if ask.worker is not None:
                kill_group(ask.worker.pid, signal.SIGKILL)
        if not self.pending:
            self.pending = frame("X", self.seq + 1, self.over.encode())
            self.flush()


def detect_script(asks: "list[Ask]") -> str:
    """One script that looks for all tools and says +id or -id for each, in order."""
    lines = []
    for ask in asks:
        lines.append(
            "if ( %s\n) </dev/null >/dev/null 2>&1; then echo +%s; else echo -%s; fi" % (ask.detect, ask.id, ask.id)
        )
    return "\n".join(lines)


def main(plan: "dict[str, object]") -> None:
    path = ":".join([os.environ.get("PATH", "/bin:/usr/bin"), str(plan.get("path", ""))])
    os.environ.update({"LC_ALL": "C", "TZ": "UTC", "PATH": path})
    os.umask(0o077)
    try:
        os.chdir("/")
        os.nice(int(str(plan.get("nice", 10))))
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES):
            raise
    Loop(plan).run()
