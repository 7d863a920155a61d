"""What the scheduler must know of hosts and cards, read in bulk: who answers, which cards are there, what they draw."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetctl.model.reading import Process


@dataclass(frozen=True, slots=True)
class CardFact:
    """One card that a host names now. number: the index its tool prints; chip: catalogue name, None when unknown."""

    key: str
    number: str | None
    chip: str | None
    model: str | None
    vendor: str | None = None
    uuid: str | None = None


@dataclass(frozen=True, slots=True)
class HostFact:
    """One host as last seen. reach: fleetctl.model.states.Reach; gone: cards it named before and names no more."""

    host: str
    reach: str
    answer_at: int | None
    cards: tuple[CardFact, ...]
    gone: tuple[str, ...] = ()


def list_host_facts(conn: sqlite3.Connection, hosts: Collection[str] | None = None) -> dict[str, HostFact]:
    """Every host that was ever polled, or those of them that are named. Partitions are left out: cards are leased."""
    if hosts is not None and len(hosts) <= 500:
        return _some_host_facts(conn, hosts)
    cards: dict[int, list[CardFact]] = defaultdict(list)
    gone: dict[int, list[str]] = defaultdict(list)
    for host, key, number, chip, model, vendor, uuid, gone_at in conn.execute(
        "SELECT host, key, number, chip, model, vendor, uuid, gone_at FROM devices"
        " WHERE kind = 'card' AND parent IS NULL"
    ):
        if gone_at is None:
            cards[host].append(CardFact(key, number, chip, model, vendor, uuid))
        else:
            gone[host].append(key)
    return {
        name: HostFact(name, reach, at, tuple(sorted(cards[id_], key=_card_order)), tuple(sorted(gone[id_])))
        for id_, name, reach, at in conn.execute("SELECT id, name, reach, answer_at FROM hosts")
    }


def list_cards(conn: sqlite3.Connection) -> tuple[dict[str, list[tuple[str, str | None]]], dict[str, str]]:
    """Host -> (key, number) of the cards it names now, in order of their numbers; and host -> its first known chip."""
    names: dict[int, str] = dict(conn.execute("SELECT id, name FROM hosts").fetchall())
    found: dict[int, list[tuple[str, str | None]]] = defaultdict(list)
    chips: dict[int, str] = {}
    for host, key, number, chip in conn.execute(
        "SELECT host, key, number, COALESCE(chip, model) FROM devices"
        " WHERE kind = 'card' AND parent IS NULL AND gone_at IS NULL"
    ):
        found[host].append((key, number))
        if chip and host not in chips:
            chips[host] = chip
    for cards in found.values():
        numbers = [number or "" for _, number in cards]
        if max(map(len, numbers)) > 1 or sorted(numbers) != numbers or not numbers[0]:  # few hosts: keys cost
            cards.sort(key=_number_order)
    return (
        {names[host]: cards for host, cards in found.items() if host in names},
        {names[host]: chip for host, chip in chips.items() if host in names},
    )


def gone_cards(conn: sqlite3.Connection, host: str) -> frozenset[str]:
    """Keys of the cards that a host named before and names no more."""
    rows = conn.execute(
        "SELECT key FROM devices WHERE host = (SELECT id FROM hosts WHERE name = ?) AND kind = 'card'"
        " AND gone_at IS NOT NULL",
        (host,),
    )
    return frozenset(r[0] for r in rows)


def cards_mark(conn: sqlite3.Connection) -> tuple[int, ...]:
    """Changes when a host names a card it did not, names one no more, or answers for the first time."""
    row = conn.execute(
        "SELECT COUNT(*), COALESCE(MAX(id), 0), COUNT(gone_at), COALESCE(SUM(gone_at), 0),"
        " (SELECT COUNT(answer_at) FROM hosts) FROM devices WHERE kind = 'card'"
    )
    return tuple(row.fetchone())


def list_heard(conn: sqlite3.Connection) -> frozenset[str]:
    """Hosts that answered at least once."""
    return frozenset(r[0] for r in conn.execute("SELECT name FROM hosts WHERE answer_at IS NOT NULL"))


def _number_order(card: tuple[str, str | None]) -> tuple[int, str]:
    number = card[1] or ""
    return (int(number) if number.isascii() and number.isdecimal() else 1 << 30, card[0])


def list_silent(conn: sqlite3.Connection) -> tuple[dict[str, HostFact], frozenset[str]]:
    """(hosts that do not answer as they should, without their cards; every host that was ever polled)."""
    found = {
        r[0]: HostFact(r[0], r[1], r[2], ())
        for r in conn.execute("SELECT name, reach, answer_at FROM hosts WHERE reach <> 'fresh'")
    }
    return found, frozenset(r[0] for r in conn.execute("SELECT name FROM hosts"))


def list_reach(conn: sqlite3.Connection) -> dict[str, HostFact]:
    """Every host that was ever polled, without its cards: all that a drain asks."""
    return {r[0]: HostFact(r[0], r[1], r[2], ()) for r in conn.execute("SELECT name, reach, answer_at FROM hosts")}


def count_cards(conn: sqlite3.Connection) -> dict[str, dict[str, int]]:
    """Host -> chip (as the catalogue, else as the tool calls it, else "") -> cards it names now."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for host, chip, count in conn.execute(
        "SELECT h.name, COALESCE(d.chip, d.model, ''), COUNT(*) FROM devices d JOIN hosts h ON h.id = d.host"
        " WHERE d.kind = 'card' AND d.parent IS NULL AND d.gone_at IS NULL GROUP BY d.host, 2"
    ):
        found[host][chip] = count
    return dict(found)


