"""SNMP traps: a device that speaks up by itself is asked at once. A trap is a hint, never a measurement.

The sender's address decides who it may be; what comes from anywhere else is counted and dropped unread. Each sender has
a small allowance, the queue is short, repeats are folded, so a flood costs datagrams and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import re
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from fleetctl.clock import Clock
from fleetctl.errors import ConfigError, FleetctlError
from fleetctl.facility.endpoint import Credentials
from fleetctl.facility.endpoints import Asked
from fleetctl.facility.trap import Decoder, Notification, open_decoder

log = logging.getLogger("fleetctl.traps")

MAX_DATAGRAM = 65_507
QUEUE = 256  # datagrams that wait to be decoded
BURST = 10.0  # datagrams a sender may send at once ...
REFILL_PER_S = 0.5  # ... and from then on
DECODED_PER_TURN = 20
TURN_S = 0.5
HINT_EVERY_S = 5.0
TELL_EVERY_S = 60.0
FOLDED = 500  # different (device, notification) pairs between two notes
_CLEARED = re.compile(
    r"clear|restored|return|established|resolved|normal|Off$|Ok$|passed|ColdStart|warmStart|linkUp", re.I
)
_GRAVE = re.compile(r"overload|onBattery|lowBattery|lost|fail|fault|smoke|leak|over(temp|current)|violation", re.I)
OnEvents = Callable[[list["TrapEvent"]], Awaitable[None]]


@dataclass(slots=True)
class TrapEvent:
    """One kind of notification of one device since the last note. host: set for BMCs of hosts; severity: ok or warn."""

    at: float
    device: str
    host: str | None
    name: str
    text: str
    severity: str
    count: int = 1


@dataclass(slots=True)
class TrapStats:
    """Datagrams since the lane began."""

    heard: int = 0
    unknown_sender: int = 0
    flooded: int = 0
    refused: int = 0
    decoded: int = 0


class TrapLane:
    """Listens on `listen` (ADDRESS:PORT) until cancelled. `hint` is called with an endpoint's name."""

    def __init__(
        self,
        listen: str,
        endpoints: Mapping[str, Asked],
        clock: Clock,
        hint: Callable[[str], None],
        *,
        decoder: Callable[[], Decoder] = open_decoder,
    ) -> None:
        self.address = parse_listen(listen)
        self.stats = TrapStats()
        self.port = 0  # that was taken, once `run` listens
        self._endpoints = endpoints
        self._clock = clock
        self._hint = hint
        self._open_decoder = decoder
        self._queue: deque[tuple[bytes, tuple[str, int]]] = deque(maxlen=QUEUE)
        self._names: dict[str, str] = {}  # address -> endpoint
        self._allowance: dict[str, tuple[float, float]] = {}  # address -> (tokens, when)
        self._credentials: dict[str, Credentials] = {}
        self._hinted: dict[str, float] = {}
        self._folded: dict[tuple[str, str], TrapEvent] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._stranger = ""  # the last unknown sender
        self._told: tuple[int, int, int] = (0, 0, 0)  # dropped, as far as events say
        self._told_at = float("-inf")

    async def run(self, on_events: OnEvents) -> None:
        """Raises ConfigError where the address cannot be listened on, NotFoundError without the library."""
        decoder = self._open_decoder()
        self._names = await asyncio.to_thread(senders, self._endpoints)
        host, port = self.address
        loop = asyncio.get_running_loop()
        try:
            self._transport, _ = await loop.create_datagram_endpoint(lambda: _Ear(self.take), local_addr=(host, port))
        except OSError as error:
            raise ConfigError(
                f"facility.traps: cannot listen on {host}:{port}: {error.strerror or error}",
                hint="ports below 1024 need CAP_NET_BIND_SERVICE; 0.0.0.0:9162 needs nothing",
            ) from None
        self.port = self._transport.get_extra_info("sockname")[1]
        log.info("SNMP traps are heard on %s:%d, of %d devices", host, self.port, len(self._names))
        try:
            while True:
                await self._clock.sleep(TURN_S)
                await self.turn(decoder, on_events)
        finally:
            self._transport.close()

    def take(self, datagram: bytes, sender: tuple[str, int]) -> None:
        """One datagram off the wire: counted; kept only of a known sender within its allowance."""
        self.stats.heard += 1
        address = _plain(sender[0])
        if address not in self._names or len(datagram) > MAX_DATAGRAM:
            self.stats.unknown_sender += 1
            self._stranger = address[:64]
            return
        now = self._clock.monotonic()
        tokens, when = self._allowance.get(address, (BURST, now))
        tokens = min(BURST, tokens + (now - when) * REFILL_PER_S)
        if tokens < 1.0 or len(self._queue) >= QUEUE:
            self._allowance[address] = (tokens, now)
            self.stats.flooded += 1
            return
        self._allowance[address] = (tokens - 1.0, now)
        self._queue.append((datagram, sender))

    async def turn(self, decoder: Decoder, on_events: OnEvents) -> None:
        """Decode what waits, wake the devices, hand on what was folded."""
        for _ in range(min(DECODED_PER_TURN, len(self._queue))):
            datagram, sender = self._queue.popleft()
            name = self._names[_plain(sender[0])]
            try:
                notification, replies = decoder.decode(datagram, await self._credentials_of(name))
            except FleetctlError as error:
                self.stats.refused += 1
                log.debug("a datagram of %s: %s", name, error)
                continue
            self.stats.decoded += 1
            for reply in replies:  # an inform waits for its answer
                if self._transport is not None:
                    self._transport.sendto(reply, sender)
            self._note(name, notification)
        events, self._folded = list(self._folded.values()), {}
        events += self._dropped()
        if events:
            await on_events(events)

    def _dropped(self) -> list[TrapEvent]:
        """Once a minute, what was not believed since the last time: a person has to see that somebody knocks."""
        now = self._clock.monotonic()
        stats = (self.stats.unknown_sender, self.stats.refused, self.stats.flooded)
        if now - self._told_at < TELL_EVERY_S or stats == self._told:
            return []
        strangers, refused, flooded = (a - b for a, b in zip(stats, self._told, strict=True))
        self._told_at, self._told = now, stats
        text = f"SNMP traps dropped: {strangers} of unknown senders"
        text += f" (last {self._stranger})" if strangers else ""
        text += f", {refused} with a wrong community, user or key, {flooded} over a sender's allowance"
        return [TrapEvent(self._clock.now(), "", None, "traps dropped", text, "ok", strangers + refused + flooded)]

    def _note(self, name: str, notification: Notification) -> None:
        now = self._clock.monotonic()
        if now - self._hinted.get(name, float("-inf")) >= HINT_EVERY_S:
            self._hinted[name] = now
            self._hint(name)
        key = (name, notification.oid)
        event = self._folded.get(key)
        if event is not None:
            event.count += 1
        elif len(self._folded) < FOLDED:
            told = "; ".join(notification.values)
            text = f"{name}: {notification.name}" + (f" ({told})" if told else "")
            grave = _GRAVE.search(notification.name) and not _CLEARED.search(notification.name)
            self._folded[key] = TrapEvent(
                self._clock.now(),
                name,
                self._endpoints[name].host,
                f"trap {name} {notification.name}",
                text[:500],
                "warn" if grave else "ok",
            )

    async def _credentials_of(self, name: str) -> Credentials:
        if name not in self._credentials:
            try:
                self._credentials[name] = (await asyncio.to_thread(self._endpoints[name].endpoint)).credentials
            except FleetctlError as error:
                log.warning("%s: its traps cannot be checked: %s", name, error)
                self._credentials[name] = Credentials()
        return self._credentials[name]


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:  # type: ignore[override,unused-ignore]
        self._take(data, addr)


def parse_listen(text: str) -> tuple[str, int]:
    """`0.0.0.0:9162` or `[::]:162`. Raises ConfigError."""
    try:
        parts = urlsplit(f"//{text}")
        if parts.hostname and parts.port is not None and not parts.path:
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise ConfigError(f"facility.traps: {text!r} is no address and port", hint="for example 0.0.0.0:9162 or [::]:162")


def senders(endpoints: Mapping[str, Asked]) -> dict[str, str]:
    """Address -> endpoint. Names are looked up once; one that does not resolve is left out. SNMP endpoints win."""
    out: dict[str, str] = {}
    for name, asked in sorted(endpoints.items(), key=lambda item: item[1].url.startswith("snmp:")):
        host = urlsplit(asked.url).hostname or ""
        try:
            out[str(ipaddress.ip_address(host))] = name
        except ValueError:
            with contextlib.suppress(OSError):
                for found in socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM):
                    out[_plain(str(found[4][0]))] = name
    return out


def _plain(address: str) -> str:
    """An IPv4 address without its IPv6 coat."""
    return address.removeprefix("::ffff:").partition("%")[0]
