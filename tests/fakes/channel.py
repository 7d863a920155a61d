"""Runs the three forms of the host loop as a channel would, and reads what they say."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable
from types import TracebackType

from fleetctl.model.probe import Output, Probe
from fleetctl.model.reading import ProbeResult
from fleetctl.probes.frames import Frame, FrameDecoder
from fleetctl.probes.plan import LoopForm, Plan, launch_command
from fleetctl.probes.sections import Section, Texts


def nothing(output: Output) -> ProbeResult:
    return ProbeResult()


def probe(name: str, command: str, **more: object) -> tuple[Probe, bool]:
    return Probe(name=name, command=command, parse=nothing, **more), False  # type: ignore[arg-type]


class Channel:
    """One running loop: its stdin, and its frames as they come."""

    def __init__(self, plan: Plan, form: LoopForm, interval_s: float = 0.2, shell: str = "/bin/sh") -> None:
        self.plan = plan
        self.decoder = FrameDecoder()
        self.texts = Texts()
        self.frames: list[Frame] = []
        self.sections: list[tuple[str, Section]] = []
        command = launch_command(form).replace("/bin/sh", shell)
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        if form is not LoopForm.EXEC:
            self.write(plan.python_program(interval_s) if form is LoopForm.PYTHON else plan.sh_program(interval_s))

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def close(self) -> None:
        assert self.process.stdin is not None
        if not self.process.stdin.closed:
            self.process.stdin.close()

    def until(self, done: Callable[[], bool], limit_s: float = 300.0) -> None:
        """Read frames until `done`; the limit only keeps a broken loop from stopping the suite."""
        assert self.process.stdout is not None
        end = time.monotonic() + limit_s
        while not done():
            left = end - time.monotonic()
            assert left > 0, f"no such frame; got {self.frames[-3:]}"
            if select.select([self.process.stdout], [], [], left)[0]:
                data = os.read(self.process.stdout.fileno(), 65536)
                for frame in self.decoder.feed(data):
                    self.frames.append(frame)
                    if frame.kind in "RL":
                        body = self.texts.read(frame.body)
                        assert body.unreadable == 0
                        self.sections += [(self.plan.by_id[s.probe].probe.name, s) for s in body.sections]
                if not data:
                    assert done(), "the loop ended"

    def of(self, name: str) -> list[Section]:
        return [section for probe_name, section in self.sections if probe_name == name]

    def rounds(self) -> int:
        return sum(frame.kind == "R" for frame in self.frames)
