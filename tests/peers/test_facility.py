"""Real protocol servers of the facility testbed: Redfish over TLS, SNMP, Modbus TCP and lanplus, with their faults.

Needs the testbed next to the repository (FLEETCTL_TESTBED names it elsewhere) and snmpsim; IPMI also Debian's openipmi.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import dataclasses
import getpass
import hashlib
import json
import os
import select
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from fleetctl.cli.app import run
from fleetctl.collector.collector import Collector
from fleetctl.config.schema import Config, HostGroup, Poll, Site, Ssh
from fleetctl.errors import AuthError, FleetctlError, ParseError, TimedOutError, UnreachableError
from fleetctl.facility.endpoint import Credentials, parse_url
from fleetctl.facility.source import open_source
from fleetctl.inventory.inventory import build_inventory
from fleetctl.model.facility import EndpointReport, SourceTrouble
from fleetctl.model.probe import Output
from fleetctl.model.report import HostReport
from fleetctl.transport.build import build_transports
from fleetctl_ipmi import plugin as ipmi
from fleetctl_ipmi.inband import parse_power, parse_sensors
from fleetctl_ipmi.source import IpmiSource
from tests.fakes.loopback import own_net

_NAMED = os.environ.get("FLEETCTL_TESTBED")
_PLACES = [Path(_NAMED)] if _NAMED else [p / "shared/testbed/facility" for p in Path(__file__).resolve().parents]
BED = next((p for p in _PLACES if (p / "facility.py").is_file()), None)
pytestmark = pytest.mark.peers
LIMIT_S = 120.0  # only so that a broken testbed ends the test at all
FLEET = Credentials("fleet", "fleet-test")
ADMIN = Credentials("admin", "fleet-test")
Target = dict[str, Any]


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The testbed, up once for all tests of this file, on addresses of its own."""
    assert BED is not None
    folder = tmp_path_factory.mktemp("facility")
    command = [sys.executable, str(BED / "facility.py")]
    with own_net() as net:
        where = ["--run", str(folder), "--net", net]
        for again in (True, True, False):  # it waits 40 s for each of its servers; a busy machine may need more
            done = subprocess.run([*command, "up", *where], capture_output=True, text=True, timeout=600, check=False)
            if not done.returncode:
                break
            _down(command, where, folder)
            if not again:
                pytest.fail(f"the testbed did not come up: {done.stdout[-500:]} {done.stderr[-1500:]}")
        try:
            for one in json.loads((folder / "targets.json").read_text()):
                if one["kind"] == "ipmi":
                    _wait_for_bmc(one)
            yield folder
        finally:
            _down(command, where, folder)


def _down(command: list[str], where: list[str], folder: Path) -> None:
    """End the servers and wait until they are gone: their addresses are somebody else's next."""
    file = folder / "pids.json"
    ends = []
    for pid in json.loads(file.read_text()).values() if file.exists() else ():
        with contextlib.suppress(ProcessLookupError):
            ends.append(os.pidfd_open(pid))
    subprocess.run([*command, "down", *where], capture_output=True, timeout=LIMIT_S, check=False)
    for end in ends:
        assert select.select([end], [], [], LIMIT_S)[0], "a server of the testbed does not end"
        os.close(end)


def _wait_for_bmc(one: Target) -> None:
    """The testbed says nothing of its IPMI simulators being ready: ask until they answer."""
    until = time.monotonic() + LIMIT_S
    while _ipmitool(one, "mc", "info").exit_status != 0:
        if time.monotonic() > until:
            pytest.fail(f"{one['name']} does not answer")


@pytest.fixture(scope="module")
def targets(bed: Path) -> list[Target]:
    return list(json.loads((bed / "targets.json").read_text()))


@pytest.fixture
def target(targets: list[Target]) -> Callable[[str, str], Target]:
    def find(kind: str, name: str) -> Target:
        for one in targets:
            if one["kind"] == kind and name in one["name"]:
                return one
        pytest.fail(f"the testbed has no {kind} {name}; is a Debian package missing?")

    return find


@pytest.fixture
def faults(bed: Path) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """Switches faults of one endpoint on; they are off again after the test."""
    used: list[Path] = []

    def switch(name: str, what: dict[str, Any]) -> None:
        file = next(bed.glob(f"*{name}*.faults.json"))
        used.append(file)
        file.write_text(json.dumps(what))

    yield switch
    for file in used:
        file.write_text("{}")


