"""Simulated hosts agree with themselves: the same seed and moment give the same host, and their tools' text is read back."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetctl.cli.app import run
from fleetctl.model.probe import Output
from fleetctl.plugin import load_plugin
from fleetctl.probes.fetch import serves
from fleetctl_demo.fleets import A100, B910B3, CITY, FLEETS, H100, L4, MI300X, RTX4090, SMALL, CardType, names, resized
from fleetctl_demo.folder import machines
from fleetctl_demo.machine import FAULTS, Machine
from fleetctl_demo.shell import Shell
from fleetctl_demo.tools import npu_smi, nvidia_smi, rocm_smi

NOW = 1_800_000_000.0


def machine(card: object = H100, *faults: str) -> Machine:
    return Machine("lg-01", 1, card, 8, "r1", frozenset(faults))  # type: ignore[arg-type]


@given(st.floats(1.7e9, 1.9e9), st.integers(0, 1000))
def test_every_moment_is_believable_and_repeatable(now: float, seed: int) -> None:
    host = Machine("lg-01", seed, H100, 8, "r1")
    cards = host.cards_at(now)
    assert cards == Machine("lg-01", seed, H100, 8, "r1").cards_at(now)
    for card in cards:
        assert 0 <= card.util_pct <= 100
        assert H100.idle_w * 0.9 <= card.power_w <= H100.cap_w
        assert 20 <= card.temp_c <= 105
        assert 0 < card.mem_used_mib <= H100.mem_mib


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_lasting_fault_is_on(fault: str) -> None:
    assert fault in machine(H100, fault).fault(NOW)


def test_neighbours_share_their_job() -> None:
    hosts = machines(CITY, 1, {})
    assert hosts[0].load(NOW) == hosts[1].load(NOW)
    assert len({round(host.load(NOW), 3) for host in hosts}) > 3


@pytest.mark.parametrize("fleet", sorted(FLEETS))
@given(hosts=st.integers(1, 300))
def test_a_fleet_can_have_any_size(fleet: str, hosts: int) -> None:
    smaller = resized(FLEETS[fleet], hosts)
    assert smaller.size == hosts
    every = [name for part in smaller.parts for name in names(part)]
    assert len(set(every)) == hosts


def test_the_four_small_centres_have_their_capacity() -> None:
    dense_fp16 = {RTX4090: 165, A100: 312, B910B3: 313, L4: 121}  # TFLOPS, chip catalogue
    found: dict[str, float] = {}
    for part in SMALL.parts:
        assert part.card is not None
        found[part.site] = found.get(part.site, 0) + part.count * part.cards * dense_fp16[part.card] / 1000
    assert {site: round(value, 1) for site, value in found.items()} == {
        "c26": 2.6,
        "c132": 13.2,
        "c175": 17.5,
        "c353": 35.3,
    }
    assert round(sum(found.values()), 1) == 68.6


def test_nvidia_smi_prints_what_was_asked() -> None:
    cards = machine().cards_at(NOW)
    status, text, _ = nvidia_smi.run(
        "--query-gpu=index,name,power.draw,memory.used --format=csv,noheader,nounits", cards
    )
    rows = list(csv.reader(io.StringIO(text), skipinitialspace=True))
    assert status == 0
    assert [row[0] for row in rows] == [str(i) for i in range(8)]
    assert float(rows[0][2]) == cards[0].power_w
    assert "MiB" in nvidia_smi.run("--query-gpu=memory.used --format=csv", cards)[1]


def test_nvidia_smi_refuses_an_unknown_field_as_the_real_one() -> None:
    status, text, _ = nvidia_smi.run("--query-gpu=index,nope --format=csv", machine().cards_at(NOW))
    assert status != 0
    assert text.startswith('Field "nope" is not a valid field to query')


def test_a_lost_card_leaves_a_hole_and_a_line() -> None:
    text = nvidia_smi.run("--query-gpu=index --format=csv,noheader", machine(H100, "lost").cards_at(NOW))[1]
    assert text.startswith("Unable to determine the device handle")
    assert len(text.splitlines()) == 8
    assert len(npu_smi.run("info", machine(B910B3, "lost").cards_at(NOW))[1].splitlines()) < len(
        npu_smi.run("info", machine(B910B3).cards_at(NOW))[1].splitlines()
    )


def test_rocm_smi_is_json() -> None:
    told = json.loads(rocm_smi.run("-a --json", machine(MI300X).cards_at(NOW))[1])
    assert len([key for key in told if key.startswith("card")]) == 8


def test_shell_knows_its_own_tool_only(monkeypatch: pytest.MonkeyPatch) -> None:
    host = machine(B910B3)
    moment = next(NOW + n * 900 for n in range(100) if not host.fault(NOW + n * 900))
    monkeypatch.setattr(Shell, "now", lambda _self: moment)
    shell = Shell(host)
    assert shell.has_tool("command -v npu-smi")
    assert not shell.has_tool("command -v nvidia-smi")
    assert not shell.has_tool(serves("http://localhost:1/metrics", "npu_chip_info", unless="npu-smi"))
    assert shell.run("nvidia-smi -L").status == 127
    assert shell.run("/usr/local/bin/npu-smi info 2>&1 | head").stdout.startswith("+---")
    assert shell.run("hostname").stdout == "lg-01\n"
    assert Shell(machine(H100, "hang")).run("nvidia-smi -L").hangs


@pytest.mark.parametrize(
    ("card", "vendor"), [(H100, "nvidia"), (A100, "nvidia"), (RTX4090, "nvidia"), (B910B3, "ascend")]
)
def test_the_real_probes_read_the_simulated_tools_completely(
    card: CardType, vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = machine(card)
    moment = next(NOW + n * 900 for n in range(100) if not host.fault(NOW + n * 900))
    monkeypatch.setattr(Shell, "now", lambda _self: moment)
    shell = Shell(host)
    cards = host.cards_at(moment)
    for probe in load_plugin(vendor).probes:
        if not probe.command or (probe.detect and not shell.has_tool(probe.detect)):
            continue
        ran = shell.run(probe.command)
        result = probe.parse(Output(ran.stdout, ran.stderr, ran.status))
        assert result.findings == (), probe.name
        if any(reading.device.kind == "card" for reading in result.readings):
            assert len(result.readings) == len(cards), probe.name


def test_an_unknown_fleet_or_fault_is_refused_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--headless", "--fleet", "nope"]) == 3
    assert "known: city" in capsys.readouterr().err
    assert run(["demo", "--headless", "--fault", "nope"]) == 2


def test_a_drain_that_ends_work_can_be_tried_on_a_simulated_host() -> None:
    from fleetctl.scheduler.process_ends import pass_script, read_answer
    from fleetctl.store.process_ends import EndState, ProcessEnd

    shell = Shell(Machine("gpu001", 7, H100, 8, "r1", calm=True))
    busy = next(t for t in range(0, 10**6, 600) if shell.machine.load(t) > 0.5)
    shell.now = lambda: float(busy)  # type: ignore[method-assign]
    pid = shell.machine.cards_at(busy)[0].processes[0][0]
    (seen,) = read_answer(shell.script(pass_script([pid], [], grace_s=1)).stdout).seen
    end = ProcessEnd("p-1", "gpu001", "", "b", pid, seen.started, "", "", EndState.FOUND, 0, 0)
    words = [read_answer(shell.script(pass_script([], [end], grace_s=1)).stdout).said[pid, pid][0] for _ in range(2)]
    assert words == ["TERM", "gone"]
    assert shell.machine.cards_at(busy)[0].processes == ()


def test_a_simulated_host_has_no_tool_to_burn_with() -> None:
    from fleetctl.scheduler.burns import HOST_BURN, burn_script
    from fleetctl_nvidia.burns import BURNS

    shell = Shell(Machine("gpu001", 7, H100, 8, "r1", calm=True))
    assert [shell.script(burn_script(burn)).status for burn in (*BURNS, HOST_BURN)] == [127, 127, 127]
