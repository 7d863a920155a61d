"""What a building bus said: from topics and payloads to points with their last value. Pure, and bounded.

Topics: ROOT/PUB/Metadata/{objectType}/{pointType}/{tagPath} and ROOT/{publisher}/Value/...; the building publishes all
metadata and its own values (publisher PUB), an integration only the points whose metadata names it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fleetctl.facility.quantity import number, plausible
from fleetctl.model.facility import Measurement, PointState, SourceFinding, SourceTrouble, Unknown
from fleetctl.probes.text import clean
from fleetctl_mqtt.points import HEARTBEATS, NUMBERS, STATES, amount, is_bad

MAX_POINTS = 50_000
MAX_TOPIC = 290  # the store keeps 300 characters of a source
MAX_PAYLOAD = 65_536
MAX_FINDINGS = 50
MAX_TEXTS = 32
AHEAD_S = 120.0  # a publisher's clock may be this much ahead of ours
BUILDING = "PUB"


@dataclass(slots=True)
class BusPoint:
    """One point. at: the publisher's own time of the value, epoch seconds; heard_at: ours; None: nothing yet."""

    object_type: str
    point_type: str
    tag: str
    metadata: bool = False
    name: str = ""
    unit: str | None = None
    texts: dict[int, str] = field(default_factory=dict)
    integration: str = ""
    is_setpoint: bool = False
    value: float | None = None
    quality: int = 1
    at: float | None = None
    heard_at: float | None = None
    raw: str = ""

    @property
    def source(self) -> str:
        return f"{self.object_type}/{self.point_type}/{self.tag}"

    @property
    def where(self) -> str:
        return f"{self.name or self.tag} {self.point_type}"


@dataclass(slots=True)
class Heard:
    """What points came to, in the terms of a report."""

    readings: list[Measurement] = field(default_factory=list)
    states: list[PointState] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    findings: list[SourceFinding] = field(default_factory=list)


