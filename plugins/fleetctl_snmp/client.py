"""SNMP questions behind a small interface: gufo-snmp for v1, v2c and v3; pysnmp where v3 needs a context name.

Everything is bounded: rows of a column, answers in all, time per question, retries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from gufo.snmp import (
    Aes128Key,
    Aes192Key,
    Aes256Key,
    DesKey,
    Md5Key,
    NoSuchInstance,
    Sha1Key,
    Sha224Key,
    Sha256Key,
    Sha384Key,
    Sha512Key,
    SnmpAuthError,
    SnmpError,
    SnmpVersion,
    User,
)
from gufo.snmp.aio import SnmpSession

from fleetctl.errors import AuthError, ParseError, TimedOutError, UnreachableError, UsageError
from fleetctl.facility.endpoint import Endpoint

Value = None | str | bytes | int | float
MAX_ROWS = 2_000  # a column longer than this is not a table of sensors
RETRIES = 2

_AUTH = {
    "MD5": Md5Key, "SHA": Sha1Key, "SHA1": Sha1Key, "SHA224": Sha224Key, "SHA256": Sha256Key, "SHA384": Sha384Key,
    "SHA512": Sha512Key,
}  # fmt: skip
_PRIV = {"DES": DesKey, "AES": Aes128Key, "AES128": Aes128Key, "AES192": Aes192Key, "AES256": Aes256Key}


class SnmpClient(Protocol):
    """What a source needs."""

    async def get(self, oids: Sequence[str]) -> dict[str, Value]:
        """Values of those that exist."""

    async def column(self, oid: str) -> dict[str, Value]:
        """Rows of one column: rest of the OID -> value, in the agent's order."""

    async def first_below(self, oid: str) -> tuple[str, Value] | None:
        """The first value at or below an OID, None when there is none."""

    async def next_after(self, oid: str) -> tuple[str, Value] | None:
        """The value behind an OID in the agent's order, None at the end of the vendors' tree."""

    async def close(self) -> None: ...


