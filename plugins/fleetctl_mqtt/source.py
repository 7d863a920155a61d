"""A building bus, or a part of it, as a source: it listens, and tells the last value of every point with its own time."""

from __future__ import annotations

import asyncio
import time

from fleetctl.errors import TimedOutError, UsageError
from fleetctl.facility.endpoint import Endpoint
from fleetctl.model.facility import EndpointReport, RawValue, SourceFinding, SourceTrouble
from fleetctl_mqtt.bus import Bus, tell, total_power
from fleetctl_mqtt.session import BrokerSession, release, session

LISTEN_S = 10.0
SILENT_S = 250.0  # values are sent again every 100 s: two in a row are missing
MAX_SHOWN = 4_000  # what the store keeps of one endpoint
_SHAPE = "mqtt://host/BMS/v1?object=Rack&tag=site1/row3&listen=110"


class BusSource:
    """`?listen=`: seconds of the first listening; `?object=`, `?tag=`: one object type, points below one tag path."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.root = endpoint.path.strip("/") or "BMS/v1"
        self.object_type = endpoint.options.get("object", "")
        self.tag = endpoint.options.get("tag", "").strip("/")
        if any(c in self.root + self.object_type + self.tag for c in "+#\0") or "/" in self.object_type:
            raise UsageError(f"no wildcards in {endpoint.url}", hint=_SHAPE)
        try:
            self.listen_s = float(endpoint.options.get("listen", LISTEN_S))
        except ValueError:
            self.listen_s = -1.0
        if not 0 <= self.listen_s <= 3600:
            raise UsageError("listen is a number of seconds, at most 3600", hint=_SHAPE)
        self._session: BrokerSession | None = None
        self._bus: Bus | None = None

    def _filters(self) -> list[str]:
        """Metadata first: a value cannot be understood without."""
        below = f"{self.object_type or '+'}/+/{self.tag}/#" if self.tag else f"{self.object_type}/#".lstrip("/")
        return [f"{self.root}/PUB/Metadata/{below}", f"{self.root}/+/Value/{below}"]

    async def _open(self) -> tuple[BrokerSession, Bus]:
        if self._session is None or self._bus is None:
            self._session = self._session or session(self.endpoint)
            bus = await self._session.subscribe(self.root, self._filters())
            await asyncio.sleep(self.listen_s)
            self._bus = bus
        if self._session.ended is not None:
            raise self._session.ended
        return self._session, self._bus

    async def read(self) -> EndpointReport:
        return await self.poll()

    async def poll(self) -> EndpointReport:
        """The first time after listening, then at once: what was heard last."""
        opened, bus = await self._open()
        now = time.time()
        points = list(bus.select(self.object_type, self.tag))
        newest = max((p.heard_at for p in points if p.heard_at is not None), default=None)
        if now - (newest or opened.since) > SILENT_S:
            raise TimedOutError(
                f"{self.endpoint.url}: no value for {now - (newest or opened.since):.0f} s",
                hint="the broker answers; is the building's publisher alive?",
            )
        heard = tell(iter(points[:MAX_SHOWN]))
        findings = [*heard.findings, *bus.findings()]
        if len(points) > MAX_SHOWN:
            text = f"{len(points)} points, {MAX_SHOWN} are told; split them with ?object= or ?tag="
            findings.append(SourceFinding(SourceTrouble.TOO_LARGE, text))
        if newest is None:
            text = f"no value within {self.listen_s:g} s; they come on change and every 100 s (?listen=110)"
            findings.append(SourceFinding(SourceTrouble.TIMED_OUT, text))
        total = total_power(heard.readings)
        return EndpointReport(
            url=self.endpoint.url,
            kind="mqtt",
            at=now,
            readings=tuple(heard.readings),
            states=tuple(heard.states),
            unknown=tuple(heard.unknown),
            findings=tuple(findings),
            total_power_w=total[0] if total else None,
            total_power_source=total[1] if total else "",
            device={"bus": self.root, "points": str(len(points))},
            complete=False,  # each point has its own time: an old one is not a point that is gone
        )

    async def explain(self) -> list[RawValue]:
        _, bus = await self._open()
        rows = []
        for point in bus.select(self.object_type, self.tag):
            told = tell(iter([point]))
            shown = [f"{r.value:g} {r.unit} ({r.quantity})" for r in told.readings]
            shown += [f"{s.word} ({s.what})" for s in told.states]
            unit = point.unit if point.unit is not None else "-"
            note = f"unit {unit}, quality {point.quality}" if point.metadata else "no metadata yet"
            rows.append(RawValue(point.source, point.raw, shown[0] if shown else "unknown", f"{point.where}; {note}"))
        return rows

    async def close(self) -> None:
        if self._session is not None:
            held, self._session, self._bus = self._session, None, None
            await release(held)


def open_source(endpoint: Endpoint) -> BusSource:
    """The factory named in the plugin."""
    return BusSource(endpoint)
