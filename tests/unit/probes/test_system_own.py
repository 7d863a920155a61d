"""The console's own machine: the same row by psutil where there is no /proc."""

from __future__ import annotations

import json
import sys

import pytest

from fleetctl.model.probe import Output
from fleetctl.probes import host_system
from fleetctl.probes.plan import LoopForm, launch_command
from fleetctl.probes.system import COLUMNS, parse_system


def test_psutil_prints_the_row_of_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    by_proc = json.loads(host_system.read().splitlines()[1])[0]
    monkeypatch.setattr(host_system, "PROC", "/nowhere")
    text = host_system.read()
    row = dict(zip(COLUMNS, json.loads(text.splitlines()[1])[0], strict=True))
    known = dict(zip(COLUMNS, by_proc, strict=True))
    assert row["cores"] == known["cores"]
    assert row["mem_total_bytes"] == known["mem_total_bytes"]
    assert abs(row["uptime_s"] - known["uptime_s"]) < 60
    assert parse_system(Output(text)).readings[0].values["cores"] == known["cores"]


def test_the_own_machine_runs_the_loop_in_the_own_interpreter() -> None:
    assert sys.executable in launch_command(LoopForm.PYTHON, own_python=sys.executable)
    assert "-S -E" in launch_command(LoopForm.PYTHON)
