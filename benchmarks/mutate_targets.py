"""What `mutate.py` feeds: every parser of something that came from outside, with genuine inputs."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import dataclasses
import functools
import itertools
import json
import math
import os
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.mutate import Target
from fleetctl.collector.collector import fleet_plan
from fleetctl.config.first import hosts_in_ssh_config, names_in_text
from fleetctl.config.loading import parse_config
from fleetctl.config.schema import Config
from fleetctl.errors import NotFoundError
from fleetctl.facility.credentials import parse_credentials
from fleetctl.facility.endpoint import Credentials, parse_url
from fleetctl.facility.quantity import plausible as plausible_quantity
from fleetctl.inventory import build_inventory, expand
from fleetctl.model.facility import Measurement
from fleetctl.model.metric import metrics_of
from fleetctl.model.probe import Output
from fleetctl.model.reading import ProbeResult
from fleetctl.plugin import load_plugins
from fleetctl.plugin.catalogue import enrich
from fleetctl.plugin.plugin import Parser, Plugin
from fleetctl.probes.answers import HostAnswers
from fleetctl.probes.frames import FrameDecoder
from fleetctl.probes.kernel_log import KernelLog, linux_faults
from fleetctl.probes.parsing import choose_parser
from fleetctl.probes.plan import LoopForm, launch_command
from fleetctl.probes.sections import Texts
from fleetctl.probes.system import BOOT_AT, CPU_IDLE, CPU_TOTAL, parse_slow, parse_system
from fleetctl.probes.text import MAX_CHARS, plausible
from fleetctl.scheduler.packing.trace import read_jobs, read_nodes
from fleetctl.transport.known_hosts import KnownHostsFile
from fleetctl.transport.ssh_config import SshConfig
from fleetctl.views.filter import compile_filter
from fleetctl.views.nodes import COLUMNS
from fleetctl_bacnet import points as bacnet
from fleetctl_ipmi.inband import parse_power, parse_sensors
from fleetctl_modbus import decode as modbus
from fleetctl_modbus import register_map
from fleetctl_mqtt import bus as mqtt
from fleetctl_redfish.session import MissingError
from fleetctl_redfish.session import decode as decode_json
from fleetctl_redfish.source import RedfishSource
from fleetctl_redfish.values import Found, read_resource
from fleetctl_slurm.answers import NodeAnswer, parse_jobs, parse_nodes, parse_reservations
from fleetctl_slurm.cards import parse_details
from fleetctl_slurm.json_answers import read_cards, read_reservations
from fleetctl_slurm.json_answers import read_jobs as read_job_answer
from fleetctl_slurm.json_answers import read_nodes as read_node_answer
from fleetctl_slurm.words import admin_of, expand_hosts, parse_state
from fleetctl_snmp import decode as snmp
from fleetctl_snmp.device_map import DeviceMap, known_maps
from fleetctl_snmp.device_map import parse_map as parse_device_map
from fleetctl_snmp.traps import TrapDecoder

HERE = Path(__file__).resolve().parent.parent
FIXTURES = HERE / "tests" / "fixtures"
_NAMED = os.environ.get("FLEETCTL_SHARED")
SHARED = (
    Path(_NAMED) if _NAMED else next((p / "shared" for p in HERE.parents if (p / "shared/recordings").is_dir()), HERE)
)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
NOW = 1_790_000_000.0


def targets() -> list[Target]:
    made = [*_probes(), *_host(), *_kernel(), *_facility(), *_slurm(), *_files()]
    return [t for t in made if t.seeds]


# -- what is wrong with an answer --------------------------------------------------------------------------------------


def sound(value: Any, where: str = "") -> Iterator[str]:
    """Strings without control characters and numbers that are finite, all the way down."""
    if isinstance(value, str):
        if found := _CONTROL.search(value):
            yield f"control character {found[0]!r} in {where}"
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield f"{value} in {where}"
    elif isinstance(value, Measurement):
        if not plausible_quantity(value.quantity, value.value, value.unit):
            yield f"{value.quantity} {value.value} {value.unit} is impossible"
        for name, part in zip(value._fields, value, strict=True):
            yield from sound(part, f"Measurement.{name}")
    elif dataclasses.is_dataclass(value):
        for one in dataclasses.fields(value):
            yield from sound(getattr(value, one.name), f"{type(value).__name__}.{one.name}")
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from sound(key, where)
            yield from sound(part, where)
    elif isinstance(value, tuple | list | set | frozenset):
        for part in value:
            yield from sound(part, where)


def _finite(value: Any) -> Iterator[str]:
    """Of an operator's own file: its words are shown by commands that spell out what a terminal would obey."""
    return (wrong for wrong in sound(value) if not wrong.startswith("control"))