def _some_host_facts(conn: sqlite3.Connection, hosts: Collection[str]) -> dict[str, HostFact]:
    found = {}
    for host in hosts:
        row = conn.execute("SELECT id, reach, answer_at FROM hosts WHERE name = ?", (host,)).fetchone()
        if row is None:
            continue
        cards, gone = [], []
        for key, number, chip, model, vendor, uuid, gone_at in conn.execute(
            "SELECT key, number, chip, model, vendor, uuid, gone_at FROM devices"
            " WHERE host = ? AND kind = 'card' AND parent IS NULL",
            (row[0],),
        ):
            if gone_at is None:
                cards.append(CardFact(key, number, chip, model, vendor, uuid))
            else:
                gone.append(key)
        found[host] = HostFact(host, row[1], row[2], tuple(sorted(cards, key=_card_order)), tuple(sorted(gone)))
    return found


def _card_order(card: CardFact) -> tuple[int, str]:
    return _number_order((card.key, card.number))


def is_work(conn: sqlite3.Connection, ignored: Collection[str]) -> tuple[str, list[str]]:
    """SQL over processes p that says whether one counts as work, and its arguments. ignored: names without their path.

    The few different names are looked at once: cutting the path off a hundred thousand rows costs four times as much.
    """
    names = (
        [r[0] for r in conn.execute("SELECT DISTINCT name FROM processes WHERE name IS NOT NULL")] if ignored else []
    )
    out = [name for name in names if name.rsplit("/", 1)[-1] in ignored][:30_000]
    return f"(p.name IS NULL OR p.name NOT IN ({','.join('?' * len(out))}))", out


def count_processes(conn: sqlite3.Connection, ignored: Collection[str] = ()) -> dict[str, int]:
    """Host -> processes on its cards, where any were seen. A host that is missing has none, or was never asked.

    ignored: names (without their path) that do not count.
    """
    where, names = is_work(conn, ignored)
    rows = conn.execute(
        "SELECT h.name, w.count FROM (SELECT p.host, COUNT(DISTINCT p.pid) AS count FROM processes p"
        f" WHERE {where} GROUP BY p.host) w JOIN hosts h ON h.id = w.host",
        names,
    )
    return {r[0]: int(r[1]) for r in rows}