class GufoClient:
    """One socket to one agent; one question at a time."""

    def __init__(self, endpoint: Endpoint) -> None:
        creds = endpoint.credentials
        version = endpoint.options.get("version", "3" if creds.user else "2c")
        versions = {"1": SnmpVersion.v1, "2c": SnmpVersion.v2c, "2": SnmpVersion.v2c, "3": SnmpVersion.v3}
        if version not in versions:
            raise UsageError(f"no SNMP version {version!r}", hint="version=1, 2c or 3")
        self.endpoint = endpoint
        self._v3 = version == "3"
        self._ready = not self._v3
        self._lock = asyncio.Lock()
        self._walk: tuple[str, Any] | None = None
        try:
            self._session = SnmpSession(
                addr=endpoint.host,
                port=endpoint.port,
                community=creds.community or "public",
                user=_user(endpoint) if self._v3 else None,
                version=versions[version],
                timeout=min(endpoint.timeout_s / (RETRIES + 1), 5.0),
                max_repetitions=25,
            )
        except (ValueError, OSError, SnmpError) as error:
            raise UnreachableError(f"{endpoint.url}: {error}", hint="is the address right?") from None

    async def _try(self, question: Any) -> Any:
        """Asks, and asks again when nothing comes. One at a time: the library allows no more."""
        async with self._lock:
            for attempt in range(RETRIES + 1):
                try:
                    if not self._ready:
                        await self._session.refresh()
                        self._ready = True
                    return await question()
                except TimeoutError:
                    if attempt == RETRIES:
                        raise TimedOutError(
                            f"{self.endpoint.url}: no answer",
                            hint="wrong community or user, a filter, or the device is down: SNMP does not tell which",
                        ) from None
                except SnmpAuthError as error:
                    raise AuthError(f"{self.endpoint.url} refuses: {error}", hint="check user and keys") from None
                except NoSuchInstance:
                    raise
                except SnmpError as error:
                    raise ParseError(f"{self.endpoint.url}: not SNMP: {error}", hint="a broken answer") from None
                except (OSError, RuntimeError, ValueError) as error:
                    raise UnreachableError(f"{self.endpoint.url}: {error}", hint="is it there?") from None
        raise AssertionError("not reached")

    async def get(self, oids: Sequence[str]) -> dict[str, Value]:
        out: dict[str, Value] = {}
        for i in range(0, len(oids), 20):
            part = oids[i : i + 20]
            try:
                out |= await self._try(lambda part=part: self._session.get_many(part))
            except NoSuchInstance:
                for oid in part:  # v1 refuses the whole question when one is missing
                    try:
                        out[oid] = await self._try(lambda oid=oid: self._session.get(oid))
                    except (NoSuchInstance, ParseError):
                        continue
            except ParseError:
                for oid in part:
                    try:
                        out[oid] = await self._try(lambda oid=oid: self._session.get(oid))
                    except (NoSuchInstance, ParseError):
                        continue
        return {k: v for k, v in out.items() if v is not None}

    async def column(self, oid: str) -> dict[str, Value]:
        async def rows() -> dict[str, Value]:
            out: dict[str, Value] = {}
            prefix = oid + "."
            async for name, value in self._session.fetch(oid):
                if not name.startswith(prefix) or len(out) >= MAX_ROWS:
                    break
                index = name[len(prefix) :]
                if index in out:  # an agent that does not move on
                    break
                if value is not None:
                    out[index] = value
            return out

        try:
            found: dict[str, Value] = await self._try(rows)
        except NoSuchInstance:
            return {}
        return found

    async def first_below(self, oid: str) -> tuple[str, Value] | None:
        async def first() -> tuple[str, Value] | None:
            async for name, value in self._session.getnext(oid):
                return (name, value) if name.startswith(oid + ".") else None
            return None

        try:
            found: tuple[str, Value] | None = await self._try(first)
        except NoSuchInstance:
            return None
        return found

    async def next_after(self, oid: str) -> tuple[str, Value] | None:
        # The library ends its iteration at the edge of the subtree it was given, so it is given a wide one.
        async def step() -> tuple[str, Value] | None:
            if self._walk is None or self._walk[0] != oid:
                self._walk = (oid, aiter(self._session.getnext(oid)))
            try:
                found: tuple[str, Value] = await anext(self._walk[1])
            except StopAsyncIteration:
                return None
            self._walk = (found[0], self._walk[1])
            return found

        try:
            following: tuple[str, Value] | None = await self._try(step)
        except (NoSuchInstance, ParseError):
            return None
        return following

    async def close(self) -> None:
        return None


def _user(endpoint: Endpoint) -> User:
    creds = endpoint.credentials
    auth = priv = None
    if creds.auth_key or creds.password:
        kind = _AUTH.get((creds.auth_protocol or "SHA").upper().replace("-", ""))
        if kind is None:
            raise UsageError(f"no SNMPv3 authentication {creds.auth_protocol!r}", hint=", ".join(_AUTH))
        auth = kind((creds.auth_key or creds.password).encode())
    if creds.priv_key:
        cipher = _PRIV.get((creds.priv_protocol or "AES").upper().replace("-", ""))
        if cipher is None:
            raise UsageError(f"no SNMPv3 privacy {creds.priv_protocol!r}", hint=", ".join(_PRIV))
        priv = cipher(creds.priv_key.encode())
    return User(creds.user, auth_key=auth, priv_key=priv)


def open_client(endpoint: Endpoint) -> SnmpClient:
    """gufo-snmp, or pysnmp where a v3 context is asked for (gufo-snmp has none)."""
    if endpoint.credentials.context or endpoint.options.get("context"):
        from fleetctl_snmp.pysnmp_client import PysnmpClient

        return PysnmpClient(endpoint)
    return GufoClient(endpoint)
