"""SNMP notifications: one datagram in, its name and values in the words of the device maps out. v1, v2c and v3.

pysnmp takes the messages apart (RFC 3584 turns v1 traps into OIDs, RFC 3414 checks v3); it gets no socket. Answers to
informs come back as datagrams to send. Needs the extra `snmpv3`.
"""

from __future__ import annotations

import time
import tomllib
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from fleetctl.errors import NotFoundError, ParseError
from fleetctl.facility.endpoint import Credentials
from fleetctl.facility.trap import Notification
from fleetctl_snmp.decode import text
from fleetctl_snmp.device_map import shipped_maps

MAX_VALUES = 24
TRAP_OID = "1.3.6.1.6.3.1.1.4.1.0"
_SELF_TOLD = (TRAP_OID, "1.3.6.1.2.1.1.3.0", "1.3.6.1.6.3.18.1.3.0", "1.3.6.1.6.3.18.1.4.0", "1.3.6.1.6.3.1.1.4.3.0")


@cache
def trap_names() -> dict[str, str]:
    """OID of a notification -> its name in the maker's MIB, from notifications.toml."""
    data = tomllib.loads(Path(__file__).with_name("notifications.toml").read_text(encoding="utf-8"))
    return {f"{family['under']}.{n}": str(name) for family in data["family"] for n, name in family["names"].items()}


@cache
def _places() -> dict[str, tuple[str, str, str]]:
    """OID of a value or a column -> (quantity, place, unit), from all device maps."""
    return {p.oid: (p.quantity or "state", p.where, p.unit) for m in shipped_maps() for p in m.points}


def name_of(oid: str) -> str:
    """The notification's name, else the nearest family it belongs to, else the number."""
    names = trap_names()
    return names.get(oid) or names.get(oid.removesuffix(".0")) or oid


def value_words(oid: str, value: str) -> str:
    """`load of output line 1 = 83` where a map knows the OID, else `OID = 83`. The value stays as the device says it."""
    parts = oid.split(".")
    for cut in range(len(parts), max(7, len(parts) - 6), -1):
        found = _places().get(".".join(parts[:cut]))
        if found is not None:
            index = ".".join(parts[cut:])
            where = found[1].replace("{index}", index).replace("{name}", index).replace("{parent}", index)
            return f"{found[0]} of {where} = {value} (raw)"
    return f"{oid} = {value}"


class _Replies:
    """What pysnmp takes for its network: keeps what is to be sent."""

    def __init__(self) -> None:
        self.out: list[bytes] = []

    def register_recv_callback(self, *_: object, **__: object) -> None: ...
    def register_timer_callback(self, *_: object, **__: object) -> None: ...
    def get_timer_ticks(self) -> int:
        return int(time.monotonic())

    def get_timer_resolution(self) -> float:
        return 1.0

    def send_message(self, message: bytes, *_: object) -> None:
        self.out.append(bytes(message))