def count_stray_cards(conn: sqlite3.Connection, ignored: Collection[str] = ()) -> dict[str, int]:
    """Host -> cards on which a process works that no lease holds: not idle, and nobody's to give away."""
    where, names = is_work(conn, ignored)
    rows = conn.execute(
        "SELECT h.name, w.count FROM (SELECT p.host, COUNT(DISTINCT p.device) AS count FROM processes p"
        f" WHERE {where} GROUP BY p.host) w JOIN hosts h ON h.id = w.host",
        names,
    )
    found = {r[0]: int(r[1]) for r in rows}
    held: dict[str, set[str]] = defaultdict(set)
    for host, card in conn.execute("SELECT host, card FROM hold"):
        held[host].add(card)
    for host in held.keys() & found.keys():
        work = {p.device for p in list_work(conn, host, ignored)}
        found[host] = 0 if "" in held[host] else len(work - held[host])
    return {host: count for host, count in found.items() if count}


def processes_mark(conn: sqlite3.Connection) -> tuple[int, int, int]:
    """Changes when the processes that hosts name change."""
    row = conn.execute("SELECT COUNT(*), COALESCE(MAX(at), 0), COALESCE(SUM(pid), 0) FROM processes")
    count, at, pids = row.fetchone()
    return count, at, pids


def list_working_cards(conn: sqlite3.Connection, ignored: Collection[str] = ()) -> list[tuple[str, str, int, str]]:
    """(host, card, pid, user) of every card on which a process works, the one with the lowest number."""
    where, names = is_work(conn, ignored)
    hosts: dict[int, str] = dict(conn.execute("SELECT id, name FROM hosts").fetchall())
    found: dict[tuple[int, str], tuple[str, str, int, str]] = {}
    for host, device, pid, user in conn.execute(  # in order of the primary key: the lowest number comes first
        f"SELECT p.host, p.device, p.pid, p.user FROM processes p WHERE {where} ORDER BY p.host, p.pid, p.device", names
    ):
        if (host, device) not in found:
            found[host, device] = (hosts[host], device, pid, user or "")
    return list(found.values())


def count_card_processes(conn: sqlite3.Connection, ignored: Collection[str] = ()) -> dict[tuple[str, str], int]:
    """(host, card) -> processes that count as work, of cards that are out of service."""
    where, names = is_work(conn, ignored)
    rows = conn.execute(
        "SELECT c.host, c.card, COUNT(DISTINCT p.pid) FROM card_admin c JOIN hosts h ON h.name = c.host"
        f" JOIN processes p ON p.host = h.id AND p.device = c.card WHERE c.wish <> 'serve' AND {where} GROUP BY 1, 2",
        names,
    )
    return {(r[0], r[1]): int(r[2]) for r in rows}


def list_work(conn: sqlite3.Connection, host: str, ignored: Collection[str] = ()) -> list[Process]:
    """The processes that count_processes counts, of one host: once per card they hold."""
    from fleetctl.model.reading import Process

    rows = conn.execute(
        "SELECT p.pid, p.device, p.name, p.user, p.mem_used_bytes FROM processes p JOIN hosts h ON h.id = p.host"
        " WHERE h.name = ? ORDER BY p.pid, p.device",
        (host,),
    )
    return [Process(*row) for row in rows if row[2] is None or row[2].rsplit("/", 1)[-1] not in ignored]


