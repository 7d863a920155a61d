"""How fast the console draws: FleetTable beside Textual's DataTable (and textual-fastdatatable where installed), and the
heat map, each in a child process on a real pseudo-terminal of 200x50.

    python benchmarks/screen.py [--rows 12500] [--seconds 10] [--keys 40]

first frame: from the start of the app (imports done) until a row is on the terminal; page and key: from the key's byte
to the last byte of what it caused, while a tenth of the rows changes every second; updates: CPU of the child while it
does nothing but follow those changes.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import random
import select
import signal
import statistics
import struct
import sys
import termios
import time
from pathlib import Path
from typing import Any, ClassVar

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parent.parent)]
READY = b"\x1b]9;ready\x07"
QUIET_S = 0.012  # silence that ends a frame


# The children


def child(kind: str, count: int, share: float) -> None:
    """Run one app until it is killed."""
    from textual.app import App

    from fleetctl.tui.look import TONE_CLASSES
    from fleetctl.views import nodes
    from tests.fakes.fleet_source import FleetSource

    source = FleetSource(hosts=count)
    columns = [c for c in nodes.COLUMNS if not c.wide]

    class Bench(App[None]):
        COMPONENT_CLASSES: ClassVar[set[str]] = TONE_CLASSES
        CSS = "Screen { layout: vertical; } FleetTable, DataTable, HeatMap { height: 1fr; }"

        def compose(self) -> Any:
            yield make_widget(kind, source, columns)

        def on_mount(self) -> None:
            self.widget = self.query_one("#it")
            self.widget.focus()
            fill(kind, self.widget, source, columns)
            self.set_interval(1.0, self.step)

        def step(self) -> None:
            before = list(source.rows)
            source.change(share)
            source.clock += 1.0
            update(kind, self.widget, source, columns, before)

    if kind in ("fleet", "heat"):
        # The widgets take their colours from the console's themes.
        from fleetctl.tui.themes import DARK

        class Themed(Bench):
            CSS_PATH: ClassVar[Any] = [
                str(HERE.parent.parent / "fleetctl/tui/styles" / f"{n}.tcss") for n in ("tones", "frame")
            ]

            def __init__(self) -> None:
                super().__init__()
                self.register_theme(DARK)
                self.theme = DARK.name

        app: App[None] = Themed()
    else:
        app = Bench()
    app.animation_level = "none"
    os.write(1, READY)
    app.run()


def make_widget(kind: str, source: Any, columns: Any) -> Any:
    if kind == "fleet":
        from fleetctl.tui.widgets.fleet_table import FleetTable

        return FleetTable(columns, id="it")
    if kind == "heat":
        from fleetctl.tui.widgets.heat_map import HeatMap

        return HeatMap(id="it")
    if kind == "none":
        from textual.widgets import Static

        return Static("gpu0", id="it")
    if kind == "fast":
        from textual_fastdatatable import ArrowBackend
        from textual_fastdatatable import DataTable as Fast

        return Fast(
            backend=ArrowBackend.from_records(
                [tuple(c.title for c in columns), *texts(source, columns)], has_header=True
            ),
            id="it",
            cursor_type="row",
        )
    from textual.widgets import DataTable

    return DataTable(id="it", cursor_type="row")


def texts(source: Any, columns: Any) -> list[tuple[str, ...]]:
    return [tuple(text(c, row, source.now()) for c in columns) for row in source.rows]


def text(column: Any, row: Any, now: float) -> str:
    from fleetctl.views.units import show_age

    value = column.value(row)
    if value is None:
        return "-"
    if column.role == "age":
        return show_age(value, now)
    return column.show(value) if column.show else str(value)


def fill(kind: str, widget: Any, source: Any, columns: Any) -> None:
    if kind == "fleet":
        widget.show(source.nodes(), now=source.now())
    elif kind == "heat":
        widget.show(source.cards("util_pct"))
    elif kind == "data":
        widget.add_columns(*[(c.title, c.name) for c in columns])
        for row, cells in zip(source.rows, texts(source, columns), strict=True):
            widget.add_row(*cells, key=row.name)


def update(kind: str, widget: Any, source: Any, columns: Any, before: list[Any]) -> None:
    """A round: the same rows changed for everyone; each widget is told in the cheapest way it has."""
    if kind == "fleet":
        widget.show(source.nodes(), now=source.now())
        return
    if kind == "heat":
        widget.show(source.cards("util_pct"))
        return
    if kind == "none":  # what making up a round costs, to be taken off the others
        return
    changing = [(i, c) for i, c in enumerate(columns) if c.name in ("util_pct", "temp_c", "power_w", "age_at")]
    for number, (old, new) in enumerate(zip(before, source.rows, strict=True)):
        if old is new:
            continue
        for place, column in changing:
            cell = text(column, new, source.now())
            if kind == "data":
                widget.update_cell(new.name, column.name, cell)
            else:
                widget.update_cell(number, place, cell)


# The parent


class Terminal:
    """A child on a pseudo-terminal that answers the questions a terminal is asked."""

    def __init__(self, kind: str, count: int, share: float) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LANG="C.UTF-8")
            os.execv(
                sys.executable,
                [sys.executable, str(HERE), "--child", kind, "--rows", str(count), "--share", str(share)],
            )
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        self.seen = b""
        self.sent = 0

    def read(self, timeout_s: float) -> bytes:
        if not select.select([self.fd], [], [], timeout_s)[0]:
            return b""
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:
            return b""
        self.sent += len(data)
        if b"\x1b[?2026$p" in data:
            os.write(self.fd, b"\x1b[?2026;2$y")
        return data

    def until(self, word: bytes, limit_s: float) -> float:
        """Moment at which the word had arrived."""
        end, tail = time.perf_counter() + limit_s, b""
        while time.perf_counter() < end:
            tail = tail[-4096:] + self.read(0.5)
            if word in tail:
                return time.perf_counter()
        raise SystemExit(f"nothing that looks like {word!r} within {limit_s} s")

    def settle(self, quiet_s: float) -> None:
        while self.read(quiet_s):
            pass

    def press(self, key: bytes) -> float:
        """Seconds from the key to the last byte of what followed."""
        start = last = time.perf_counter()
        os.write(self.fd, key)
        got = False
        while time.perf_counter() - start < 3.0:
            if self.read(QUIET_S if got else 3.0):
                last, got = time.perf_counter(), True
            elif got:
                break
        return last - start

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def measure(kind: str, count: int, seconds: float, keys: int) -> dict[str, float]:
    terminal = Terminal(kind, count, 0.1)
    try:
        started = terminal.until(READY, 60.0)
        first = 0.0
        if kind != "none":
            first = terminal.until(b"gpu0" if kind != "heat" else b"li-r0", 60.0) - started
        first_cpu = terminal.cpu()
        terminal.settle(0.3)
        began, spent, sent = time.perf_counter(), terminal.cpu(), terminal.sent
        while time.perf_counter() - began < seconds:
            terminal.read(0.2)
        busy = (terminal.cpu() - spent) / (time.perf_counter() - began)
        rate = (terminal.sent - sent) / (time.perf_counter() - began)
        chance = random.Random(1)

        def times(key: bytes) -> tuple[list[float], float]:
            """Wall seconds of each key, sorted, and CPU seconds of one, the rounds that went by taken off."""
            found, spent, began = [], terminal.cpu(), time.perf_counter()
            for _n in range(keys):
                pause = time.perf_counter() + chance.uniform(0.03, 0.12)
                while time.perf_counter() < pause:
                    terminal.read(0.01)
                found.append(terminal.press(key))
            own = terminal.cpu() - spent - busy * (time.perf_counter() - began)
            return sorted(found), max(0.0, own) / keys

        if not keys:
            return {"cpu": busy}
        (downs, key_cpu), (pages, page_cpu) = times(b"\x1b[B"), times(b"\x1b[6~")
    finally:
        terminal.end()
    return {
        "first": first, "first_cpu": first_cpu, "key50": statistics.median(downs), "key95": downs[int(len(downs) * 0.95)],
        "page50": statistics.median(pages), "page95": pages[int(len(pages) * 0.95)], "cpu": busy, "rate": rate,
        "key_cpu": key_cpu, "page_cpu": page_cpu,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=12_500)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--keys", type=int, default=40)
    parser.add_argument("--child", default="")
    parser.add_argument("--share", type=float, default=0.1)
    given = parser.parse_args()
    if given.child:
        child(given.child, given.rows, given.share)
        return
    kinds = [("fleet", "FleetTable"), ("data", "DataTable")]
    try:
        import textual_fastdatatable  # noqa: F401

        kinds.append(("fast", "fastdatatable"))
    except ImportError:
        print("textual-fastdatatable is not installed: left out", file=sys.stderr)
    kinds.append(("heat", "heat map"))
    print(
        f"{given.rows:,} rows ({given.rows * 8:,} cards), 200x50, a tenth changes each second; wall times hang on the machine's load"
    )
    heads = ("first", "key p50", "p95", "cpu", "page p50", "p95", "cpu", "updates", "bytes/s")
    print(f"{'':14}" + "".join(f"{head:>10}" for head in heads))
    idle = measure("none", given.rows, given.seconds, 0)["cpu"]
    for kind, title in kinds:
        m = measure(kind, given.rows, given.seconds, given.keys)
        times = (m["key50"], m["key95"], m["key_cpu"], m["page50"], m["page95"], m["page_cpu"])
        cells = [
            f"{m['first']:.2f} s",
            *(f"{t * 1e3:.1f} ms" for t in times),
            f"{max(0.0, m['cpu'] - idle) * 100:.1f} %",
        ]
        print(f"{title:14}" + "".join(f"{cell:>10}" for cell in [*cells, f"{m['rate']:.0f}"]), flush=True)
    print(f"making up the changed rows costs {idle * 100:.1f} % by itself and is taken off the updates")


if __name__ == "__main__":
    main()