class TrapDecoder:
    """Decodes datagrams of senders whose credentials were admitted."""

    def __init__(self) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # pysnmp 7.1 calls pysmi 2 by its old names
                from pysnmp.entity import config, engine
                from pysnmp.entity.rfc3413 import ntfrcv
            import cryptography  # noqa: F401  (pysnmp says nothing without it: "Decryption error")
        except ImportError:
            raise NotFoundError("SNMP traps need pysnmp", hint="pip install 'fleetctl[snmpv3]'") from None
        self._config: Any = config
        self._engine: Any = engine.SnmpEngine()
        self._replies = _Replies()
        self._engine.transport_dispatcher = self._replies
        self._heard: tuple[list[tuple[str, str]], bool] | None = None
        self._admitted: set[tuple[str, bytes]] = set()
        ntfrcv.NotificationReceiver(self._engine, self._take)

    def _take(self, _engine: Any, _ref: Any, _context_id: Any, _context: Any, values: Any, _ctx: Any) -> None:
        self._heard = ([(str(oid), _shown(value)) for oid, value in values[: MAX_VALUES + 4]], True)

    def _admit(self, datagram: bytes, credentials: Credentials) -> None:
        version, engine_id = _head(datagram)
        if version in (0, 1):
            community = credentials.community or "public"
            if (community, b"") not in self._admitted:
                self._admitted.add((community, b""))
                self._config.add_v1_system(self._engine, f"c{len(self._admitted)}", community)
            return
        if version != 3 or not credentials.user:
            raise ParseError(f"no credentials for SNMP version {version}", hint="name a v3 user for this device")
        if (credentials.user, engine_id) in self._admitted:
            return
        self._admitted.add((credentials.user, engine_id))
        from pysnmp.proto.rfc1902 import OctetString

        keys = _v3_keys(self._config, credentials)
        self._config.add_v3_user(self._engine, credentials.user, securityEngineId=OctetString(engine_id), **keys)

    def decode(self, datagram: bytes, credentials: Credentials) -> tuple[Notification, list[bytes]]:
        """The notification and what to answer (informs). Raises ParseError where it is none, or not to be believed."""
        self._heard, self._replies.out = None, []
        try:
            self._admit(datagram, credentials)
            self._engine.message_dispatcher.receive_message(
                self._engine, (1, 3, 6, 1, 6, 1, 1), ("127.0.0.1", 0), datagram
            )
        except ParseError:
            raise
        except Exception as error:  # whatever a datagram makes of pysnmp is that datagram's fault
            raise ParseError(f"no notification: {type(error).__name__}", hint="counted, not believed") from None
        replies = list(self._replies.out)
        if self._heard is None:
            raise ParseError("refused: wrong community, user or key, or no notification", hint="counted, not believed")
        pairs = self._heard[0]
        oid = next((value for name, value in pairs if name == TRAP_OID), "")
        told = [value_words(name, value) for name, value in pairs if name not in _SELF_TOLD][:MAX_VALUES]
        return Notification(oid, name_of(oid) if oid else "notification without a name", tuple(told)), replies


def _shown(value: Any) -> str:
    try:
        return text(value.asOctets()) if hasattr(value, "asOctets") else text(value.prettyPrint())
    except Exception:
        return "?"


def _v3_keys(config: Any, credentials: Credentials) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    auth = credentials.auth_key or credentials.password
    if auth:
        keys["authKey"] = auth
        keys["authProtocol"] = {
            "MD5": config.USM_AUTH_HMAC96_MD5,
            "SHA256": config.USM_AUTH_HMAC192_SHA256,
            "SHA512": config.USM_AUTH_HMAC384_SHA512,
        }.get((credentials.auth_protocol or "SHA").upper(), config.USM_AUTH_HMAC96_SHA)
    if credentials.priv_key:
        keys["privKey"] = credentials.priv_key
        keys["privProtocol"] = {"DES": config.USM_PRIV_CBC56_DES, "AES256": config.USM_PRIV_CFB256_AES}.get(
            (credentials.priv_protocol or "AES").upper(), config.USM_PRIV_CFB128_AES
        )
    return keys


def _head(datagram: bytes) -> tuple[int, bytes]:
    """(version, engine id of a v3 sender). Raises ParseError."""
    from pyasn1.codec.ber import decoder
    from pysnmp.proto.api import decodeMessageVersion  # type: ignore[attr-defined,unused-ignore]

    try:
        version = int(decodeMessageVersion(datagram))
        if version != 3:
            return version, b""
        message = decoder.decode(datagram)[0]
        security = decoder.decode(bytes(message[2]))[0]
        return version, bytes(security[0])[:32]
    except Exception as error:
        raise ParseError(f"no SNMP message: {type(error).__name__}", hint="counted, not believed") from None


def open_decoder() -> TrapDecoder:
    """The factory named in the plugin."""
    return TrapDecoder()
