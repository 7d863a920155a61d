"""One facility endpoint: its address, how it is trusted, and whose credentials open it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from fleetctl.errors import UsageError
from fleetctl.plugin import load_plugins

# Of the schemes of our own plugins; an address of a stranger's names its port.
DEFAULT_PORTS = {
    "redfish+https": 443,
    "https": 443,
    "redfish+http": 80,
    "http": 80,
    "ipmi": 623,
    "snmp": 161,
    "modbus": 502,
    "mqtt": 1883,
    "mqtts": 8883,
    "bacnet": 47808,
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to an endpoint. Comes from a file or a command, never from a flag; repr hides the secrets."""

    user: str = ""
    password: str = field(default="", repr=False)
    community: str = field(default="", repr=False)
    privilege: str = ""  # IPMI: user, operator, administrator
    auth_protocol: str = ""  # SNMPv3: MD5, SHA, SHA256 ...
    auth_key: str = field(default="", repr=False)
    priv_protocol: str = ""  # SNMPv3: DES, AES, AES256 ...
    priv_key: str = field(default="", repr=False)
    context: str = ""  # SNMPv3; real devices use the empty one


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how. options: the query of the URL (`unit`, `map`, `version`); tls_pin: SHA-256 of the certificate."""

    url: str
    scheme: str
    host: str
    port: int
    path: str = ""
    options: dict[str, str] = field(default_factory=dict)
    credentials: Credentials = field(default_factory=Credentials)
    tls_pin: str = ""
    tls_ca: Path | None = None
    insecure: bool = False
    timeout_s: float = 30.0
    map_path: str = ""
    maps: Path | None = None  # folder of device maps of the operator's own, before the shipped ones


def own_maps(named: str = "") -> Path | None:
    """The folder named in fleet.toml, else in $FLEETCTL_MAPS, else ~/.config/fleetctl/maps where it exists."""
    told = named or os.environ.get("FLEETCTL_MAPS", "")
    if told:
        return Path(told).expanduser()
    usual = Path("~/.config/fleetctl/maps").expanduser()
    return usual if usual.is_dir() else None


def parse_url(
    url: str,
    *,
    credentials: Credentials | None = None,
    tls_pin: str = "",
    tls_ca: Path | None = None,
    insecure: bool = False,
    timeout_s: float = 30.0,
    map_path: str = "",
    maps: Path | None = None,
) -> Endpoint:
    """An Endpoint from `scheme://host:port/path?option=value`. Raises UsageError.

    A user name (or SNMP community) may stand before the host, a password may not: it would be seen in `ps` and logs.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"not an address: {url[:200]!r} ({error})", hint=_SHAPES) from None
    if not parts.scheme or not parts.hostname:
        raise UsageError(f"not an address: {url[:200]!r}", hint=_SHAPES)
    if parts.scheme not in DEFAULT_PORTS and not any(parts.scheme in p.sources for p in load_plugins()[0]):
        raise UsageError(f"unknown kind of endpoint {parts.scheme!r}", hint=_SHAPES)
    if parts.password is not None:
        raise UsageError(
            "a password does not belong into an address", hint="put it in a file of mode 0600: --credentials FILE"
        )
    options = dict(parse_qsl(parts.query))
    given = credentials or Credentials()
    if parts.username:
        name = unquote(parts.username)
        if parts.scheme == "snmp" and not given.user:
            given = Credentials(community=name)
        elif not given.user:
            given = Credentials(user=name, password=given.password, privilege=given.privilege)
    host = parts.hostname
    shown = f"[{host}]" if ":" in host else host
    port = port or DEFAULT_PORTS.get(parts.scheme, 0)
    where = f"{parts.scheme}://{shown}" + (f":{port}" if port else "")
    keep = "&".join(f"{k}={v}" for k, v in options.items())
    return Endpoint(
        url=where + (parts.path if parts.path != "/" else "") + (f"?{keep}" if keep else ""),
        scheme=parts.scheme,
        host=host,
        port=port,
        path=parts.path,
        options=options,
        credentials=given,
        tls_pin=tls_pin.lower().replace(":", ""),
        tls_ca=tls_ca,
        insecure=insecure,
        timeout_s=timeout_s,
        map_path=map_path or options.get("map", ""),
        maps=maps,
    )


_SHAPES = (
    "for example https://bmc1, redfish+https://10.0.0.7:8443, ipmi://10.0.0.7, snmp://pdu3, "
    "modbus://10.0.0.9:502/1?map=schneider-pm5000, mqtts://bus/BMS/v1, bacnet://10.0.0.9"
)