def sound_result(result: ProbeResult) -> Iterator[str]:
    """What holds for any probe's answer: known metrics, plausible values, keys apart, findings bounded."""
    for reading in result.readings:
        names = {m.name for m in metrics_of(reading.device.kind)}
        for metric, value in reading.values.items():
            if metric not in names:
                yield f"no metric {metric}"
            elif value is not None and reading.device.kind != "sensor" and not plausible(metric, value):
                yield f"{metric} of {value!r} is impossible"
    keys = [r.device.key for r in result.readings]
    if len(keys) != len(set(keys)) or not all(keys):
        yield "two devices of one key, or none"
    if len(result.findings) > 65 or any(len(f.raw) > 2048 for f in result.findings):
        yield "findings without bound"
    yield from sound(result)


def _sound_host(result: ProbeResult) -> Iterator[str]:
    """Counters of the sh form are taken off before anybody sees them (answers.py)."""
    counters = (CPU_TOTAL, CPU_IDLE, BOOT_AT)
    kept = [
        dataclasses.replace(r, values={k: v for k, v in r.values.items() if k not in counters}) for r in result.readings
    ]
    yield from sound_result(dataclasses.replace(result, readings=tuple(kept)))


# -- probes of hosts ---------------------------------------------------------------------------------------------------


def _recordings(plugin: str) -> Iterator[tuple[bytes, str]]:
    """(text, command) of a vendor: recordings, and the fixtures of the tests."""
    index = SHARED / "recordings" / "accelerators" / "INDEX.tsv"
    if index.exists():
        with index.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                named = row["file"].split("detect__")[1] if row["vendor"] == "gpustack-runtime" else row["vendor"]
                if re.split(r"[_.]", named)[0] == plugin:
                    yield (index.parent / row["file"]).read_bytes(), row["command"]
    for path in sorted((FIXTURES / plugin).rglob("*.txt")):
        yield path.read_bytes(), ""


def _probes() -> Iterator[Target]:
    for plugin in load_plugins()[0]:
        every = list(_recordings(plugin.name))
        for parser in plugin.parsers:
            mine = [(data, "") for data, command in every if _reads(plugin, parser, data, command)]
            if plugin.name == "ipmi":
                mine = [(text.encode(), "") for text in (_ELIST, _SENSOR, _DCMI)]
            seeds = mine or [(data, "") for data, _ in every]
            yield Target(f"{plugin.name} {parser.name}", seeds, functools.partial(_parse, parser.parse), sound_result)


def _reads(plugin: Plugin, parser: Parser, data: bytes, command: str) -> bool:
    chosen = choose_parser(plugin, data[:65536].decode("utf-8", "replace"), command)
    return chosen is not None and chosen.name == parser.name


def _parse(parse: Callable[[Output], ProbeResult], data: bytes, about: Any) -> ProbeResult:
    return enrich(parse(Output(data.decode("utf-8", "replace")[:MAX_CHARS])))


