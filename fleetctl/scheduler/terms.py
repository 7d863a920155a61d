"""What a class of ours is called at another scheduler, as fleet.toml says. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from fleetctl.config.schema import Scheduler


@dataclass(frozen=True, slots=True)
class Terms:
    """How work of one class is sent there. why: why it cannot be, with the next step in `hint`; "" when it can."""

    qos: str = ""
    partition: str = ""
    nice: int | None = None
    requeue: bool | None = None
    why: str = ""
    hint: str = ""


def terms_of(settings: Scheduler, cls: str, latency: str) -> Terms:
    """The row of the latency, and over it that of the class, where both are set.

    A latency without a row is a matter of distance alone, which is looked at anyway. A class without one is refused:
    Slurm would take it for ordinary work, and nobody would know.
    """
    rows = {row.name: row for row in settings.classes}
    if cls != "normal" and cls not in rows:
        return Terms(
            why=f"{settings.endpoint} has no class {cls}",
            hint=f'say in fleet.toml what it is there: [[schedulers.classes]] name = "{cls}" with qos, partition or nice',
        )
    found = Terms()
    for row in (rows.get(latency), rows.get(cls)):
        if row is not None:
            found = Terms(
                row.qos or found.qos,
                row.partition or found.partition,
                found.nice if row.nice is None else row.nice,
                found.requeue if row.requeue is None else row.requeue,
            )
    return found


def parts_wanted(parts: str, milli: int) -> tuple[str, int]:
    """(shard, 2) for half a card at shard:4: what is asked for, never less than was wanted."""
    name, _, per_card = parts.partition(":")
    return name, max(1, -(-milli * int(per_card) // 1000))


def parts_given(parts: str, milli: int) -> int:
    """What of a card that is, in thousandths: 500 for a third of a card at shard:4."""
    return min(1000, -(-parts_wanted(parts, milli)[1] * 1000 // int(parts.partition(":")[2])))
