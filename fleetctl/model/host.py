"""A machine we reach, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Host:
    """One machine of the inventory. Names are unique in a fleet. Never changed; not frozen, as NodeRow, for making 12,500.

    transport: "ssh", "local" or "replay"; address, port, user, jump: None means "as the user's SSH config says";
    cards and chip: what the operator expects to find; None means nothing is expected.
    """

    name: str
    site: str
    hall: str | None = None
    row: str | None = None
    rack: str | None = None
    pools: tuple[str, ...] = ()
    address: str | None = None
    port: int | None = None
    user: str | None = None
    jump: str | None = None
    transport: str = "ssh"
    model: str | None = None
    chip: str | None = None
    cards: int | None = None