def _host() -> Iterator[Target]:
    plan = fleet_plan(Config(), load_plugins()[0])
    python, sh = _loop(plan.python_program(1.0) + b"i 1 0.2\nn\n"), _script(plan)
    decoder, texts = FrameDecoder(), Texts()
    sections = [
        s
        for data in (python, sh)
        for frame in decoder.feed(data)
        if frame.kind in "RL"
        for s in texts.read(frame.body).sections
    ]

    def said(name: str) -> list[tuple[bytes, Any]]:
        number = next(i.id for i in plan.items if i.probe.name == name)
        return [(s.stdout, "") for s in sections if s.probe == number and s.stdout]

    def frames(data: bytes, about: Any) -> list[Any]:
        decoder, texts, reports = FrameDecoder(), Texts(), []
        answers = HostAnswers(plan, KernelLog((linux_faults,)), 1.0)
        for at in range(0, len(data), 4000):
            for frame in decoder.feed(data[at : at + 4000]):
                if frame.kind in "RL":
                    answers.take(texts.read(frame.body), NOW)
                    reports.append(answers.report("n1", NOW))
        return reports[-1:]

    def unframed(data: bytes, about: Any) -> list[Any]:
        answers = HostAnswers(plan, KernelLog((linux_faults,)), 1.0)
        answers.take(Texts().read(data), NOW)
        return [answers.report("n1", NOW)]

    bodies = [(f.body, "") for data in (python, sh) for f in FrameDecoder().feed(data) if f.kind in "RL"]
    yield Target("host loop: frames", [(python, ""), (sh, "")], frames, sound)
    yield Target("host loop: body of a frame", bodies, unframed, sound)
    yield Target("host: system", said("system"), functools.partial(_parse, parse_system), _sound_host)
    yield Target(
        "host: slow",
        said("slow") if _has(plan, "slow") else said("system.slow"),
        functools.partial(_parse, parse_slow),
        sound_result,
    )


def _has(plan: Any, name: str) -> bool:
    return any(i.probe.name == name for i in plan.items)


