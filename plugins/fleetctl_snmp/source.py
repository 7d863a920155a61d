"""An SNMP agent as a source: which maps fit it, the complete reading, the short poll."""

from __future__ import annotations

import time

from fleetctl.errors import FleetctlError, TimedOutError
from fleetctl.facility.endpoint import Endpoint
from fleetctl.model.facility import EndpointReport, RawValue, SourceFinding, SourceTrouble
from fleetctl_snmp.client import SnmpClient, Value, open_client
from fleetctl_snmp.decode import Decoded, Spot, columns_of, find_spots, scalars_of, take, text, total_power
from fleetctl_snmp.device_map import DeviceMap, known_maps, load_map

SYSTEM = {
    "description": "1.3.6.1.2.1.1.1.0",
    "object_id": "1.3.6.1.2.1.1.2.0",
    "name": "1.3.6.1.2.1.1.5.0",
    "location": "1.3.6.1.2.1.1.6.0",
}
# Agents that are a library's default say nothing about the device.
_NO_IDENTITY = ("1.3.6.1.4.1.8072.", "0.0")
_EXPLAIN_ROWS = 600
SHORT_COLUMN = 8  # rows; a column up to that is asked value by value, twenty to a question


def _enterprise(oid: str) -> str:
    parts = oid.split(".")
    return ".".join(parts[:7]) if oid.startswith("1.3.6.1.4.1.") and len(parts) >= 7 else ""


def _fits(device_map: DeviceMap, object_id: str) -> bool:
    """False where the map is for products that the device says it is not."""
    ids = device_map.object_ids
    return not ids or not object_id or any(f"{object_id}.".startswith(f"{one}.") for one in ids)


