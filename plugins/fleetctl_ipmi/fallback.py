"""ipmitool over the network, for BMCs that pyghmi cannot talk to (odd cipher suites, malformed answers).

A process costs 33 ms where a held session costs 0.15, so it is the second choice. The password goes into the
environment of the child alone, where only our user and root can see it, never into its arguments.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from dataclasses import dataclass

from fleetctl.errors import ParseError, TimedOutError, UnreachableError
from fleetctl.facility.endpoint import Endpoint
from fleetctl.model.facility import EndpointReport, Measurement, PointState, SourceFinding, SourceTrouble
from fleetctl_ipmi.sensors import SensorValue, read_sensors, total_power
from fleetctl_ipmi.tool import Unread, dcmi_reading, sensor_lines

TOOL = "ipmitool"
VIA = "via ipmitool"  # stands behind the source of every value that this client read
MAX_BYTES = 1 << 20
MOST_AT_ONCE = 4
_PLACES = asyncio.Semaphore(MOST_AT_ONCE)
_LEVELS = {"user": "USER", "operator": "OPERATOR", "administrator": "ADMINISTRATOR", "admin": "ADMINISTRATOR"}


@dataclass(frozen=True, slots=True)
class Said:
    text: str
    status: int


def installed() -> bool:
    """True where the console's machine has the tool."""
    return shutil.which(TOOL) is not None


class NoSessionError(UnreachableError):
    """ipmitool got no session; it does not tell a wrong password from a wrong cipher suite, so it is asked once."""


class IpmitoolReader:
    """One BMC. `?cipher=17` in its address names the cipher suite, else it is 3 (asking for the list costs 10 s)."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._dcmi = True

    def arguments(self) -> list[str]:
        """The command line without what is asked; no secret is in it."""
        creds, cipher = self.endpoint.credentials, self.endpoint.options.get("cipher", "3")
        words = [TOOL, "-I", "lanplus", "-C", cipher if cipher.isdigit() else "3", "-N", "2", "-R", "1", "-E"]
        level = _LEVELS.get(creds.privilege.lower())
        words += ["-L", level] if level else []
        return [*words, "-U", creds.user, "-H", self.endpoint.host, "-p", str(self.endpoint.port)]

    async def report(self, *, everything: bool) -> EndpointReport:
        """All sensors and DCMI, or DCMI alone where the BMC has it. Raises errors of fleetctl.errors."""
        at = time.time()
        dcmi, dcmi_raw = None, ""
        if self._dcmi or everything:
            said = await self._ask("dcmi", "power", "reading")
            dcmi, dcmi_raw = dcmi_reading(said.text), f"{said.text.strip()[:80]}"
            self._dcmi = dcmi is not None
        values: list[SensorValue] = []
        findings: list[SourceFinding] = []
        if everything or dcmi is None:
            for part in ("full", "compact"):
                said = await self._ask("sdr", "elist", part)
                for item in sensor_lines(said.text):
                    if isinstance(item, Unread):
                        text = f"line {item.line}: {item.text[:120]}"
                        findings.append(SourceFinding(SourceTrouble.UNREADABLE, text, f"sdr elist {part} {VIA}"))
                    else:
                        values.append(item)
        readings, states, unknown, odd = read_sensors(values, at)
        if dcmi is not None and dcmi[1] and dcmi[0] < 65535:
            readings.insert(0, Measurement("power", "DCMI", float(dcmi[0]), "W", "DCMI power reading", dcmi_raw, at))
        power = (await self._ask("chassis", "power", "status")).text.strip().lower() if everything else ""
        if power.endswith((" on", " off")):
            word = power.rpartition(" ")[2]
            states.insert(0, PointState("power", "chassis", word, "chassis status", word, at))
        if not readings and not states:
            raise ParseError(f"{self.endpoint.url}: ipmitool reads nothing either", hint="try ipmitool by hand")
        total = total_power(dcmi, readings, unknown)
        return EndpointReport(
            url=self.endpoint.url,
            kind="ipmi",
            at=at,
            readings=tuple(r._replace(source=f"{r.source} {VIA}") for r in readings),
            states=tuple(s._replace(source=f"{s.source} {VIA}") for s in states),
            unknown=tuple(u._replace(source=f"{u.source} {VIA}") for u in unknown),
            findings=(*findings[:64], *odd),
            total_power_w=total[0] if total else None,
            total_power_source=f"{total[1]} {VIA}" if total else "",
            device={"client": TOOL},
            complete=everything and not findings and not odd,
        )

    async def _ask(self, *words: str) -> Said:
        """One process, stopped at the time limit of the endpoint."""
        known = ("PATH", "HOME", "LANG")
        environment = {k: v for k, v in os.environ.items() if k in known}
        environment |= {"LC_ALL": "C", "TZ": "UTC", "IPMI_PASSWORD": self.endpoint.credentials.password}
        async with _PLACES:
            process = await asyncio.create_subprocess_exec(
                *self.arguments(),
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=environment,
            )
            try:
                async with asyncio.timeout(self.endpoint.timeout_s):
                    raw = await _everything(process)
                    status = await process.wait()
            except TimeoutError:
                text = f"{self.endpoint.url}: ipmitool did not end within {self.endpoint.timeout_s:g} s"
                raise TimedOutError(text, hint="it is asked again later") from None
            finally:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()
        text = _text(raw)
        if "unable to establish" in text.lower():
            raise NoSessionError(f"{self.endpoint.url}: ipmitool gets no session either", hint="try ?cipher=17")
        return Said(text, status)


async def _everything(process: asyncio.subprocess.Process) -> bytes:
    """What it prints, up to the limit; the rest is not waited for."""
    assert process.stdout is not None
    chunks, size = [], 0
    while size < MAX_BYTES and (chunk := await process.stdout.read(65_536)):
        chunks.append(chunk)
        size += len(chunk)
    if size >= MAX_BYTES:
        process.kill()
    return b"".join(chunks)[:MAX_BYTES]


def _text(raw: bytes) -> str:
    """BMCs name sensors in latin-1 as often as in UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