def _loop(program: bytes) -> bytes:
    """What the python loop prints on this machine in three seconds."""
    child = subprocess.Popen(
        launch_command(LoopForm.PYTHON, own_python=sys.executable),
        shell=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(program)
    child.stdin.flush()
    said, until = b"", time.monotonic() + 4
    while time.monotonic() < until:
        if select.select([child.stdout], [], [], 0.2)[0]:
            said += os.read(child.stdout.fileno(), 1 << 16)
    child.communicate()  # its input ends, and so does the loop
    return said


def _script(plan: Any) -> bytes:
    ids = {i.id for i in plan.items if i.probe.name.startswith(("system", "kernel", "slow"))}
    text = plan.sh_script(ids, "R", 1, sorted(ids))
    return subprocess.run(["/bin/sh"], input=text, capture_output=True, check=False).stdout


def _kernel() -> Iterator[Target]:
    readers = [(p.name, p.kernel_faults) for p in load_plugins()[0] if p.kernel_faults is not None]
    folder = SHARED / "recordings" / "accelerators"
    logs = [
        (p.read_bytes(), "")
        for p in sorted(folder.rglob("*"))
        if p.is_file() and re.search("dmesg|kmsg|kern|xid|log", p.name)
    ]
    logs += [
        (
            b"#uptime 100.5 1790000000\n[   12.5] NVRM: Xid (PCI:0000:1a:00): 79, pid=1, GPU has fallen off the bus.\n",
            "",
        )
    ]
    logs += [(b"2026-11-21T22:30:00,123456+00:00 kernel: EXT4-fs error (device sda1): bad\n" * 3, "")]
    every = (linux_faults, *(reader for _, reader in readers))

    def run(data: bytes, about: Any) -> Any:
        log, text = KernelLog(every), data.decode("utf-8", "replace")
        return [log.take(text), log.take(text[len(text) // 2 :])]

    yield Target("kernel log", logs, run, sound)


# -- power and cooling -------------------------------------------------------------------------------------------------

_ELIST = """Temp             | 03h | ok  |  3.1 | 48 degrees C
Ambient          | 01h | ok  | 12.1 | 24.50 degrees C
Fan2             | 06h | ns  | 29.2 | No Reading
Vbat             | 19h | lcr |  7.1 | 2.61 Volts
Pwr Consumption  | 1Eh | ok  |  7.1 | 616 Watts
"""
_SENSOR = """Inlet Temp       | 23.000     | degrees C  | ok    | na        | na        | na        | 43.000    | 47.000    | na
Intrusion        | 0x0        | discrete   | 0x0080| na        | na        | na        | na        | na        | na
"""
_DCMI = """
    Instantaneous power reading:                  1240 Watts
    Minimum during sampling period:               1180 Watts
    IPMI timestamp:                           11/22/26 00:34:26 UTC    Sampling period:                          00000001 Seconds.
    Power reading state is:                   activated
"""
_MQTT = {
    "PUB/Metadata/Rack/RackPower/a/1/r1/power": {"engUnit": "kW", "rackLocationName": "row-1 rack-1"},
    "PUB/Value/Rack/RackPower/a/1/r1/power": {"value": 42.5, "timestamp": int(NOW * 1000) - 5000, "quality": 1},
    "PUB/Metadata/CDU/LiquidFlow/a/flow": {"engUnit": "LPM", "objectName": "CDU-5", "processArea": ["Secondary"]},
    "PUB/Value/CDU/LiquidFlow/a/flow": {"value": 980.0, "timestamp": int(NOW * 1000) - 5000, "quality": 1},
    "PUB/Value/CDU/PumpSpeed/a/pump": {"value": 61, "timestamp": int(NOW * 1000) - 5000, "quality": 1},
}
_BACNET = [
    {"key": "analog-input,1", "name": "Active power", "units": "kilowatts", "value": 812.5},
    {"key": "analog-value,2", "name": "Supply", "units": "degrees-fahrenheit", "value": 68.0},
    {"key": "analog-value,4", "name": "Pump 1", "units": "revolutions-per-minute", "value": 2900},
    {"key": "binary-input,1", "name": "Leak rope", "value": "active", "flags": [True, False, False, False]},
]


def _facility() -> Iterator[Target]:
    yield Target("ipmitool: dcmi", [(_DCMI.encode(), "")], functools.partial(_parse, parse_power), sound_result)
    both = [(_ELIST.encode(), ""), (_SENSOR.encode(), "")]
    yield Target("ipmitool: sensors", both, functools.partial(_parse, parse_sensors), sound_result)
    yield from _redfish()
    yield from _snmp()
    yield from _modbus()

    def hear(data: bytes, about: Any) -> Any:
        heard = mqtt.Bus("BMS/v1")
        for number, line in enumerate(data.split(b"\n")):
            topic, _, payload = line.partition(b" ")
            heard.hear(topic.decode("utf-8", "replace"), payload, NOW + number)
        told = mqtt.tell(heard.select())
        return [told, heard.findings(), mqtt.total_power(told.readings)]

    lines = "\n".join(f"BMS/v1/{topic} {json.dumps(body)}" for topic, body in _MQTT.items())
    yield Target("mqtt: topics and payloads", [(lines.encode(), "")], hear, sound)

    def objects(data: bytes, about: Any) -> Any:
        read = _json(data)
        known = {f.name for f in dataclasses.fields(bacnet.BacnetObject)} - {"key"}
        made = [
            bacnet.BacnetObject(str(one["key"]), **{k: _typed(k, v) for k, v in one.items() if k in known})
            for one in (read if isinstance(read, list) else [])
            if isinstance(one, dict) and "key" in one
        ]
        told = bacnet.tell(made, NOW)
        return [told, bacnet.total_power(told[0])]

    yield Target("bacnet: objects", [(json.dumps(_BACNET).encode(), "")], objects, sound)
    netrc = b"machine 10.0.0.1 login admin password secret\n"
    toml = b'user = "admin"\npassword = "x"\n'
    texts = [(netrc, ""), (toml, ""), (b'{"user": "a", "password": "b", "community": "c"}', "")]
    yield Target("facility credentials", texts, lambda d, _: parse_credentials(_text(d), "10.0.0.1") and (), sound)


def _typed(key: str, value: Any) -> Any:
    """As the BACnet stack hands it over: strings are strings, flags four booleans, a value anything."""
    if key == "flags":
        return tuple(bool(v) for v in value)[:4] if isinstance(value, list) and len(value) >= 4 else (False,) * 4
    if key == "out_of_service":
        return bool(value)
    return value if key == "value" or isinstance(value, str) else ""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _json(data: bytes) -> Any:
    """As the product reads bodies. What is no JSON is a refusal, here as there."""
    try:
        return decode_json(data)
    except (ValueError, RecursionError) as error:
        raise NotFoundError("not JSON") from error


class _Tree:
    """A recorded Redfish service; `bad` replaces the files it names."""

    base, gets = "https://recorded", 0

    def __init__(self, files: dict[str, bytes], bad: dict[str, bytes]) -> None:
        self.files, self.bad = files, bad

    async def get(self, target: str) -> dict[str, Any]:
        path = "/" + target.partition("?")[0].strip("/")
        body = self.bad.get(path, self.files.get(path))
        if body is None:
            raise MissingError(f"{path}: 404")
        answer = _json(body)
        if not isinstance(answer, dict):
            raise NotFoundError(f"{path}: no object")
        return answer

    @contextlib.asynccontextmanager
    async def two_sockets(self) -> AsyncIterator[None]:
        yield

    async def close(self) -> None:
        return None


def _redfish() -> Iterator[Target]:
    trees: dict[str, dict[str, bytes]] = {}
    for folder in sorted((SHARED / "recordings" / "redfish").glob("*/redfish")):
        files = {
            "/" + str(p.parent.relative_to(folder.parent)): p.read_bytes() for p in sorted(folder.rglob("index.json"))
        }
        trees[folder.parent.name] = files
    wanted = re.compile(
        r"Power|Thermal|Sensor|Environment|Leak|Chassis/[^/]+$|MetricReports/|Outlet|Circuits|Cooling|Cdu|Pdu"
    )
    some = [
        (data, path)
        for files in trees.values()
        for path, data in files.items()
        if wanted.search(path) and len(data) < 60_000
    ]

    def resource(data: bytes, path: str) -> Any:
        answer, found = _json(data), Found()
        if isinstance(answer, dict):
            read_resource(answer, path, NOW, found)
        return found

    yield Target("redfish: one resource", some, resource, sound)
    loop = asyncio.new_event_loop()

    def service(data: bytes, about: tuple[str, str]) -> Any:
        name, path = about
        source = RedfishSource(parse_url("https://recorded"))
        source.session = _Tree(trees[name], {path: data})  # type: ignore[assignment]
        report = loop.run_until_complete(source.read())
        return [report, loop.run_until_complete(source.poll())]

    small = sorted(trees, key=lambda n: len(trees[n]))[:6]
    seeds = [(data, (name, path)) for name in small for path, data in trees[name].items() if len(data) < 60_000]
    yield Target("redfish: a whole service", seeds, service, sound)


def _snmp() -> Iterator[Target]:
    maps = known_maps(None)
    pairs: list[tuple[bytes, DeviceMap]] = []
    for path in sorted((SHARED / "recordings" / "snmp").glob("*.snmprec")):
        data = path.read_bytes()
        values = _walk(data)
        for one in maps:
            kept = [
                oid
                for oid in values
                if any(oid.startswith(c + ".") for c in snmp.columns_of(one)) or oid in snmp.scalars_of(one)
            ]
            if len(kept) >= 4:
                lines = [line for line in data.split(b"\n") if _text(line).partition("|")[0].lstrip(".") in kept]
                pairs.append((b"\n".join(lines[:400]), one))

    def run(data: bytes, one: DeviceMap) -> Any:
        values = _walk(data)
        columns = {
            c: {o[len(c) + 1 :]: v for o, v in values.items() if o.startswith(c + ".")} for c in snmp.columns_of(one)
        }
        decoded = snmp.decode(one, columns, {o: v for o, v in values.items() if o in snmp.scalars_of(one)}, NOW)
        return [decoded, snmp.total_power(decoded)]

    yield Target("snmp: columns", pairs, run, sound)
    folder = HERE / "plugins" / "fleetctl_snmp" / "maps"
    texts = [(p.read_bytes(), p.stem) for p in sorted(folder.rglob("*.toml"))]
    yield Target("snmp: device maps", texts, lambda d, name: parse_device_map(_text(d), name) and (), sound, own=True)
    decoder = TrapDecoder()
    yield Target(
        "snmp: traps",
        [(t, "") for t in _TRAPS],
        lambda d, _: decoder.decode(d, Credentials(community="public"))[0],
        sound,
    )


# snmptrap -v2c -c public, coldStart; and one with a string and a counter
_TRAPS = [
    bytes.fromhex(
        "304302010104067075626c6963a7360204123456780201000201003028300f06082b060102010103004303012345301506"
        "0a2b06010603010104010006072b060102010b01"
    ),
    bytes.fromhex("302902010004067075626c6963a41c06062b060104010040047f00000102010602010143010030073005060112a30500"),
]


def _walk(data: bytes) -> dict[str, Any]:
    """OID -> value of .snmprec lines, in the types an SNMP library hands over."""
    out: dict[str, Any] = {}
    for line in _text(data).split("\n"):
        oid, tag, raw = [*line.split("|", 2), "", ""][:3]
        if not re.fullmatch("[0-9.]{3,400}", oid):  # a library hands over no other
            continue
        if tag.startswith("4x"):
            try:
                out[oid.lstrip(".")] = bytes.fromhex(raw)
            except ValueError:
                out[oid.lstrip(".")] = raw.encode()
        elif re.fullmatch(r"-?[0-9]{1,20}", raw):
            out[oid.lstrip(".")] = int(raw)
        else:
            out[oid.lstrip(".")] = raw.encode("utf-8", "replace")
    return out


def _modbus() -> Iterator[Target]:
    maps = register_map.shipped_maps()
    seeds = [(os.urandom(0) + bytes(range(256)), one) for one in maps]

    def run(data: bytes, one: register_map.RegisterMap) -> Any:
        words = [int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "big") for i in range(0, min(len(data), 4000), 2)] or [
            0
        ]
        turn = itertools.cycle(words)
        memory = {(p.area, a): next(turn) for p in one.points for a in range(p.addr, p.addr + 4)}
        values = []
        for point in one.points:
            registers = modbus.registers_of(point, memory)
            if registers is not None:
                values.append(modbus.decode(point, registers, modbus.power_of_ten(point, memory)))
                modbus.guesses(registers)
        return [values, modbus.score(one, memory)]

    yield Target("modbus: registers", seeds, run, sound)
    folder = HERE / "plugins" / "fleetctl_modbus" / "maps"
    texts = [(p.read_bytes(), p.stem) for p in sorted(folder.rglob("*.json"))]
    yield Target(
        "modbus: register maps", texts, lambda d, name: register_map.parse_map(_text(d), name) and (), sound, own=True
    )


# -- the scheduler's world ---------------------------------------------------------------------------------------------


def _slurm() -> Iterator[Target]:
    nonce = "feedc0de00000001"
    folder = FIXTURES / "slurm" / "22.05.8"

    def seeds(*names: str) -> list[tuple[bytes, Any]]:
        return [((folder / name).read_bytes(), "") for name in names if (folder / name).exists()]

    def text(parse: Callable[[str], Any]) -> Callable[[bytes, Any], Any]:
        return lambda data, _: parse(_text(data))

    def answer(parse: Callable[[Any, Callable[[str], str]], Any]) -> Callable[[bytes, Any], Any]:
        def run(data: bytes, about: Any) -> Any:
            read = _json(data)
            return parse(read, str) if isinstance(read, dict) else ()

        return run

    yield Target(
        "slurm: nodes",
        seeds("nodes.txt", "nodes_after_restart.txt"),
        text(lambda t: _shown(parse_nodes(t, nonce))),
        sound,
    )
    yield Target("slurm: jobs", seeds("jobs.txt"), text(lambda t: list(parse_jobs(t, nonce)[0].values())), sound)
    yield Target("slurm: windows", seeds("windows.txt"), text(parse_reservations), sound)
    detail = b"JobId=16 JobName=x\n   NodeList=osl-h100-01\n     Nodes=osl-h100-01 CPU_IDs=0-3 Mem=0 GRES=gpu:h100:4(IDX:0-3)\n"
    yield Target("slurm: details", [(detail, "")], text(parse_details), sound)
    words = [(b"IDLE+DRAIN*", ""), (b"osl-h100-[01-04,7],szx-910b-01", ""), (b"MIXED+MAINT", "")]
    yield Target(
        "slurm: states and names", words, text(lambda t: [admin_of(parse_state(t), None), expand_hosts(t)]), sound
    )
    for name, read in (
        ("nodes", read_node_answer), ("jobs", read_job_answer), ("jobsdetail", read_cards), ("reservations", read_reservations),
    ):  # fmt: skip
        files = [(p.read_bytes(), "") for p in sorted((FIXTURES / "slurm").glob(f"*/{name}.json"))]
        yield Target(f"slurm: {name}.json", files, answer(read), _sound_answer)  # type: ignore[arg-type]


def _sound_answer(answer: Any) -> Iterator[str]:
    return sound(_shown(answer) if isinstance(answer, NodeAnswer) else answer)


def _shown(answer: NodeAnswer) -> Any:
    """What of an answer is kept and shown; texts of records only tell the next round what is the same."""
    return [answer.nodes, answer.partitions, list(answer.first.values())]


# -- files of operators ------------------------------------------------------------------------------------------------


def _files() -> Iterator[Target]:
    place = Path(tempfile.mkdtemp(prefix="mutate-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))

    def with_file(name: str, read: Callable[[Path], Any]) -> Callable[[bytes, Any], Any]:
        path = place / name

        def run(data: bytes, about: Any) -> Any:
            path.write_bytes(data)
            return read(path)

        return run

    nodes = b"sn,cpu_milli,memory_mib,gpu,model,site,rack,power_cap_w\n" + b"".join(
        b"n%d,64000,262144,%d,%s,a,r1,3000\n" % (i, i % 9, b"T4" if i % 2 else b"V100M16") for i in range(20)
    )
    openb = (
        b"name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
        + b"".join(
            b"p%d,12000,16384,1,%d,V100M16|V100M32,LS,Running,%d,%d,%d\n" % (i, 500 + i, i, i + 100, i + 1)
            for i in range(20)
        )
    )
    gangs = b"job,submit_s,duration_s,gpus,tenant,estimate_s,site,movable\n" + b"".join(
        b"j%d,%d,300,%d,t%d,600,s%d,%d\n" % (i, i * 10, 1 + i % 16, i % 3, i % 2, i % 2) for i in range(20)
    )
    yield Target("trace: nodes.csv", [(nodes, "")], with_file("nodes.csv", read_nodes), _finite)
    yield Target("trace: jobs.csv", [(openb, ""), (gangs, "")], with_file("jobs.csv", lambda p: read_jobs(p)), _finite)
    example = (HERE / "fleet.example.toml").read_bytes()
    small = b'[[sites]]\nname = "s"\n[[hosts]]\nnodes = "gpu[001-128]"\nsite = "s"\naddress = "{name}.x"\n[[racks]]\nname = "r"\nsite = "s"\nnodes = "gpu[001-008]"\n'

    def config(data: bytes, about: Any) -> Any:
        build_inventory(parse_config(data))
        return ()

    lean = re.sub(rb"(?m)^#.*\n|^\n", b"", example)
    yield Target("fleet.toml", [(small, ""), (lean, ""), (example, "")], config, sound, own=True)
    sets = [(b"gpu[001-128]", ""), (b"a[1-4,7],b[01-08/2]!a3", ""), (b"rack[1-2]n[1-9]&rack1n[1-3]", "")]
    yield Target("node sets", sets, lambda d, _: len(expand(_text(d)[:65536])) and (), sound, own=True)
    hosts = b"Host gpu001 gpu002\n  HostName 10.0.0.1\nHost *\n  User ops\nMatch host x\n  Port 22\nInclude other\n"
    yield Target("ssh_config: hosts", [(hosts, "")], with_file("ssh_config", hosts_in_ssh_config), sound)
    yield Target(
        "ssh_config: lookup",
        [(hosts, "")],
        with_file("ssh_config2", lambda p: SshConfig.load(p).lookup("gpu001") and ()),
        sound,
    )
    names = [(b"gpu001\ngpu002 10.0.0.2 # rack 1\n\n[web]\nansible_host=x\n", "")]
    yield Target("list of names", names, lambda d, _: names_in_text(_text(d)), sound)
    key = b"AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    known = (
        b"gpu001,10.0.0.1 ssh-ed25519 "
        + key
        + b"\n|1|JfKTdBh7rNbXkVAQCRp4OQoPfmI=|USECr3SWf1JUPsms5AqfD5QfxkM= ssh-ed25519 "
        + key
    )
    known += b"\n@revoked * ssh-ed25519 " + key + b"\n@cert-authority *.x ssh-ed25519 " + key + b"\n"

    def read_known(path: Path) -> Any:
        file = KnownHostsFile(path)
        file.refresh()
        file.about("gpu001")
        return ()

    yield Target("known_hosts", [(known, "")], with_file("known_hosts", read_known), sound)
    filters = [(b"temp > 80 and site = lingang", ""), (b"chip ~ h100 or state = drained", ""), (b"/gpu0.*1", "")]
    yield Target("filter line", filters, lambda d, _: compile_filter(_text(d)[:4096], COLUMNS) and (), sound)
