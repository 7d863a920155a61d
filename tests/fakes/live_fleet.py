"""A small demo fleet behind real SSH servers, and an engine on it as a child process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

Fleet = Callable[..., Path]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Starts the servers of a demo fleet; returns the path of its fleet.toml. They end with the test."""
    children: list[subprocess.Popen[bytes]] = []

    def start(hosts: int = 6, faults: tuple[tuple[str, str], ...] = (), interval_s: float = 1.0) -> Path:
        command = [sys.executable, "-m", "fleetctl_demo.serve", str(tmp_path)]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        children.append(child)
        spec = {"fleet": "city", "hosts": hosts, "seed": 3, "faults": faults, "interval_s": interval_s, "calm": True}
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(spec).encode() + b"\n")
        child.stdin.flush()
        said = child.stdout.readline().decode()
        assert said.startswith("ready "), said
        return Path(said.removeprefix("ready ").strip())

    yield start
    for child in children:
        child.communicate()


def environment(config: Path) -> dict[str, str]:
    return {**os.environ, "FLEETCTL_CONFIG": str(config), "FLEETCTL_LANG": "en"}


def fleetctl(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """One command as a user types it."""
    command = [sys.executable, "-m", "fleetctl", *words]
    return subprocess.run(command, env=environment(config), capture_output=True, text=True, timeout=600, check=False)


class RunningEngine:
    """An engine in a child process; its log lines tell when something has happened."""

    def __init__(self, config: Path) -> None:
        command = [sys.executable, "-m", "fleetctl", "engine", "run"]
        self.child = subprocess.Popen(command, env=environment(config), stderr=subprocess.PIPE, text=True)

    def wait_for(self, words: str, times: int = 1) -> str:
        """The line that says it for the n-th time. Fails when the engine ends first."""
        assert self.child.stderr is not None
        lines = []
        for line in self.child.stderr:
            lines.append(line)
            if words in line:
                times -= 1
                if times == 0:
                    return line
        raise AssertionError("the engine ended: " + "".join(lines[-5:]))


@contextmanager
def engine(config: Path) -> Iterator[RunningEngine]:
    running = RunningEngine(config)
    try:
        yield running
    finally:
        if running.child.poll() is None:
            running.child.terminate()
        running.child.communicate(timeout=600)
