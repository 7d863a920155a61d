"""The loops as a host runs them: limits, hung tools, floods, exit codes, and that they end with their channel."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
from importlib.resources import files

import pytest

from fleetctl.model.probe import Outcome, Output
from fleetctl.probes.plan import FIND_PYTHON, NO_PYTHON, LoopForm, build_plan
from fleetctl.probes.system import system_probes
from tests.fakes.channel import Channel, probe

SHELLS = [shell for shell in ("dash", "bash", "busybox sh") if shutil.which(shell.split()[0])]
READER = "import os\nn = 0\ndef read():\n    global n\n    n += 1\n    return 'call %d pid %d\\n' % (n, os.getpid())\n"


def plan_of(*probes, max_bytes=65536):
    return build_plan(probes, [], max_bytes)


def forms():
    yield pytest.param(LoopForm.PYTHON, "/bin/sh", id="python")
    for shell in SHELLS:
        yield pytest.param(LoopForm.SH, shell, id=shell.replace(" ", "-"))


def ask_all(channel, form, seq=1):
    if form is LoopForm.SH:
        channel.write(f"r {seq} {' '.join(channel.plan.by_id)}\n".encode())


@pytest.mark.parametrize("name", ["host_loop.py", "host_system.py", "host_slow.py", "host_kernel.py"])
def test_what_is_sent_to_hosts_is_python_3_6(name):
    ast.parse((files("fleetctl.probes") / name).read_text(), feature_version=(3, 6))


@pytest.mark.parametrize(("form", "shell"), forms())
def test_every_way_to_end_is_told_apart(form, shell):
    plan = plan_of(
        probe("good", "echo one; echo two"),
        probe("bad", "echo out; echo why >&2; exit 3"),
        probe("missing", "no-such-tool-here -q"),
        probe("silent", ":"),
        probe("stubborn", "trap '' TERM; echo first; while :; do sleep 100; done", timeout_s=1),
        probe("flood", "yes"),
        probe("sneaky", r"printf 'a\034\035\036Fb\037\n'"),
        probe("absent", "echo never", detect="command -v no-such-tool-here"),
        probe("found", "echo here", detect="command -v sh"),
        probe("syntax", "if then ((("),
    )
    with Channel(plan, form, shell=shell) as channel:
        ask_all(channel, form)
        channel.until(lambda: channel.of("syntax") and channel.of("stubborn") and channel.of("found"))
        got = {
            name: channel.of(name)[0] for name in ("good", "bad", "missing", "silent", "stubborn", "flood", "sneaky")
        }
        assert (got["good"].outcome, got["good"].status, got["good"].stdout) == (Outcome.DONE, 0, b"one\ntwo\n")
        assert (got["bad"].status, got["bad"].stdout, got["bad"].stderr) == (3, b"out\n", b"why\n")
        assert got["missing"].outcome is Outcome.MISSING
        assert (got["silent"].outcome, got["silent"].stdout) == (Outcome.DONE, b"")
        assert got["stubborn"].outcome is Outcome.TIMEOUT
        assert got["flood"].outcome is Outcome.CUT
        assert len(got["flood"].stdout) <= 65536
        assert got["sneaky"].stdout == b"aFb\n"
        assert [s.outcome for s in channel.of("absent")] in ([], [None])
        assert channel.of("found")[0].stdout == b"here\n"
        assert channel.of("syntax")[0].status != 0
        assert channel.decoder.damaged == channel.decoder.noise_bytes == 0


@pytest.mark.parametrize(("form", "shell"), forms())
def test_the_host_itself_is_read_alike_in_every_form(form, shell):
    plan = plan_of(*system_probes(300.0))
    with Channel(plan, form, shell=shell) as channel:
        ask_all(channel, form)
        channel.until(lambda: channel.of("system") and channel.of("system.slow"))
        for item in plan.items:
            section = channel.of(item.probe.name)[0]
            result = item.probe.parse(Output(section.stdout.decode(), exit_status=section.status))
            assert not result.findings
            values = result.readings[0].values
            if item.probe.name == "system":
                assert values["mem_total_bytes"] > values["mem_used_bytes"] > 0
                assert values["uptime_s"] > 0
                assert values["load1"] >= 0
            else:
                assert result.facts["kernel"] == os.uname().release
                assert 0 <= values["disk_used_pct"] <= 100
                assert values["procs_d"] >= 0


def test_a_text_that_did_not_change_does_not_travel_again():
    plan = plan_of(probe("same", "echo one; echo two"), probe("grows", "echo head; cat /proc/uptime"))
    with Channel(plan, LoopForm.PYTHON) as channel:
        channel.until(lambda: len(channel.of("same")) > 2)
        channel.write(b"f\n")
        channel.until(lambda: len([s for s in channel.of("same") if not s.same]) > 1)
        assert channel.of("same")[1].same
        assert channel.of("same")[1].stdout == b"one\ntwo\n"
        assert channel.of("grows")[1].kept == 5
        assert channel.of("grows")[1].stdout.startswith(b"head\n")


def test_the_sh_form_marks_what_is_the_same_and_forgets_on_request():
    plan = plan_of(probe("same", "echo one"))
    with Channel(plan, LoopForm.SH) as channel:
        channel.write(b"r 1 0\nr 2 0\nf\nr 3 0\n")
        channel.until(lambda: channel.rounds() == 3)
        assert [s.same for s in channel.of("same")] == [False, True, False]
        assert {s.stdout for s in channel.of("same")} == {b"one\n"}


def test_a_slow_tool_does_not_hold_up_the_round(tmp_path):
    go = tmp_path / "go"
    os.mkfifo(go)
    slow = probe("slow", f"read word < {go}; echo late", timeout_s=600, background=True)
    with Channel(plan_of(*system_probes(300.0)[:1], slow), LoopForm.PYTHON, interval_s=0.1) as channel:
        channel.until(lambda: len(channel.of("system")) >= 3)
        assert not channel.of("slow")
        go.write_text("on\n")
        channel.until(lambda: bool(channel.of("slow")))
        assert channel.of("slow")[0].stdout == b"late\n"


def test_a_python_reader_lives_on_in_one_child():
    plan = plan_of(probe("reader", "echo command", python=READER))
    with Channel(plan, LoopForm.PYTHON, interval_s=0.1) as channel:
        channel.until(lambda: len(channel.of("reader")) > 2)
        texts = [s.stdout.split() for s in channel.of("reader")[:3]]
        assert [text[1] for text in texts] == [b"1", b"2", b"3"]
        assert len({text[3] for text in texts}) == 1
        assert int(texts[0][3]) != channel.process.pid


def test_a_reader_that_fails_gives_way_to_the_command():
    plan = plan_of(probe("reader", "echo command", python="import no_such_library"), probe("alone", "", python="1 / 0"))
    with Channel(plan, LoopForm.PYTHON) as channel:
        channel.until(lambda: bool(channel.of("reader") and channel.of("alone")))
        assert channel.of("reader")[0].stdout == b"command\n"
        assert channel.of("alone")[0].status == 1
        assert b"ZeroDivisionError" in channel.of("alone")[0].stderr


def test_a_reader_that_hangs_is_stopped_and_the_round_goes_on():
    hang = "import time\ndef read():\n    time.sleep(1000)\n"
    plan = plan_of(*system_probes(300.0)[:1], probe("reader", "", python=hang, timeout_s=0.5))
    with Channel(plan, LoopForm.PYTHON) as channel:
        channel.until(lambda: bool(channel.of("reader")))
        assert channel.of("reader")[0].outcome is Outcome.TIMEOUT
        seen = len(channel.of("system"))
        channel.until(lambda: len(channel.of("system")) > seen)


def test_a_reader_that_dies_is_told_and_started_again():
    dies = "import os\ndef read():\n    os._exit(1)\n"
    plan = plan_of(probe("reader", "", python=dies))
    with Channel(plan, LoopForm.PYTHON) as channel:
        channel.until(lambda: len(channel.of("reader")) >= 1)
        assert channel.of("reader")[0].status == 1
        assert b"died" in channel.of("reader")[0].stderr


def test_a_reading_replaces_a_tool_only_while_it_answers():
    plan = plan_of(probe("quick", "cat /proc/uptime", replaces=("tool",)), probe("tool", "cat /proc/uptime"))
    with Channel(plan, LoopForm.PYTHON) as channel:
        channel.until(lambda: len(channel.of("quick")) >= 4)
        assert len(channel.of("tool")) <= 1


def test_a_process_that_no_signal_ends_is_not_started_twice(tmp_path):
    """State D cannot be made at will: a kill that has no effect is the same to the loop."""
    from fleetctl.probes import host_loop

    plan = {"interval": 1, "max_bytes": 4096, "heartbeat": 60, "probes": [{"id": "0", "command": "x"}]}
    loop = host_loop.Loop(plan)
    ask = loop.asks[0]
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    try:
        ask.hung_pid = child
        assert loop.is_hung(ask, 0.0)
        assert loop.sections[0].startswith(b"\x1d0 h -1 ")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert not loop.is_hung(ask, 0.0)


def test_the_sh_form_does_not_start_what_still_lives():
    plan = plan_of(probe("tool", "echo ran"))
    with Channel(plan, LoopForm.SH) as channel:
        channel.write(f"r 1 0:{os.getpid()}\nr 2 0:999999999\n".encode())
        channel.until(lambda: channel.rounds() == 2)
        assert [s.outcome for s in channel.of("tool")] == [Outcome.HUNG, Outcome.DONE]


@pytest.mark.parametrize(("form", "shell"), forms())
def test_the_loop_ends_with_its_channel_and_leaves_nothing_behind(form, shell):
    plan = plan_of(
        probe("sleeper", "echo $$; exec sleep 1000", timeout_s=1000, background=True), probe("now", "echo x")
    )
    with Channel(plan, form, shell=shell) as channel:
        if form is LoopForm.SH:
            channel.write(b"r 1 1\n")
        channel.until(lambda: bool(channel.of("now")))
        channel.close()
        assert channel.process.wait(timeout=300) == 0


def test_without_a_word_from_the_console_the_loop_ends(monkeypatch):
    monkeypatch.setattr("fleetctl.probes.plan.heartbeat_limit_s", lambda interval_s: 0.5)
    with Channel(plan_of(probe("now", "echo x")), LoopForm.PYTHON, interval_s=10) as channel:
        channel.until(lambda: any(frame.kind == "X" for frame in channel.frames))
        assert channel.frames[-1].body == b"no word from the console"
        assert channel.process.wait(timeout=300) == 0


def test_one_round_as_a_script():
    plan = plan_of(probe("a", "echo a"), probe("b", "echo b"), probe("c", "echo c", detect="false"))
    with Channel(plan, LoopForm.EXEC) as channel:
        channel.write(plan.sh_script({"0", "2"}, "R", 7, ["0", "2"]))
        channel.close()
        channel.until(lambda: channel.rounds() == 1)
        assert channel.frames[0].seq == 7
        assert [(name, s.outcome) for name, s in channel.sections] == [("a", Outcome.DONE), ("c", None)]


def test_a_host_without_python_says_so(tmp_path, monkeypatch):
    script = FIND_PYTHON.replace("/usr/bin/python3", "/nowhere/python3").replace("/usr/libexec/platform-", "/nowhere/")
    done = subprocess.run(["/bin/sh", "-c", script], env={"PATH": str(tmp_path)}, capture_output=True, check=False)
    assert NO_PYTHON in done.stdout
