"""The same questions through pysnmp, for SNMPv3 with a context name. Slow (2 ms a question) and complete."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from fleetctl.errors import AuthError, NotFoundError, ParseError, TimedOutError
from fleetctl.facility.endpoint import Endpoint

Value = None | str | bytes | int | float
MAX_ROWS = 2_000


class PysnmpClient:
    """Needs the extra `snmpv3` (pysnmp and cryptography)."""

    def __init__(self, endpoint: Endpoint) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # pysnmp 7.1 calls pysmi 2 by its old names
                from pysnmp.hlapi.v3arch import asyncio as hlapi
            import cryptography  # noqa: F401  (pysnmp says nothing without it: "Decryption error")
        except ImportError:
            raise NotFoundError("an SNMPv3 context name needs pysnmp", hint="pip install 'fleetctl[snmpv3]'") from None
        self._api: Any = hlapi
        self.endpoint = endpoint
        creds = endpoint.credentials
        auth = {
            "MD5": hlapi.USM_AUTH_HMAC96_MD5,
            "SHA": hlapi.USM_AUTH_HMAC96_SHA,
            "SHA256": hlapi.USM_AUTH_HMAC192_SHA256,
            "SHA512": hlapi.USM_AUTH_HMAC384_SHA512,
        }[(creds.auth_protocol or "SHA").upper()]
        priv = {"DES": hlapi.USM_PRIV_CBC56_DES, "AES": hlapi.USM_PRIV_CFB128_AES, "AES256": hlapi.USM_PRIV_CFB256_AES}[
            (creds.priv_protocol or "AES").upper()
        ]
        keys: dict[str, Any] = {}
        if creds.auth_key or creds.password:
            keys |= {"authKey": creds.auth_key or creds.password, "authProtocol": auth}
        if creds.priv_key:
            keys |= {"privKey": creds.priv_key, "privProtocol": priv}
        self._user = hlapi.UsmUserData(creds.user, **keys)
        self._context = hlapi.ContextData(contextName=(creds.context or endpoint.options.get("context", "")).encode())
        self._engine = hlapi.SnmpEngine()
        self._target: Any = None

    async def _ask(self, command: str, oids: Sequence[str]) -> list[tuple[str, Any]]:
        api = self._api
        if self._target is None:
            self._target = await api.UdpTransportTarget.create(
                (self.endpoint.host, self.endpoint.port), timeout=min(self.endpoint.timeout_s / 3, 5.0), retries=2
            )
        types = [api.ObjectType(api.ObjectIdentity(oid)) for oid in oids]
        extra = (0, 25) if command == "bulk_cmd" else ()
        indication, status, _, rows = await getattr(api, command)(
            self._engine, self._user, self._target, self._context, *extra, *types, lookupMib=False
        )
        if indication is not None:
            said = str(indication)
            if any(word in said.lower() for word in ("unknown", "wrong", "authentication", "decrypt", "unsupported")):
                raise AuthError(f"{self.endpoint.url} refuses: {said}", hint="check user, keys and context")
            raise TimedOutError(f"{self.endpoint.url}: {said}", hint="wrong user, a filter, or the device is down")
        if status:
            raise ParseError(f"{self.endpoint.url}: {status.prettyPrint()}", hint="the agent cannot answer this")
        return [(str(name), value) for name, value in rows]

    def _plain(self, value: Any) -> Value:
        kind = type(value).__name__
        if kind in ("NoSuchObject", "NoSuchInstance", "EndOfMibView", "Null"):
            return None
        if kind in ("OctetString", "Opaque", "Bits"):
            return bytes(value)
        if kind in ("ObjectIdentifier", "IpAddress"):
            return str(value.prettyPrint())
        return int(value)

    async def get(self, oids: Sequence[str]) -> dict[str, Value]:
        out: dict[str, Value] = {}
        for i in range(0, len(oids), 20):
            for name, value in await self._ask("get_cmd", oids[i : i + 20]):
                plain = self._plain(value)
                if plain is not None:
                    out[name] = plain
        return out

    async def column(self, oid: str) -> dict[str, Value]:
        out: dict[str, Value] = {}
        at, prefix = oid, oid + "."
        while len(out) < MAX_ROWS:
            rows = await self._ask("bulk_cmd", [at])
            before = len(out)
            for name, value in rows:
                plain = self._plain(value)
                if not name.startswith(prefix) or plain is None:
                    return out
                out[name[len(prefix) :]] = plain
                at = name
            if len(out) == before:
                break
        return out

    async def first_below(self, oid: str) -> tuple[str, Value] | None:
        found = await self.next_after(oid)
        return found if found and found[0].startswith(oid + ".") else None

    async def next_after(self, oid: str) -> tuple[str, Value] | None:
        rows = await self._ask("next_cmd", [oid])
        if not rows or self._plain(rows[0][1]) is None:
            return None
        return rows[0][0], self._plain(rows[0][1])

    async def close(self) -> None:
        self._engine.close_dispatcher()