async def read(url: str, timeout_s: float = LIMIT_S, **more: Any) -> EndpointReport:
    source = open_source(parse_url(url, timeout_s=timeout_s, **more))
    try:
        return await source.read()
    finally:
        await source.close()


def redfish(one: Target) -> dict[str, Any]:
    return {"url": one["url"], "credentials": FLEET, "insecure": True}


async def test_every_endpoint_answers(targets: list[Target]) -> None:
    silent = []
    for one in targets:
        if one["kind"] == "redfish":
            report = await read(**redfish(one))
        elif one["kind"] == "snmp":
            report = await read(f"snmp://{one['addr']}:{one['port']}")
        elif one["kind"] == "modbus":
            report = await read(f"modbus://{one['addr']}:{one['port']}/{one['unit']}?map={one['map']}")
        else:
            report = await read(
                f"ipmi://{one['addr']}:{one['port']}", credentials=Credentials(one["user"], one["password"])
            )
        if not report.readings and not report.states:
            silent.append(one["name"])
    # three recordings hold nothing that anybody could read: empty strings, or a vendor's private tree
    assert set(silent) <= {"emerson-ups-13400", "tripplite-ups"}


async def test_total_power_over_tls(targets: list[Target]) -> None:
    assert BED is not None
    index = BED.parents[1] / "recordings/redfish/INDEX.tsv"
    wanted = {r["name"]: r["total_power_w"] for r in csv.DictReader(index.read_text().splitlines(), delimiter="\t")}
    for one in targets:
        if one["kind"] == "redfish" and wanted.get(one["name"]):
            report = await read(**redfish(one))
            assert report.total_power_w == pytest.approx(float(wanted[one["name"]]), rel=0.03), one["name"]


async def test_a_certificate_is_trusted_by_pin_and_by_nothing_else(bed: Path, target: Callable[..., Target]) -> None:
    one = target("redfish", "dell")
    pem = (bed / "bmc.crt").read_text()
    pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    assert (await read(one["url"], credentials=FLEET, tls_pin=pin)).total_power_w == 614
    with pytest.raises(AuthError, match="not trusted"):
        await read(one["url"], credentials=FLEET)
    with pytest.raises(AuthError, match="another certificate"):
        await read(one["url"], credentials=FLEET, tls_pin="00" * 32)


@pytest.mark.parametrize(
    ("what", "error", "timeout_s"),
    [
        ({"hang_rate": 1}, TimedOutError, 1.0),
        ({"down": True}, UnreachableError, LIMIT_S),
        ({"error_rate": 1, "error_status": 503}, FleetctlError, LIMIT_S),
        ({"truncate_rate": 1}, FleetctlError, LIMIT_S),
        ({"error_rate": 1, "error_status": 500}, ParseError, LIMIT_S),
    ],
)
async def test_a_bmc_that_fails_is_one_error_and_comes_back(
    what: dict[str, Any],
    error: type[Exception],
    timeout_s: float,
    target: Callable[..., Target],
    faults: Callable[..., None],
) -> None:
    one = target("redfish", "dl325")
    faults("dl325", what)
    with pytest.raises(error):
        await read(**redfish(one), timeout_s=timeout_s)
    faults("dl325", {})
    assert (await read(**redfish(one))).total_power_w == 97


async def test_expand_that_is_advertised_and_not_given(
    target: Callable[..., Target], faults: Callable[..., None]
) -> None:
    one = target("redfish", "dmtf-public-rackmount1")
    faults("dmtf-public-rackmount1", {"no_expand": True})
    assert (await read(**redfish(one))).total_power_w == 374


async def test_a_change_is_seen_by_the_next_poll(bed: Path, target: Callable[..., Target]) -> None:
    one = target("redfish", "dl385")
    source = open_source(parse_url(**redfish(one), timeout_s=LIMIT_S))
    try:
        assert (await source.read()).total_power_w == 531
        overlay = bed / one["overlay"]
        path = "/redfish/v1/Chassis/1/Power"
        overlay.write_text(json.dumps({path: {"/PowerControl/0/PowerConsumedWatts": 701}}))
        assert (await source.poll()).total_power_w == 701
        overlay.write_text("{}")
    finally:
        await source.close()