class Bus:
    """The last value and the metadata of every point below one root topic."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.points: dict[str, BusPoint] = {}
        self.heard_at: float | None = None  # the newest value of all
        self._findings: dict[tuple[SourceTrouble, str], SourceFinding] = {}
        self._dropped = 0

    def hear(self, topic: str, payload: bytes, now: float) -> None:
        """Take one message. What cannot be read is a finding and changes no point."""
        parts = topic[len(self.root) + 1 :].split("/", 4) if topic.startswith(self.root + "/") else []
        if len(parts) < 5 or not all(parts) or parts[1] not in ("Value", "Metadata"):
            return  # other traffic below the root
        publisher, kind, object_type, point_type, tag = parts
        if point_type in HEARTBEATS:
            return
        source = f"{object_type}/{point_type}/{tag}"
        if not topic.isprintable():
            self._find(SourceTrouble.UNREADABLE, "a topic that cannot be printed", "")
        elif len(source) > MAX_TOPIC:
            self._find(SourceTrouble.TOO_LARGE, f"a topic of {len(topic)} characters", source[:80])
        elif len(payload) > MAX_PAYLOAD:
            self._find(SourceTrouble.TOO_LARGE, f"a message of {len(payload)} bytes", source)
        elif source not in self.points and len(self.points) >= MAX_POINTS:
            self._find(SourceTrouble.TOO_LARGE, f"more than {MAX_POINTS} points; narrow it with ?object= or ?tag=", "")
        else:
            body = _object(payload)
            if body is None:
                self._find(SourceTrouble.UNREADABLE, f"not a JSON object: {payload[:40]!r}", source)
                return
            if kind == "Value":
                self._value(publisher, object_type, point_type, tag, body, now)
            elif publisher == BUILDING:
                point = self.points.setdefault(source, BusPoint(object_type, point_type, tag))
                _describe(point, body)

    def _value(
        self, publisher: str, object_type: str, point_type: str, tag: str, body: dict[str, Any], now: float
    ) -> None:
        source = f"{object_type}/{point_type}/{tag}"
        point = self.points.get(source)
        if publisher != BUILDING and (point is None or point.integration != publisher):
            if point is not None and point.metadata:
                self._find(SourceTrouble.REFUSED, f"{publisher[:40]} published a point that is not its own", source)
            return
        if "value" not in body:
            self._find(SourceTrouble.UNREADABLE, "a value message without a value", source)
            return
        at = _moment(body.get("timestamp"))
        if at is None or at > now + AHEAD_S:
            text = "no time with a value" if at is None else f"a value {at - now:.0f} s ahead of our clock"
            self._find(SourceTrouble.IMPLAUSIBLE, text + "; it has the time it was heard", source)
            at = now
        if point is None:
            point = self.points[source] = BusPoint(object_type, point_type, tag)
        if point.at is not None and at < point.at and now - (point.heard_at or now) < AHEAD_S:
            return  # out of order
        quality = body.get("quality")
        point.quality = quality if type(quality) is int else 0
        point.value = number(body["value"], absent=()) if type(body["value"]) in (int, float) else None
        point.raw = clean(str(body["value"])[:80])
        point.at, point.heard_at = at, now
        self.heard_at = now

    def _find(self, kind: SourceTrouble, text: str, source: str) -> None:
        if (kind, source) in self._findings or len(self._findings) < MAX_FINDINGS:
            self._findings[kind, source] = SourceFinding(kind, f"{source[:120]}: {text}" if source else text, source)
        else:
            self._dropped += 1

    def findings(self) -> list[SourceFinding]:
        """What could not be read since this was last asked."""
        out = list(self._findings.values())
        if self._dropped:
            out.append(SourceFinding(SourceTrouble.UNREADABLE, f"{self._dropped} more messages of that kind"))
        self._findings, self._dropped = {}, 0
        return out

    def select(self, object_type: str = "", tag: str = "") -> Iterator[BusPoint]:
        """Points of one object type and below one tag path; empty: all."""
        for point in self.points.values():
            fits = not tag or point.tag == tag or point.tag.startswith(tag + "/")
            if fits and (not object_type or point.object_type == object_type):
                yield point


def _object(payload: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, a number of 5,000 digits, a thousand brackets
        return None
    return body if isinstance(body, dict) else None


def _moment(timestamp: object) -> float | None:
    """Epoch milliseconds as seconds; None where it is none of this century."""
    if type(timestamp) not in (int, float):
        return None
    try:
        seconds = float(timestamp) / 1000  # type: ignore[arg-type]
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) and 946_684_800 <= seconds <= 4_102_444_800 else None


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    return clean(value[:160]).strip()[:80] if isinstance(value, str) else ""


def _describe(point: BusPoint, body: dict[str, Any]) -> None:
    """Keep what the metadata says: unit or state texts, and a name from rack or object, area and phase."""
    point.metadata = True
    point.unit = _text(body, "engUnit") or None
    areas = body.get("processArea")
    words = [
        _text(body, "rackLocationName") or _text(body, "objectName") or _text(body, "associateId"),
        *(clean(a[:80]).strip()[:40] for a in (areas if isinstance(areas, list) else [])[:4] if isinstance(a, str)),
        _text(body, "phase"),
    ]
    point.name = " ".join(w for w in words if w)
    point.integration = _text(body, "integration")
    point.is_setpoint = body.get("isSetpoint") is True
    point.texts = {}
    texts = body.get("stateText")
    for entry in (texts if isinstance(texts, list) else [])[:MAX_TEXTS]:
        if isinstance(entry, dict) and type(entry.get("value")) is int and isinstance(entry.get("text"), str):
            point.texts[entry["value"]] = _text(entry, "text")


def tell(points: Iterator[BusPoint]) -> Heard:
    """Points as readings, states and unknowns. Null and any quality but 1 are unknown, never a zero."""
    out = Heard()
    for point in points:
        state = STATES.get(point.point_type) or ("state" if point.texts else "")
        quantity, fixed = NUMBERS.get(point.point_type, ("generic", None))
        if point.is_setpoint and not quantity.endswith("_setpoint"):
            quantity += "_setpoint"
        value, at = point.value, point.at
        if value is None or at is None or point.quality != 1:
            why = f"{point.raw} (quality {point.quality})" if point.quality != 1 else point.raw
            out.unknown.append(Unknown(state or quantity, point.where, point.source, why))
            if state and at is not None:  # a detector that cannot tell must not go on saying "dry"
                out.states.append(PointState(state, point.where, "unknown", point.source, why, at))
        elif state:
            word = point.texts.get(int(value)) if value == int(value) else None
            word = word or f"{value:g}"
            bad = is_bad(word, value) if state in ("leak", "alarm") else None
            out.states.append(PointState(state, point.where, word, point.source, point.raw, at, bad))
        else:
            unit = point.unit if point.unit is not None else fixed
            if unit is None:
                why = "no unit in its metadata" if point.metadata else "no metadata yet"
                out.unknown.append(Unknown(quantity, point.where, point.source, f"{point.raw} ({why})"))
                continue
            quantity, value, unit = amount(quantity, value, unit)
            if plausible(quantity, value, unit):
                out.readings.append(Measurement(quantity, point.where, value, unit, point.source, point.raw, at))
            else:
                text = f"{point.where}: {value:g} {unit} cannot be"
                out.findings.append(SourceFinding(SourceTrouble.IMPLAUSIBLE, text, point.source))
    return out


def total_power(readings: list[Measurement]) -> tuple[float, str] | None:
    """The only rack's power, else the only meter's. Several are never added: they may stand one behind the other."""
    for kind in ("Rack/RackPower/", "PowerMeter/ActivePower/"):
        found = [r for r in readings if r.quantity == "power" and r.unit == "W" and r.source.startswith(kind)]
        if found:
            return (found[0].value, f"{found[0].where} ({found[0].source})") if len(found) == 1 else None
    return None
