"""Live sessions per host: made once, shared by everyone who asks, made again when lost, never hammered.

One `Connections` per process. `session()` is cheap when the host is connected; for a host that failed it repeats the
last failure at once until its backoff is over, so that a caller's round is not held up by hosts known to be dead.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from fleetctl.clock import Clock, SystemClock
from fleetctl.errors import FleetctlError, UnreachableError
from fleetctl.model.host import Host
from fleetctl.model.report import ErrorKind
from fleetctl.transport.backoff import Backoff
from fleetctl.transport.base import Session, Transport


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """How one host's connection fares. connected_at: console clock, epoch seconds; retry_in_s: until the next try is
    allowed; connects and losses: since the start of this process; error: of the last failure, None while connected."""

    host: str
    connected: bool
    connecting: bool
    connected_at: float | None
    retry_in_s: float
    failures: int
    connects: int
    losses: int
    error: ErrorKind | None
    error_text: str
    hint: str


@dataclass(slots=True)
class _Entry:
    host: Host
    session: Session | None = None
    task: asyncio.Task[Session] | None = None
    connected_at: float | None = None
    backoff: Backoff = field(default_factory=Backoff)
    connects: int = 0
    losses: int = 0
    error: FleetctlError | None = None


class Connections:
    """Sessions of all hosts. transports: kind -> transport; site_sessions: site -> connections kept open at most."""

    def __init__(
        self,
        transports: Mapping[str, Transport],
        *,
        site_sessions: Mapping[str, int] | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._transports = transports
        self._site_sessions = site_sessions or {}
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()
        self._entries: dict[str, _Entry] = {}
        self._open: Counter[str] = Counter()
        self._addresses: dict[str, str] = {}
        self._closed = False

    async def session(self, host: Host) -> Session:
        """The live session of a host, connecting if need be; concurrent callers share one attempt.

        Raises what connecting raised (AuthError, HostKeyError, UnreachableError, TimedOutError), at once and without a
        try while the host's backoff lasts.
        """
        entry = self._entries.get(host.name)
        if entry is None:
            entry = self._entries[host.name] = _Entry(host)
        elif entry.host is not host and entry.host != host:  # the inventory was reloaded and says something else
            await self.drop(host.name)
            entry = self._entries[host.name] = _Entry(host)
        if entry.session is not None:
            if not entry.session.closed:
                return entry.session
            self._lost(entry)
        if entry.task is None:
            left_s = entry.backoff.left_s(self._clock.monotonic())
            if left_s > 0 and entry.error is not None:
                raise _repeated(entry.error, left_s)
            entry.task = asyncio.create_task(self._connect(entry), name=f"connect {host.name}")
            entry.task.add_done_callback(_heard)  # its caller may have gone away, as when the engine stops
        # The attempt is shared: one caller that gives up must not end it for the others.
        return await asyncio.shield(entry.task)

    def live(self, name: str) -> Session | None:
        """The session of a host if there is one now."""
        entry = self._entries.get(name)
        return entry.session if entry and entry.session is not None and not entry.session.closed else None

    def retry_now(self, name: str) -> None:
        """Forget a host's backoff: somebody has repaired it and wants to see."""
        if entry := self._entries.get(name):
            entry.backoff.succeeded()

    async def drop(self, name: str) -> None:
        """End a host's session and forget it, as when it leaves the inventory."""
        entry = self._entries.pop(name, None)
        if entry is None:
            return
        await _stop(entry.task)
        session = entry.session
        if session is not None:
            self._lost(entry)
            await session.close()

    def state(self, name: str) -> ConnectionState | None:
        """How one host's connection fares; None for a host nobody has asked for."""
        entry = self._entries.get(name)
        return self._state(entry) if entry else None

    def states(self) -> list[ConnectionState]:
        """All hosts ever asked for, in that order."""
        return [self._state(entry) for entry in self._entries.values()]

    def counts(self) -> Counter[str]:
        """How many hosts are connected, connecting, waiting (backoff) and, per ErrorKind, failing."""
        counts: Counter[str] = Counter()
        for state in self.states():
            if state.connected:
                counts["connected"] += 1
            elif state.connecting:
                counts["connecting"] += 1
            elif state.error is not None:
                counts["waiting"] += state.retry_in_s > 0
                counts[str(state.error)] += 1
        return counts

    async def close(self) -> None:
        """End all sessions and the transports."""
        self._closed = True
        entries = list(self._entries.values())
        self._entries.clear()
        for entry in entries:
            await _stop(entry.task)
        await asyncio.gather(*(e.session.close() for e in entries if e.session is not None))
        for transport in self._transports.values():
            await transport.close()

    async def _connect(self, entry: _Entry) -> Session:
        host = entry.host
        try:
            self._check_room(host)
            transport = self._transports.get(host.transport)
            if transport is None:
                known = ", ".join(sorted(self._transports))
                raise UnreachableError(f"{host.name}: no transport {host.transport!r}", hint=f"one of {known}")
            self._open[host.site] += 1
            try:
                session = await transport.connect(host)
            except BaseException:
                self._open[host.site] -= 1
                raise
            entry.session = session
            self._check_address(entry, session)
        except FleetctlError as error:
            entry.error = error
            entry.backoff.failed(kind_of(error), self._clock.monotonic(), self._rng)
            if entry.session is not None:
                session, entry.session = entry.session, None
                self._open[host.site] -= 1
                await session.close()
            raise
        finally:
            entry.task = None
        entry.connected_at = self._clock.now()
        entry.connects += 1
        entry.error = None
        entry.backoff.succeeded()
        return session

    def _check_room(self, host: Host) -> None:
        limit = self._site_sessions.get(host.site)
        if limit is not None and self._open[host.site] >= limit:
            raise UnreachableError(
                f"{host.name}: site {host.site} already has {limit} connections", hint="raise max_sessions of the site"
            )

    def _check_address(self, entry: _Entry, session: Session) -> None:
        """Two hosts with one address are one machine counted twice: the second is refused, by name."""
        address = session.facts.get("peer")
        if not address:
            return
        first = self._addresses.setdefault(address, entry.host.name)
        if first == entry.host.name:
            return
        other = self._entries.get(first)
        if other is not None and other.session is not None and not other.session.closed:
            raise UnreachableError(
                f"{entry.host.name} and {first} are one machine: both answer at {address}",
                hint=f"correct address of {entry.host.name} in fleet.toml or HostName in ssh_config",
                kind=ErrorKind.RESOLVE,
            )
        self._addresses[address] = entry.host.name

    def _lost(self, entry: _Entry) -> None:
        """Bookkeeping for a session that is no more."""
        entry.session = None
        entry.connected_at = None
        entry.losses += 1
        self._open[entry.host.site] -= 1

    def _state(self, entry: _Entry) -> ConnectionState:
        connected = entry.session is not None and not entry.session.closed
        lost = entry.session is not None and entry.session.closed
        error = entry.error
        return ConnectionState(
            host=entry.host.name,
            connected=connected,
            connecting=entry.task is not None,
            connected_at=entry.connected_at if connected else None,
            retry_in_s=entry.backoff.left_s(self._clock.monotonic()),
            failures=entry.backoff.failures,
            connects=entry.connects,
            losses=entry.losses + lost,
            error=ErrorKind.CLOSED if lost else kind_of(error) if error else None,
            error_text="the connection ended" if lost else str(error) if error else "",
            hint=error.hint if error else "",
        )


def kind_of(error: BaseException) -> ErrorKind:
    """The ErrorKind of a failure; UNREACHABLE for errors that carry none."""
    try:
        return ErrorKind(getattr(error, "kind", "") or ErrorKind.UNREACHABLE)
    except ValueError:
        return ErrorKind.UNREACHABLE


def _heard(task: asyncio.Task[Session]) -> None:
    """Its failure is kept in the entry; nobody needs to be told that nobody asked."""
    if not task.cancelled():
        task.exception()


def _repeated(error: FleetctlError, left_s: float) -> FleetctlError:
    """The last failure once more: a new object, because an exception carries the traceback of its raising."""
    return type(error)(str(error), hint=error.hint or f"tried again in {left_s:.0f} s", kind=error.kind)


async def _stop(task: asyncio.Task[Session] | None) -> None:
    """Cancel and await: a socket of a cancelled read must not be closed behind the loop's back."""
    if task is None or task.done():
        return
    task.cancel()
    await asyncio.wait([task])
