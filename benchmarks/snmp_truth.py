"""Readings of recorded SNMP agents against an independent reading of the same agents: LibreNMS' test data, read in place.

    python benchmarks/snmp_truth.py FOLDER [--only 'apc*,eaton*'] [--show]

FOLDER holds LibreNMS' `tests/snmpsim/*.snmprec`, `tests/data/*.json` and `resources/definitions/os_detection` (GPL: it is
read, and nothing of it is kept). Taken are its kinds power and environment, and the BMCs. A line per recording: the maps
that were used, LibreNMS' sensors, how many of them are the same here within 3 %, differ, are not read here or are unknown
here, what is read beyond them, and the total power. Where they differ the MIB decides: --show prints each.
"""

from __future__ import annotations

import argparse
import asyncio
import fnmatch
import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fleetctl.facility.endpoint import parse_url
from fleetctl.facility.quantity import canonical
from fleetctl.model.facility import EndpointReport
from fleetctl_snmp.source import SnmpSource

KINDS = {"power", "environment", "environmental", "sensor"}
BMCS = {"drac", "hpe-ilo", "cimc", "ibm-imm", "ibmc", "supermicro-bmc", "fujitsu-irmc", "xclarity", "dell-rcs"}
# LibreNMS' classes that are readings here; states, counters and radio are not.
CLASSES = {
    "power", "current", "voltage", "temperature", "humidity", "load", "charge", "frequency", "runtime", "fanspeed",
    "power_factor", "power_consumed", "airflow", "waterflow", "pressure", "percent", "cooling",
}  # fmt: skip
NUMBERS = ("2", "65", "66", "67", "70")
TOLERANCE = 0.03


def order(oid: str) -> tuple[int, ...]:
    return tuple(int(part) for part in oid.split("."))


def load(file: Path) -> dict[str, Any]:
    """OID -> value. Lines that are no values are left out, as the recorder of a real walk leaves them."""
    out: dict[str, Any] = {}
    for line in file.read_text(errors="replace").splitlines():
        oid, tag, raw = [*line.split("|", 2), "", ""][:3]
        oid = oid.lstrip(".")
        if not re.fullmatch(r"\d+(\.\d+)+", oid) or ":" in tag or tag in ("", "5"):
            continue
        try:
            value: Any = bytes.fromhex(raw.strip()) if tag.endswith("x") else raw
            out[oid] = int(value) if tag.rstrip("x") in NUMBERS else value.encode() if tag == "4" else value
        except ValueError:
            continue
    return out


class Agent:
    """A recorded agent in place of the client."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self.rows = sorted((order(oid), oid) for oid in values)

    def _below(self, oid: str) -> Iterator[str]:
        base = order(oid)
        for at in range(bisect_right(self.rows, (base, "~")), len(self.rows)):
            if self.rows[at][0][: len(base)] != base:
                return
            yield self.rows[at][1]

    async def get(self, oids: list[str]) -> dict[str, Any]:
        return {o: self.values[o] for o in oids if o in self.values}

    async def column(self, oid: str) -> dict[str, Any]:
        return {o[len(oid) + 1 :]: self.values[o] for o in self._below(oid)}

    async def first_below(self, oid: str) -> tuple[str, Any] | None:
        return next(((o, self.values[o]) for o in self._below(oid)), None)

    async def close(self) -> None: ...


async def read(file: Path) -> EndpointReport:
    source = SnmpSource(parse_url("snmp://recorded"))
    source._client = Agent(load(file))  # type: ignore[assignment]
    return await source.read()


def expected(folder: Path, name: str) -> dict[str, tuple[str, str, float]]:
    """OID -> (class, description, value) as LibreNMS reads it."""
    file = folder / "tests/data" / f"{name}.json"
    told = (json.loads(file.read_text()).get("sensors") or {}) if file.is_file() else {}
    polled = told.get("poller")
    sensors = polled["sensors"] if isinstance(polled, dict) else (told.get("discovery") or {}).get("sensors") or []
    return {
        s["sensor_oid"].lstrip("."): (s["sensor_class"], s["sensor_descr"], float(s["sensor_current"]))
        for s in sensors
        if s["sensor_class"] in CLASSES and s["sensor_current"] is not None
    }


def kind_of(folder: Path, name: str) -> str:
    for os_name in (name, name.partition("_")[0]):
        file = folder / "resources/definitions/os_detection" / f"{os_name}.yaml"
        if file.is_file():
            found = re.search(r"^type:\s*[\"']?(\w+)", file.read_text(), re.MULTILINE)
            return "power" if os_name in BMCS else found[1] if found else ""
    return ""


def same(value: float, unit: str, wanted: float) -> bool:
    """Whole and thousand-fold units: kW for W, Wh for kWh, seconds for minutes are a matter of taste."""
    plain = canonical(value, unit)[0]
    return any(
        abs(v - wanted) <= max(TOLERANCE * abs(wanted), 0.06) for v in (value, plain, plain / 1000, plain * 1000)
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="names, with * and commas")
    parser.add_argument("--show", action="store_true", help="every value that differs or is not read")
    given = parser.parse_args()
    names = [n for n in given.only.split(",") if n]
    total: Counter[str] = Counter()
    for file in sorted((given.folder / "tests/snmpsim").glob("*.snmprec")):
        wanted = (
            any(fnmatch.fnmatch(file.stem, n) for n in names) if names else kind_of(given.folder, file.stem) in KINDS
        )
        if not wanted:
            continue
        report, oracle = await read(file), expected(given.folder, file.stem)
        got = {r.source: r for r in report.readings}
        unknown = {u.source for u in report.unknown}
        count: Counter[str] = Counter(recordings=1, mapped=bool(report.device.get("map")), sensors=len(oracle))
        count.update(beyond=len(got.keys() - oracle.keys()), totals=report.total_power_w is not None)
        shown = []
        for oid, (kind, name, value) in oracle.items():
            reading = got.get(oid)
            if reading is not None:
                word = "same" if same(reading.value, reading.unit, value) else "differ"
            else:
                word = "unknown" if oid in unknown else "unread"
            count[word] += 1
            if word != "same":
                ours = f"{reading.quantity} {reading.value:g} {reading.unit}" if reading else "-"
                shown.append(f"    {word}: {kind} {name!r} {value:g}, here {ours} ({oid})")
        total += count
        words = " ".join(f"{w} {count[w]}" for w in ("sensors", "same", "differ", "unknown", "unread", "beyond"))
        print(f"{file.stem:40} [{report.device.get('map', 'no map')}] {words} total {report.total_power_w}")
        if given.show:
            print(*shown, sep="\n")
    print(dict(total))


if __name__ == "__main__":
    asyncio.run(main())