def worst_findings(conn: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    """Host -> texts of its firing critical findings, oldest first."""
    found: dict[str, list[str]] = defaultdict(list)
    for host, text in conn.execute(
        "SELECT h.name, f.text FROM findings f JOIN hosts h ON h.id = f.host"
        " WHERE f.state = 'firing' AND f.severity = 'crit' ORDER BY f.since_at, f.id"
    ):
        found[host].append(text)
    return {host: tuple(texts) for host, texts in found.items()}


def hot_hosts(conn: sqlite3.Connection) -> dict[str, str]:
    """Host -> text of its worst firing finding about heat."""
    return dict(
        conn.execute(
            "SELECT h.name, f.text FROM findings f JOIN hosts h ON h.id = f.host"
            " WHERE f.state = 'firing' AND f.rule = 'card_hot' ORDER BY f.severity = 'crit', f.value"
        ).fetchall()
    )


_LATE_ROUNDS = 3  # rounds after which a host's draw is no longer its draw now


def latest_power(conn: sqlite3.Connection) -> dict[str, float]:
    """Host -> watts in its own newest round, if that is of the last few: the server's own meter, else the sum of its
    cards. Unknown: missing. While a round runs, most hosts' newest values are of the round before.
    """
    found: dict[str, float] = {}
    for kind, take in (("card", "SUM"), ("host", "MAX")):
        columns = {r[1] for r in conn.execute(f"PRAGMA table_info({kind}_samples)")}
        if "power_w" not in columns:
            continue
        oldest = None
        for _ in range(_LATE_ROUNDS):
            where = "" if oldest is None else f"WHERE slot < {oldest}"
            (slot,) = conn.execute(f"SELECT MAX(slot) FROM {kind}_samples {where}").fetchone()
            oldest = oldest if slot is None else slot
        if oldest is None:
            continue
        rows = conn.execute(
            f"SELECT h.name, {take}(s.power_w) FROM hosts h JOIN devices d ON d.host = h.id AND d.kind = '{kind}'"
            f" JOIN {kind}_samples s ON s.slot = h.slot AND s.device = d.id"
            " WHERE h.slot >= ? AND s.power_w IS NOT NULL GROUP BY h.id",
            (oldest,),
        )
        found.update({r[0]: float(r[1]) for r in rows})
    return found


def latest_power_slot(conn: sqlite3.Connection) -> int | None:
    """The round `latest_power` is of; None where there is none."""
    found = [conn.execute(f"SELECT MAX(slot) FROM {kind}_samples").fetchone()[0] for kind in ("card", "host")]
    return max((slot for slot in found if slot is not None), default=None)


def latest_card_values(conn: sqlite3.Connection, hosts: Collection[str]) -> dict[str, dict[str, dict[str, float]]]:
    """Host -> card key -> metric -> newest value, from the newest round in which the host sent values."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    metrics = [r[1] for r in conn.execute("PRAGMA table_info(card_samples)") if r[1] not in ("slot", "device")]
    if not metrics:
        return found
    names = ", ".join(f's."{m}"' for m in metrics)
    for host in hosts:
        cards: dict[str, dict[str, float]] = {}
        for row in conn.execute(
            f"SELECT d.key, {names} FROM hosts h JOIN devices d ON d.host = h.id AND d.kind = 'card'"
            " AND d.gone_at IS NULL JOIN card_samples s ON s.device = d.id AND s.slot ="
            " (SELECT MAX(t.slot) FROM card_samples t WHERE t.device = d.id AND t.slot > h.slot - 7200)"
            " WHERE h.name = ?",
            (host,),
        ):
            cards[row[0]] = {m: float(v) for m, v in zip(metrics, row[1:], strict=True) if v is not None}
        if cards:
            found[host] = cards
    return found


def temperature_spans(conn: sqlite3.Connection, host: str, last_s: int) -> dict[str, float]:
    """Card key -> kelvin between its coldest and warmest value of the last so many seconds before the newest one.

    A card with fewer than two values is left out.
    """
    columns = {r[1] for r in conn.execute("PRAGMA table_info(card_samples)")}
    if "temp_c" not in columns:
        return {}
    rows = conn.execute(
        "SELECT d.key, MAX(s.temp_c) - MIN(s.temp_c) FROM hosts h JOIN devices d ON d.host = h.id AND d.kind = 'card'"
        " AND d.gone_at IS NULL JOIN card_samples s ON s.device = d.id AND s.slot > h.slot - ? AND s.slot <= h.slot"
        " WHERE h.name = ? AND s.temp_c IS NOT NULL GROUP BY d.key HAVING COUNT(*) > 1",
        (last_s, host),
    )
    return {r[0]: float(r[1]) for r in rows}


def card_words(conn: sqlite3.Connection, host: str) -> dict[str, dict[str, str]]:
    """Card key -> name -> word of one host: health, throttle reasons, recovery action."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for key, name, word in conn.execute(
        "SELECT d.key, w.name, w.word FROM device_states w JOIN devices d ON d.id = w.device"
        " JOIN hosts h ON h.id = d.host WHERE h.name = ? AND d.kind = 'card' AND d.gone_at IS NULL",
        (host,),
    ):
        found[key][name] = word
    return dict(found)
