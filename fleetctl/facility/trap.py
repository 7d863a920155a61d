"""A notification that a device sent by itself, and who takes its datagram apart."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Protocol

from fleetctl.errors import NotFoundError
from fleetctl.facility.endpoint import Credentials
from fleetctl.plugin import load_plugins


@dataclass(frozen=True, slots=True)
class Notification:
    """oid: what it is, as a number; name: as its MIB calls it, else the number; values: what came along, in words."""

    oid: str
    name: str
    values: tuple[str, ...]


class Decoder(Protocol):
    def decode(self, datagram: bytes, credentials: Credentials) -> tuple[Notification, list[bytes]]:
        """The notification and datagrams to answer with. Raises ParseError where it is not to be believed."""


def open_decoder() -> Decoder:
    """The decoder of the SNMP plugin. Raises NotFoundError where its library is not installed."""
    for plugin in load_plugins()[0]:
        target = plugin.sources.get("snmptrap")
        if target:
            module, _, name = target.partition(":")
            decoder: Decoder = getattr(importlib.import_module(module), name)()
            return decoder
    raise NotFoundError("no plugin reads SNMP traps", hint="fleetctl plugins lists what is there")