class SnmpSource:
    """One agent. The maps that fit are found once; `poll` reads their columns again."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._client: SnmpClient | None = None
        self._maps: list[DeviceMap] | None = None
        self._device: dict[str, str] = {}
        self._spots: tuple[Spot, ...] = ()
        self._single: tuple[str, ...] = ()
        self._long: tuple[str, ...] = ()

    def _open(self) -> SnmpClient:
        if self._client is None:
            self._client = open_client(self.endpoint)
        return self._client

    async def _find_maps(self) -> list[DeviceMap]:
        """By sysObjectID within the vendor's maps, by presence elsewhere; each candidate's subtree must be there."""
        client = self._open()
        system = await client.get(list(SYSTEM.values()))
        told = {
            k: text(system.get(oid)).lstrip(".") if k == "object_id" else text(system.get(oid))
            for k, oid in SYSTEM.items()
        }
        if self.endpoint.map_path:
            chosen = [load_map(name, self.endpoint.maps) for name in self.endpoint.map_path.split(",")]
            self._device = {k: v for k, v in told.items() if v} | {"map": ", ".join(m.name for m in chosen)}
            return chosen
        object_id = told["object_id"]
        if any(object_id.startswith(p) for p in _NO_IDENTITY):
            object_id = ""
        enterprise = _enterprise(object_id)
        known = known_maps(self.endpoint.maps)
        own = [m for m in known if enterprise and any(_enterprise(p) == enterprise for p in m.present)]
        found = await self._present([m for m in own if _fits(m, object_id)])
        if not found or not enterprise:
            rest = [m for m in known if not m.standard and m not in own]
            found += await self._present([m for m in rest if _fits(m, object_id)])
        replaced = {name for m in found for name in m.replaces}
        found += await self._present([m for m in known if m.standard and m not in found])
        found = [m for m in found if m.name not in replaced]
        vendor = next((m.vendor for m in found if m.vendor), "")
        self._device = {k: v for k, v in told.items() if v}
        if vendor:
            self._device["vendor"] = vendor
        if found:
            self._device["map"] = ", ".join(m.name for m in found)
        return found

    async def _present(self, maps: list[DeviceMap]) -> list[DeviceMap]:
        client = self._open()
        seen: dict[str, bool] = {"": True}

        async def is_there(oid: str) -> bool:
            if oid not in seen:
                seen[oid] = await client.first_below(oid) is not None
            return seen[oid]

        out = []
        for device_map in maps:
            for oid in device_map.present:
                if await is_there(_enterprise(oid)) and await is_there(oid):  # one question rules out a vendor's maps
                    out.append(device_map)
                    break
        return out

    async def read(self) -> EndpointReport:
        """Finds the maps anew and reads every column they name."""
        self._maps = await self._find_maps()
        client = self._open()
        findings: list[SourceFinding] = []
        columns: dict[str, dict[str, Value]] = {}
        scalars: dict[str, Value] = {}
        if not self._maps:
            told = self._device.get("object_id") or self._device.get("description") or "nothing"
            findings.append(
                SourceFinding(
                    SourceTrouble.UNKNOWN_DEVICE,
                    f"no device map fits (the agent says {told}); fleetctl facility explain helps to write one",
                )
            )
        wanted = sorted({oid for m in self._maps for oid in scalars_of(m)})
        try:
            scalars = await client.get(wanted) if wanted else {}
            for oid in sorted({oid for m in self._maps for oid in columns_of(m)}):
                columns[oid] = await client.column(oid)
        except TimedOutError as error:
            if not scalars and not columns:
                raise
            findings.append(SourceFinding(SourceTrouble.TIMED_OUT, str(error)))
        except FleetctlError as error:
            if not scalars and not columns:
                raise
            findings.append(SourceFinding(SourceTrouble.UNREADABLE, str(error)))
        self._remember(told_apart([(s, m.name) for m in self._maps for s in find_spots(m, columns, scalars)]), columns)
        for device_map in self._maps:
            for key, oid in (device_map.facts or {}).items():
                if text(scalars.get(oid)):
                    self._device[key] = text(scalars[oid])
        return self._report(columns, scalars, findings, complete=not findings)

    def _remember(self, spots: list[Spot], columns: dict[str, dict[str, Value]]) -> None:
        """What polls ask: short columns value by value, long ones as a whole."""
        long = {oid for oid, rows in columns.items() if len(rows) > SHORT_COLUMN}
        self._spots = tuple(spots)
        self._long = tuple(sorted({s.point.oid for s in spots if s.point.is_column and s.point.oid in long}))
        self._single = tuple({s.oid: None for s in spots if not s.point.is_column or s.point.oid not in long})

    async def poll(self) -> EndpointReport:
        """What changes: names, digits and units stay as the last complete reading found them."""
        if self._maps is None:
            return await self.read()
        client = self._open()
        scalars = await client.get(self._single) if self._single else {}
        if self._single and not scalars:
            self._maps = None  # another device answers there now
            raise TimedOutError(f"{self.endpoint.url}: knows none of its values any more", hint="it is read anew")
        columns = {oid: await client.column(oid) for oid in self._long}
        return self._report(columns, scalars, [], complete=False)

    def _report(
        self,
        columns: dict[str, dict[str, Value]],
        scalars: dict[str, Value],
        findings: list[SourceFinding],
        *,
        complete: bool,
    ) -> EndpointReport:
        at = time.time()
        whole = Decoded(findings=findings)
        for spot in self._spots:
            rows = columns.get(spot.point.oid) if spot.index else None
            take(spot, scalars.get(spot.oid) if rows is None else rows.get(spot.index), at, whole)
        total = total_power(whole)
        known = {r.source for r in whole.readings}
        return EndpointReport(
            url=self.endpoint.url,
            kind="snmp",
            at=at,
            readings=tuple(whole.readings),
            states=tuple(whole.states),
            unknown=tuple(u for u in whole.unknown if u.source not in known),
            findings=tuple(whole.findings),
            total_power_w=total[0] if total else None,
            total_power_source=total[1] if total else "",
            device=self._device,
            complete=complete,
        )

    async def explain(self) -> list[RawValue]:
        """What the maps decode, and up to 600 raw values below the vendor's own tree, for writing a map."""
        report = await self.read()
        rows = [
            RawValue(r.source, r.raw, f"{r.value:g} {r.unit}", f"{r.quantity} of {r.where}") for r in report.readings
        ]
        rows += [RawValue(s.source, s.raw, s.word, f"{s.what} of {s.where}") for s in report.states]
        rows += [RawValue(u.source, u.raw, "unknown", f"{u.quantity} of {u.where}") for u in report.unknown]
        seen = {row.source for row in rows}
        client = self._open()
        oid = _enterprise(self._device.get("object_id", "")) or "1.3.6.1.4.1"
        columns: dict[str, int] = {}
        for _ in range(_EXPLAIN_ROWS):
            step = await client.next_after(oid)
            if step is None:
                break
            oid = step[0]
            if oid not in seen:
                rows.append(RawValue(oid, text(step[1]), tenths(step[1]), ""))
            column = column_full(oid, columns)
            if column:  # enough of that one: an event log of thousands of rows must not hide what stands behind it
                rows.append(RawValue(f"{column}.*", "", "", "more rows of this column are left out"))
                oid = f"{column}.4294967295"
        return rows

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None


def told_apart(spots: list[tuple[Spot, str]]) -> list[Spot]:
    """No two values of one quantity under one name: the later one takes its row, or its map, behind the name."""
    names: set[tuple[str, str]] = set()
    sources: set[str] = set()
    out = []
    for spot, name in spots:
        if spot.oid in sources:
            continue  # two maps may name the same OID: the first one counts
        for further in (spot.index, name, spot.oid):
            if (spot.quantity, spot.where) not in names:
                break
            if further:
                spot = spot._replace(where=f"{spot.where} ({further})")
        sources.add(spot.oid)
        names.add((spot.quantity, spot.where))
        out.append(spot)
    return out


def column_full(oid: str, columns: dict[str, int]) -> str:
    """The column that has had its share of rows with this one, or "". columns: rows seen, by column."""
    parts = oid.split(".")
    if parts[-1] == "0":
        return ""  # a single value
    for cut, most in ((1, 4), (2, 100)):  # the second may be a whole table, or a column of two indices
        column = ".".join(parts[:-cut])
        if len(parts) - cut < 9:
            break
        columns[column] = columns.get(column, 0) + 1
        if columns[column] == most:
            return column
    return ""


def tenths(value: Value) -> str:
    """What a whole number would be with one or two decimals: makers mean it so as often as not."""
    if isinstance(value, int) and not isinstance(value, bool) and 10 <= abs(value) < 1_000_000:
        return f"/10: {value / 10:g}, /100: {value / 100:g}"
    return ""


def open_source(endpoint: Endpoint) -> SnmpSource:
    """The factory named in the plugin."""
    return SnmpSource(endpoint)
