"""A BACnet/IP device as a source: its object list once, then the values that change."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bacpypes3.apdu import ErrorRejectAbortNack
from bacpypes3.basetypes import ErrorType, PropertyIdentifier
from bacpypes3.ipv4.app import NormalApplication
from bacpypes3.local.device import DeviceObject
from bacpypes3.pdu import Address, IPv4Address
from bacpypes3.primitivedata import ObjectIdentifier

from fleetctl.errors import ParseError, TimedOutError, UnreachableError, UsageError
from fleetctl.facility.endpoint import Endpoint
from fleetctl.model.facility import EndpointReport, RawValue, SourceFinding, SourceTrouble
from fleetctl_bacnet.points import ANALOG, BINARY, NO_FAULT, BacnetObject, meaning, tell, total_power

MAX_OBJECTS = 2_000
MAX_GROUP = 25  # 25 objects of seven properties are about 1,400 bytes, what an answer may have without segments
ME = 4_194_302  # the highest instance there is: a client that nobody looks for
_CHANGING = ("present-value", "status-flags", "out-of-service", "reliability")
_FIXED = ("object-name", "description", "units")


class BacnetSource:
    """`bacnet://host:47808/INSTANCE`; without an instance the device is asked. `?local=`: our own address and port."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        wanted = endpoint.options.get("device") or endpoint.path.strip("/")
        if wanted and (not wanted.isdigit() or int(wanted) >= ME):
            raise UsageError(f"no device instance {wanted!r}", hint="bacnet://host:47808/1001")
        try:
            self._peer = Address(f"{endpoint.host}:{endpoint.port}")
            self._local = IPv4Address(endpoint.options.get("local", "0.0.0.0:0"))
        except ValueError as error:
            raise UsageError(f"{endpoint.url}: {error}", hint="BACnet/IP takes IPv4 addresses") from None
        self._device = ObjectIdentifier(("device", int(wanted))) if wanted else None
        self._app: NormalApplication | None = None
        self._objects: list[BacnetObject] = []
        self._group = MAX_GROUP  # objects to a question; 0: the device does not know ReadPropertyMultiple
        self._lock = asyncio.Lock()

    def _open(self) -> NormalApplication:
        if self._app is None:
            me = DeviceObject(
                objectIdentifier=("device", ME),
                objectName="fleetctl",
                vendorIdentifier=999,
                maxApduLengthAccepted=1476,
                segmentationSupported="segmented-both",
                apduTimeout=int(min(self.endpoint.timeout_s, 30.0) * 500),
                numberOfApduRetries=1,
            )
            try:
                self._app = NormalApplication(me, self._local)
            except OSError as error:
                raise UnreachableError(
                    f"{self._local}: {error}", hint="choose another with ?local=ADDRESS:PORT"
                ) from None
        return self._app

    async def _property(self, object_id: Any, name: str, index: int | None = None) -> Any:
        """One property; None where the device has none. Raises TimedOutError."""
        try:
            value = await self._open().read_property(self._peer, object_id, PropertyIdentifier(name), index)
        except ErrorRejectAbortNack as error:
            self._raise_if_silent(error)
            return None
        return None if isinstance(value, ErrorType) else value

    def _raise_if_silent(self, error: ErrorRejectAbortNack) -> None:
        if "no-response" in str(error):
            raise TimedOutError(f"{self.endpoint.url}: no answer", hint="is it there, and is UDP open?") from None

    async def _properties(self, keys: list[str], names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
        """Properties of many objects, several objects to a question (ReadPropertyMultiple). Where an answer would be too
        long the questions get shorter; where the device does not know the service, property by property."""
        out: dict[str, dict[str, Any]] = {}
        todo = list(keys)
        while todo:
            part = todo[: max(1, self._group)]
            if self._group == 0:
                found = None
            else:
                found = await self._multiple(part, names)
            if found is None and len(part) > 1:
                continue  # the group has become smaller
            if found is None:
                object_id = ObjectIdentifier(part[0])
                found = {part[0]: {name: await self._property(object_id, name) for name in names}}
            out.update(found)
            del todo[: len(part)]
        return out

    async def _multiple(self, keys: list[str], names: tuple[str, ...]) -> dict[str, dict[str, Any]] | None:
        """One question about several objects; None where it has to be put in a smaller way."""
        question: list[Any] = []
        for key in keys:
            question += [ObjectIdentifier(key), list(names)]
        try:
            found: Any = await self._open().read_property_multiple(self._peer, question)
        except ErrorRejectAbortNack as error:
            found = error
        if not isinstance(found, list):
            if isinstance(found, ErrorRejectAbortNack):
                self._raise_if_silent(found)
            unknown_service = "unrecognized-service" in str(found)
            self._group = 0 if unknown_service else len(keys) // 2 if len(keys) > 1 else self._group
            return None
        out: dict[str, dict[str, Any]] = {key: {} for key in keys}
        for object_id, prop, _, value in found:
            if not isinstance(value, ErrorType):
                out.setdefault(str(object_id), {})[str(prop)] = value
        return out

    async def _list(self) -> tuple[list[str], bool]:
        """Keys of the objects we read, and whether there were more than we take."""
        if self._device is None:
            answers = await self._open().who_is(address=self._peer, timeout=int(min(self.endpoint.timeout_s, 5.0)) or 1)
            if not answers:
                raise TimedOutError(f"{self.endpoint.url}: no answer to Who-Is", hint="name it: bacnet://host/INSTANCE")
            self._device = answers[0].iAmDeviceIdentifier
        found = await self._property(self._device, "object-list")
        if found is None:  # too long for its buffers: one by one
            count = await self._property(self._device, "object-list", 0)
            if count is None:
                raise ParseError(f"{self.endpoint.url}: no object list", hint="is the instance the right one?")
            found = [
                await self._property(self._device, "object-list", i + 1) for i in range(min(int(count), MAX_OBJECTS))
            ]
        keys = [str(one) for one in found if one is not None]
        keys = [key for key in keys if key.split(",", 1)[0] in (*ANALOG, *BINARY)]
        return keys[:MAX_OBJECTS], len(keys) > MAX_OBJECTS

    async def read(self) -> EndpointReport:
        async with self._lock:
            keys, cut = await self._list()
            objects = [BacnetObject(key) for key in keys]
            plain = [key for key in keys if not key.startswith("accumulator")]
            counting = [key for key in keys if key.startswith("accumulator")]
            told = await self._properties(plain, (*_CHANGING, *_FIXED)) if plain else {}
            told |= await self._properties(counting, (*_CHANGING, *_FIXED, "scale")) if counting else {}
            for one in objects:
                _fill(one, told.get(one.key, {}))
            self._objects = objects
        findings = [SourceFinding(SourceTrouble.TOO_LARGE, f"more than {MAX_OBJECTS} objects")] if cut else []
        return self._report(findings)

    async def poll(self) -> EndpointReport:
        if not self._objects:
            return await self.read()
        async with self._lock:
            told = await self._properties([one.key for one in self._objects], _CHANGING)
            for one in self._objects:
                _fill(one, told.get(one.key, {}))
        return self._report([])

    def _report(self, findings: list[SourceFinding]) -> EndpointReport:
        at = time.time()
        readings, states, unknown, more = tell(self._objects, at)
        total = total_power(readings)
        return EndpointReport(
            url=self.endpoint.url,
            kind="bacnet",
            at=at,
            readings=tuple(readings),
            states=tuple(states),
            unknown=tuple(unknown),
            findings=(*findings, *more),
            total_power_w=total.value if total else None,
            total_power_source=f"{total.where} ({total.source})" if total else "",
            device={"instance": str(self._device[1])} if self._device is not None else {},
            complete=not findings and not more,
        )

    async def explain(self) -> list[RawValue]:
        await self.read()
        rows = []
        for one in self._objects:
            quantity = meaning(one)[0] if one.kind in ANALOG else "state"
            shown = "unknown" if one.trouble or one.value is None else f"{one.value} {one.units} ({quantity})"
            note = "; ".join(t for t in (one.name, one.description, one.trouble) if t)
            rows.append(RawValue(one.key, str(one.value), shown, note))
        return rows

    async def close(self) -> None:
        if self._app is not None:
            self._app.close()
            self._app = None


def _fill(one: BacnetObject, found: dict[str, Any]) -> None:
    """The library's types as plain ones. What the device did not tell is none; names stay as they were."""
    value = found.get("present-value")
    if one.kind in BINARY:
        one.value = str(value) if value is not None and str(value) in ("active", "inactive") else None
    else:
        one.value = float(value) if isinstance(value, int | float) else None
    if "scale" in found:
        one.scale = _scale(found["scale"])
    if isinstance(one.value, float) and one.kind == "accumulator":
        one.value = one.value * one.scale if one.scale else None
    flags = [bool(bit) for bit in found.get("status-flags") or ()][:4]
    flags += [False] * (4 - len(flags))
    one.flags = (flags[0], flags[1], flags[2], flags[3])
    one.out_of_service = bool(found.get("out-of-service") or False)
    reliability = found.get("reliability")
    one.reliability = NO_FAULT if reliability is None else str(reliability)
    one.name = str(found.get("object-name", one.name))[:120]
    one.description = str(found.get("description", one.description) or "")[:120]
    one.units = str(found.get("units", one.units) or "")[:60].replace("no-units", "")


def _scale(choice: Any) -> float:
    """What one count of an accumulator is: a factor, or a power of ten. 0: the device does not tell."""
    factor, power = getattr(choice, "floatScale", None), getattr(choice, "integerScale", None)
    if factor is not None:
        return float(factor)
    return 10.0 ** int(power) if power is not None and -12 <= int(power) <= 12 else 0.0


def open_source(endpoint: Endpoint) -> BacnetSource:
    """The factory named in the plugin."""
    return BacnetSource(endpoint)