async def test_snmp_v3_with_a_context_and_wrong_keys(target: Callable[..., Target]) -> None:
    one = target("snmp", "apc-ap8641")
    v3 = one["v3"]
    creds = Credentials(
        v3["user"], auth_protocol=v3["auth"], auth_key=v3["auth_key"], priv_protocol=v3["priv"],
        priv_key=v3["priv_key"], context=v3["context"],
    )  # fmt: skip
    url = f"snmp://{one['addr']}:{one['port']}"
    assert (await read(url, credentials=creds)).total_power_w == 1210
    with pytest.raises(FleetctlError):
        await read(
            url,
            credentials=Credentials("fleetv3", auth_key="wrong-auth-key", priv_key="wrong-key", context="public"),
            timeout_s=2.0,
        )


async def test_snmp_with_the_wrong_community_or_nobody_there(target: Callable[..., Target]) -> None:
    one = target("snmp", "apc-ap8641")
    for url in (f"snmp://private@{one['addr']}:{one['port']}", f"snmp://{one['addr']}:9"):
        with pytest.raises(UnreachableError):
            await read(url, timeout_s=1.0)


async def test_modbus_faults(target: Callable[..., Target], faults: Callable[..., None]) -> None:
    one = target("modbus", "hall-a-incomer")
    url = f"modbus://{one['addr']}:{one['port']}/{one['unit']}?map={one['map']}"
    faults("hall-a-incomer", {"busy_rate": 0.3})  # by the testbed's dice: all three tries of one question may be busy
    assert 812_500 in [(await read(url)).total_power_w for _ in range(3)]
    faults("hall-a-incomer", {"silent": True})
    with pytest.raises(TimedOutError):
        await read(url, timeout_s=1.0)
    faults("hall-a-incomer", {"error_rate": 1})
    with pytest.raises(FleetctlError):
        await read(url)
    faults("hall-a-incomer", {})
    assert (await read(url)).total_power_w == 812_500


async def test_the_register_map_is_found_by_itself(target: Callable[..., Target]) -> None:
    for name, expected in (("hall-a-incomer", "schneider-pm5000"), ("hall-a-ups-out", "schneider-iem3000"),
                           ("hall-a-busway-1", "siemens-pac2200"), ("hall-a-cdu-1", "ocp-orv3-rpu-cdu")):  # fmt: skip
        one = target("modbus", name)
        report = await read(f"modbus://{one['addr']}:{one['port']}/{one['unit']}")
        assert report.device["map"] == expected


async def test_ipmi_sensors_users_and_dead_ports(bed: Path, target: Callable[..., Target]) -> None:
    one = target("ipmi", "gpu8u")
    url = f"ipmi://{one['addr']}:{one['port']}"
    report = await read(url, credentials=ADMIN)
    got = {r.where: r.value for r in report.readings}
    for line in csv.DictReader((bed / "ipmi/gpu8u/expected.tsv").read_text().splitlines(), delimiter="\t"):
        if line["unit"] != "discrete" and line["value"] != "na":
            assert got[line["sensor"]] == pytest.approx(float(line["value"]), rel=0.01, abs=0.001), line
    assert "PSU6 Input" not in got, "an empty bay measures nothing"
    assert report.total_power_w in (4230, 4250)
    viewer = await read(url, credentials=Credentials("viewer", "look-only", privilege="user"))
    assert {r.where for r in report.readings} - {r.where for r in viewer.readings} <= {"DCMI"}, (
        "DCMI asks for more rights"
    )
    with pytest.raises(AuthError):
        await read(url, credentials=Credentials("admin", "wrong"))
    with pytest.raises(UnreachableError):
        await read(f"ipmi://{one['addr']}:9", credentials=ADMIN, timeout_s=3.0)


async def test_repeated_sensor_names_are_told_apart(target: Callable[..., Target]) -> None:
    one = target("ipmi", "2u2s")
    report = await read(f"ipmi://{one['addr']}:{one['port']}", credentials=ADMIN)
    temps = [r for r in report.readings if r.where.startswith("Temp [")]
    assert sorted(r.value for r in temps) == [48.0, 51.0]


