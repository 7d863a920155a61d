"""The whole way: real SSH servers, one engine, one store, and what the commands then say."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from fleetctl.model.states import Reach
from fleetctl.store.database import Database
from fleetctl.store.hosts import list_host_states
from tests.fakes.live_fleet import Fleet, engine, environment, fleetctl

ROUNDS = 300  # of a second: a busy machine needs more of them than it should


def test_headless_demo_polls_and_prints() -> None:
    command = [sys.executable, "-m", "fleetctl", "demo", "--headless", "--hosts", "6", "--rounds", "2", "-o", "json"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["nodes"] == 6
    assert sum(told["reach"].values()) == 6


def test_every_fault_is_told_apart(fleet: Fleet) -> None:
    faults = (
        ("auth", "lg-h100-01"),
        ("down", "lg-h100-02"),
        ("hang", "lg-h100-03"),
        ("lost", "lg-h100-04"),
        ("disk", "lg-h100-05"),
        ("skew", "lg-h100-06"),
        ("garbage", "lg-h100-07"),
        ("ecc", "lg-h100-08"),
    )
    expected = {
        "lg-h100-01": "refused",
        "lg-h100-02": "unreachable",
        "lg-h100-03": "probe_hung",
        "lg-h100-04": "cards_missing",
        "lg-h100-05": "disk_full",
        "lg-h100-06": "clock_skew",
        "lg-h100-07": "unreachable",
        "lg-h100-08": "ecc_uncorrected",
    }
    config = fleet(20, faults)
    silent = dict.fromkeys(("lg-h100-01", "lg-h100-02", "lg-h100-07"), Reach.UNREACHABLE)
    with engine(config) as running:
        for _ in range(ROUNDS):
            running.wait_for("collector: round")
            rules, reach = open_rules(config.with_name("fleet.db")), reaches(config.with_name("fleet.db"))
            found = {host: rule for host, rule in expected.items() if rule in rules.get(host, ())}
            answers = reach.get("lg-h100-03") in (Reach.HUNG, Reach.FRESH)
            if found == expected and silent.items() <= reach.items() and answers:
                break
        nodes = {row["name"]: row for row in json.loads(fleetctl(config, "nodes", "-o", "json").stdout)}
    assert found == expected
    assert "cards_missing" not in rules["lg-h100-03"], "a hung tool is not a lost card"
    assert silent.items() <= reach.items()
    assert answers, "a host with a hung tool is not a silent one"
    assert nodes["lg-h100-04"]["cards_found"] == 7


def reaches(database: Path) -> dict[str, Reach]:
    """As stored: what `nodes` prints of a fleet with rounds of a second is "unknown" when a busy machine is late."""
    with Database.open(database, write=False) as db, db.read() as conn:
        return {state.name: state.reach for state in list_host_states(conn)}


def open_rules(database: Path) -> dict[str, set[str]]:
    """Rules with an open or resolved finding, by host."""
    rules: dict[str, set[str]] = {}
    with Database.open(database, write=False) as db, db.read() as conn:
        for host, rule in conn.execute("SELECT h.name, f.rule FROM findings f JOIN hosts h ON h.id = f.host"):
            rules.setdefault(host, set()).add(rule)
    return rules


def test_one_shot_poll_and_poll_beside_an_engine(fleet: Fleet) -> None:
    config = fleet(6)
    first = fleetctl(config, "poll", "-o", "json")
    told = json.loads(first.stdout)[0]
    assert told["hosts_ok"] + told["hosts_failed"] == 6, first.stderr
    with engine(config) as running:
        running.wait_for("collector: round")
        second = fleetctl(config, "poll")
        assert second.returncode == 0
        assert "polls already" in second.stderr


def test_sigkill_at_any_moment_loses_nothing(fleet: Fleet) -> None:
    """Kill at arbitrary moments: what was committed stays, the file is sound, wishes and audit survive, it goes on."""
    config = fleet(6)
    database = config.with_name("fleet.db")
    rng = random.Random(11)
    for attempt in range(4):
        with engine(config) as running:
            running.wait_for("collector: round", times=rng.randint(1, 2))
            if attempt == 1:
                cordon = fleetctl(config, "cordon", "lg-h100-01", "--reason", "hw: under test", "--yes")
                assert cordon.returncode == 0, cordon.stderr
            before = newest(database)
            running.child.send_signal(signal.SIGKILL)
            running.child.wait()
        assert newest(database) >= before
    with engine(config) as running:
        for _ in range(ROUNDS):  # on a busy machine the first ones close before anybody has answered
            running.wait_for("collector: round")
            if newest(database) > before:
                break
        assert newest(database) > before
        nodes = {row["name"]: row for row in json.loads(fleetctl(config, "nodes", "-o", "json").stdout)}
        assert nodes["lg-h100-01"]["admin"] == "cordoned"
    assert fleetctl(config, "audit", "verify").returncode == 0
    assert fleetctl(config, "db", "check").returncode == 0


def newest(database: Path) -> int:
    with Database.open(database, write=False) as db, db.read() as conn:
        return max((state.slot for state in list_host_states(conn)), default=0)


def test_second_engine_says_who_holds_the_fleet(fleet: Fleet) -> None:
    config = fleet(3)
    with engine(config) as running:
        running.wait_for("collector: round")
        second = fleetctl(config, "engine", "run", "--rounds", "1")
        assert second.returncode == 5
        assert f"pid {running.child.pid}" in second.stderr


def test_engine_starts_in_the_background_and_stops_in_order(fleet: Fleet) -> None:
    config = fleet(3)
    assert fleetctl(config, "engine", "start").returncode == 0
    assert fleetctl(config, "engine", "status", "-o", "json").returncode == 0
    assert fleetctl(config, "engine", "stop").returncode == 0
    assert fleetctl(config, "engine", "status").returncode == 6
    assert environment(config)["FLEETCTL_CONFIG"] == str(config)


def engine_process(config: Path, **more: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fleetctl", "engine", "run"]
    return subprocess.Popen(command, env=environment(config), stderr=subprocess.PIPE, text=True, **more)


def lines_until(child: subprocess.Popen[str], words: str) -> list[str]:
    assert child.stderr is not None
    lines = []
    for line in child.stderr:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError("the engine ended: " + "".join(lines[-5:]))


def test_a_service_takes_new_settings_at_sighup_and_no_bad_ones(fleet: Fleet) -> None:
    config = fleet(3)
    good = config.read_text()
    child = engine_process(config, start_new_session=True)  # as under systemd: no terminal
    try:
        lines_until(child, "of 3 hosts")
        config.write_text(good + "\n[polll]\n")
        child.send_signal(signal.SIGHUP)
        said = lines_until(child, "not taken")
        assert "polll" in said[-1]
        lines_until(child, "of 3 hosts")  # it goes on
        config.write_text(good + '\n[[hosts]]\nnodes = "late01"\nsite = "lingang"\naddress = "127.0.0.1"\nport = 9\n')
        child.send_signal(signal.SIGHUP)
        lines_until(child, "read anew")
        lines_until(child, "of 4 hosts")
        with Database.open(config.with_name("fleet.db"), write=False) as db, db.read() as conn:
            assert conn.execute("SELECT pid FROM engine").fetchall() == [(child.pid,)]  # the same process
    finally:
        child.terminate()
        child.communicate(timeout=600)
    assert child.returncode == 0


def test_an_engine_ends_in_order_when_its_terminal_closes(fleet: Fleet) -> None:
    config = fleet(3)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-m", "fleetctl", "engine", "run"], environment(config))
    said = b""
    while b"collector: round" not in said:
        said += os.read(terminal, 65_536)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, said
    with Database.open(config.with_name("fleet.db"), write=False) as db, db.read() as conn:
        assert conn.execute("SELECT stopped_at IS NOT NULL FROM engine").fetchone() == (1,)


def test_an_engine_under_nohup_stays(fleet: Fleet) -> None:
    config = fleet(3)
    child = engine_process(config, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    try:
        lines_until(child, "collector: round")
        child.send_signal(signal.SIGHUP)
        lines_until(child, "collector: round")
        lines_until(child, "collector: round")
    finally:
        child.terminate()
        child.communicate(timeout=600)
    assert child.returncode == 0
