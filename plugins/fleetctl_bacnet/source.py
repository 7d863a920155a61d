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

    async def _properties(self, key: str, names: tuple[str, ...]) -> dict[str, Any]:
        """Several at once, or one by one where the device knows no ReadPropertyMultiple."""
        object_id = ObjectIdentifier(key)
        try:
            found = await self._open().read_property_multiple(self._peer, [object_id, list(names)])
        except ErrorRejectAbortNack as error:
            self._raise_if_silent(error)
            return {name: await self._property(object_id, name) for name in names}
        if not isinstance(found, list):
            return {}
        return {str(prop): value for _, prop, _, value in found if not isinstance(value, ErrorType)}

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
            objects = []
            for key in keys:
                one = BacnetObject(key)
                _fill(one, await self._properties(key, (*_CHANGING, *_FIXED)))
                objects.append(one)
            self._objects = objects
        findings = [SourceFinding(SourceTrouble.TOO_LARGE, f"more than {MAX_OBJECTS} objects")] if cut else []
        return self._report(findings)

    async def poll(self) -> EndpointReport:
        if not self._objects:
            return await self.read()
        async with self._lock:
            for one in self._objects:
                _fill(one, await self._properties(one.key, _CHANGING))
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
    flags = [bool(bit) for bit in found.get("status-flags") or ()][:4]
    flags += [False] * (4 - len(flags))
    one.flags = (flags[0], flags[1], flags[2], flags[3])
    one.out_of_service = bool(found.get("out-of-service") or False)
    reliability = found.get("reliability")
    one.reliability = NO_FAULT if reliability is None else str(reliability)
    one.name = str(found.get("object-name", one.name))[:120]
    one.description = str(found.get("description", one.description) or "")[:120]
    one.units = str(found.get("units", one.units) or "")[:60].replace("no-units", "")


def open_source(endpoint: Endpoint) -> BacnetSource:
    """The factory named in the plugin."""
    return BacnetSource(endpoint)
