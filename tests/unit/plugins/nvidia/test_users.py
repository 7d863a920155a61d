"""Whose the processes of nvidia-smi's XML are: the probe's own command against a stub tool, and its parse."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from fleetctl.model.probe import Output
from fleetctl_nvidia.parsers import USERS, parse_detail
from fleetctl_nvidia.probes import DETAIL

_XML = """<?xml version="1.0" ?>
<nvidia_smi_log>
 <attached_gpus>1</attached_gpus>
 <gpu id="00000000:01:00.0"><product_name>NVIDIA H200</product_name><uuid>GPU-1</uuid><minor_number>0</minor_number>
  <processes>{}</processes>
 </gpu>
</nvidia_smi_log>
"""
_PROCESS = """<process_info>
   <pid>{}</pid>
   <type>C</type><process_name>python</process_name><used_memory>512 MiB</used_memory>
  </process_info>
"""


def _ask(tmp_path: Path, xml: str, status: int = 0) -> Output:
    (tmp_path / "answer").write_text(xml)
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ncat {tmp_path}/answer\nexit {status}\n")
    tool.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(["sh", "-c", DETAIL], capture_output=True, text=True, env={"PATH": path}, timeout=600)
    return Output(done.stdout, exit_status=done.returncode)


def test_a_running_process_has_its_user(tmp_path: Path) -> None:
    me = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    pids = f"{_PROCESS.format(os.getpid())}{_PROCESS.format(4194399)}"
    result = parse_detail(_ask(tmp_path, _XML.format(pids)))
    assert {p.pid: p.user for p in result.processes} == {os.getpid(): me, 4194399: None}
    assert not result.findings
    assert len(result.readings) == 1


def test_an_idle_card_asks_no_ps_and_the_status_is_the_tools(tmp_path: Path) -> None:
    output = _ask(tmp_path, _XML.format(""), status=9)
    assert USERS not in output.stdout
    assert output.exit_status == 9


def test_lines_that_name_no_user_are_passed_over() -> None:
    said = f"{_XML.format(_PROCESS.format(7))}\n{USERS}\nx y\n7\n7 a b\n-1 root\n"
    assert [p.user for p in parse_detail(Output(said)).processes] == [None]