def test_the_command_prints_json(
    bed: Path, target: Callable[..., Target], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    creds = tmp_path / "creds"
    creds.write_text('user = "fleet"\npassword = "fleet-test"\n')
    creds.chmod(0o600)
    one = target("redfish", "gb200")
    assert run(["facility", "read", one["url"], "-c", str(creds), "--insecure", "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["total_power_w"] == pytest.approx(1079, rel=0.03)
    assert {"quantity", "where", "value", "unit", "source", "raw", "as_of"} <= set(data["readings"][0])
    assert [s for s in data["states"] if s["what"] == "leak" and s["bad"]]
    creds.chmod(0o644)
    assert run(["facility", "read", one["url"], "-c", str(creds), "--insecure"]) == 4
    assert run(["facility", "read", "snmp://127.0.0.1:9", "--timeout", "0.5"]) == 6


async def test_actions_reach_the_bmc(bed: Path, target: Callable[..., Target]) -> None:
    one = target("redfish", "dell")
    source = open_source(parse_url(**redfish(one), timeout_s=LIMIT_S))
    try:
        assert await source.power_state() == "on"  # type: ignore[attr-defined]
        assert "IndicatorLED" in await source.act("identify")  # type: ignore[attr-defined]
        assert "accepted" in await source.act("cycle")  # type: ignore[attr-defined]
    finally:
        await source.close()
    log = (bed / "redfish-control.log").read_text()
    assert "IndicatorLED" in log
    assert "ComputerSystem.Reset" in log
    ipmi = target("ipmi", "2u2s")
    source = open_source(parse_url(f"ipmi://{ipmi['addr']}:{ipmi['port']}", credentials=ADMIN, timeout_s=LIMIT_S))
    try:
        assert await source.power_state() == "on"  # type: ignore[attr-defined]
        assert await source.act("cap", 500) == "capped at 500 W"  # type: ignore[attr-defined]
    finally:
        await source.close()
    assert (bed / "ipmi/2u2s/dcmi_limit").read_text().split() == ["500", "1"]


def test_trouble_has_a_word_for_each() -> None:
    assert len(SourceTrouble) == 9


def _ipmitool(one: Target, *words: str) -> Output:
    command = ["ipmitool", "-I", "lanplus", "-C", "3", "-N", "5", "-R", "5", "-E"]
    command += ["-U", one["user"], "-H", one["addr"], "-p", str(one["port"]), *words]
    environment = {**os.environ, "IPMI_PASSWORD": one["password"]}
    done = subprocess.run(command, capture_output=True, env=environment, timeout=LIMIT_S, check=False)
    return Output(done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"), done.returncode)


async def test_what_ipmitool_prints_on_a_host(bed: Path, target: Callable[..., Target]) -> None:
    """In-band and over the network ipmitool prints the same text; the simulator has the network only."""
    one = target("ipmi", "gpu8u")
    sensors = parse_sensors(_ipmitool(one, "sdr", "elist", "full"))
    got = {r.device.where: r.values.get("value") for r in sensors.readings if r.device.kind == "sensor"}
    for line in csv.DictReader((bed / "ipmi/gpu8u/expected.tsv").read_text().splitlines(), delimiter="\t"):
        if line["unit"] != "discrete":
            wanted = None if line["value"] == "na" else pytest.approx(float(line["value"]), rel=0.02, abs=0.01)
            assert got[line["sensor"]] == wanted, line
    assert sensors.readings[0].values == {"inlet_temp_c": 23, "power_w": 4250}
    assert not sensors.findings
    assert parse_power(_ipmitool(one, "dcmi", "power", "reading")).readings[0].values == {"power_w": 4230}
    twice = parse_sensors(_ipmitool(target("ipmi", "2u2s"), "sdr", "elist", "full"))
    assert sorted(r.values["value"] or 0 for r in twice.readings if r.device.where == "Temp") == [48, 51]
    table = parse_sensors(_ipmitool(target("ipmi", "2u2s"), "sensor"))
    assert table.readings[0].values["inlet_temp_c"] == 23


def _key(file: Path) -> Path:
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(file)
    key.write_public_key(file.with_suffix(".pub"))
    file.chmod(0o600)
    return file


@contextlib.contextmanager
def _host_with_a_bmc(folder: Path, one: Target) -> Iterator[Ssh]:
    """OpenSSH's own server, started per connection as inetd does, on a host whose ipmitool reaches that BMC. A container
    has no /dev/ipmi0, so the tool is told to ask over the network; what it prints is the same."""
    tool, name = folder / "bin/ipmitool", getpass.getuser()
    tool.parent.mkdir()
    words = [
        "-I",
        "lanplus",
        "-C",
        "3",
        "-N",
        "5",
        "-R",
        "5",
        "-E",
        "-U",
        one["user"],
        "-H",
        one["addr"],
        "-p",
        one["port"],
    ]
    tool.write_text(f'#!/bin/sh\nexec {shutil.which("ipmitool")} {shlex.join(map(str, words))} "$@"\n')
    tool.chmod(0o755)
    host, user = _key(folder / "host"), _key(folder / "user")
    (folder / "sshd").write_text(
        f"HostKey {host}\nAuthorizedKeysFile {user}.pub\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\n"
        f"SetEnv PATH={tool.parent}:/usr/bin:/bin IPMI_PASSWORD={one['password']}\n"
    )
    server = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or pytest.fail("no sshd")
    door = socket.create_server(("127.0.0.1", 0))
    port = door.getsockname()[1]
    (folder / "config").write_text(f"Host node1\n  HostName 127.0.0.1\n  Port {port}\n  User {name}\n")
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host.with_suffix('.pub').read_text()}")
    servers: list[subprocess.Popen[bytes]] = []

    def enter() -> None:
        with door.accept()[0] as one:
            servers.append(
                subprocess.Popen(
                    [server, "-i", "-f", folder / "sshd"], stdin=one, stdout=one, stderr=subprocess.DEVNULL
                )
            )

    asyncio.get_running_loop().add_reader(door, enter)
    try:
        yield Ssh(
            config=str(folder / "config"), known_hosts=str(folder / "known_hosts"), identity_files=(str(user),),
            connect_timeout_s=LIMIT_S,
        )  # fmt: skip
    finally:
        asyncio.get_running_loop().remove_reader(door)
        door.close()
        for ended in servers:
            ended.wait(LIMIT_S)


async def test_a_host_tells_of_its_own_bmc_over_ssh(tmp_path: Path, target: Callable[..., Target]) -> None:
    """A real sshd, a real ipmitool, OpenIPMI's simulator behind it, and our loop and collector before it."""
    with _host_with_a_bmc(tmp_path, target("ipmi", "gpu8u")) as ssh:
        told = await _what_the_collector_hears(ssh)
    assert told["host"]["power_w"] == 4230, "DCMI's power, not the sum of the supplies"
    assert told["host"]["inlet_temp_c"] == told["Inlet Temp"]["value"] == 23


async def _what_the_collector_hears(ssh: Ssh) -> dict[str, dict[str, Any]]:
    config = Config(
        sites=(Site(name="s"),), hosts=(HostGroup(nodes="node1", site="s"),), poll=Poll(interval_s=1.0), ssh=ssh
    )
    found = "command -v ipmitool >/dev/null"  # without the look at /dev/ipmi0
    probes = tuple(dataclasses.replace(p, detect=found, timeout_s=LIMIT_S) for p in ipmi.probes)
    own = dataclasses.replace(ipmi, probes=probes)
    transports = build_transports(config)
    collector = Collector(config, build_inventory(config), transports, [own])
    told: dict[str, dict[str, Any]] = {}
    whole = asyncio.Event()

    async def take(_: int, reports: Sequence[HostReport]) -> None:
        for block in (b for report in reports for b in report.blocks):
            for device, row in zip(block.devices, block.rows, strict=True):
                values = {k: v for k, v in zip(block.columns, row, strict=True) if v is not None}
                told.setdefault(device.where or device.kind, {}).update(values)
        if "Inlet Temp" in told and "power_w" in told["host"]:
            whole.set()

    running = asyncio.create_task(collector.run(take))
    try:
        async with asyncio.timeout(LIMIT_S):
            await whole.wait()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return told


async def test_ipmitool_reads_a_bmc_that_pyghmi_cannot(target: Callable[..., Target]) -> None:
    one = target("ipmi", "gpu8u")
    endpoint = parse_url(f"ipmi://{one['addr']}:{one['port']}", credentials=ADMIN)
    first, second = IpmiSource(endpoint), IpmiSource(endpoint)

    async def run(_: Any) -> Any:
        raise ParseError("odd bytes")

    second.session.run = run  # type: ignore[method-assign]
    try:
        wanted, got = await first.read(), await second.read()
    finally:
        await first.close()
    assert got.total_power_w == wanted.total_power_w == 4230
    assert got.total_power_source == "DCMI power reading via ipmitool"
    values = {(r.quantity, r.where): r.value for r in got.readings}
    for r in wanted.readings:
        assert values[r.quantity, r.where] == pytest.approx(r.value, rel=0.02, abs=0.01), r
    assert {s.where: s.word for s in got.states}["chassis"] == "on"
