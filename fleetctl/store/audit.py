"""The decision record: append-only, each entry holding the hash of the one before it.

hash = sha256(prev + "\\n" + canonical JSON of [seq, at, who_kind, who, verb, subject, body]), hex. Canonical JSON has
sorted keys, no spaces, and UTF-8 as it is. An export is one JSON object per line and needs only itself to be verified.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from enum import Enum
from typing import Any

from fleetctl.model.admin import Actor, ActorKind


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One decision. subject: a host, plan, lease or request id; body: plain JSON values."""

    seq: int
    at: int
    who: Actor
    verb: str
    subject: str
    body: Mapping[str, Any]
    prev: str
    hash: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying found. broken_at: seq of the first entry that does not fit, None when all do."""

    entries: int
    head: str
    broken_at: int | None = None
    why: str = ""

    @property
    def ok(self) -> bool:
        return self.broken_at is None


_AS_IT_IS = frozenset({str, int, float, bool, type(None)})


def canonical(value: Any) -> str:
    """One spelling of a JSON value; dataclasses and enums become plain, None stays null."""
    return json.dumps(_plain(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if type(value) in _AS_IT_IS:
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {k: _plain(v) for k, v in asdict(value).items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def entry_hash(prev: str, seq: int, at: int, who: Actor, verb: str, subject: str, body: str) -> str:
    """The hash of one entry; body is its canonical JSON."""
    row = canonical([seq, at, who.kind, who.name, verb, subject, body])
    return hashlib.sha256(f"{prev}\n{row}".encode("utf-8", "surrogatepass")).hexdigest()


def append_audit(
    conn: sqlite3.Connection, at: int, who: Actor, verb: str, subject: str, body: Mapping[str, Any]
) -> int:
    """Add one entry inside the caller's write transaction; returns its number."""
    last = conn.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    seq, prev = (last[0] + 1, last[1]) if last else (1, "")
    text = canonical(body)
    digest = entry_hash(prev, seq, at, who, verb, subject, text)
    conn.execute(
        "INSERT INTO audit (seq, at, who_kind, who, verb, subject, body, prev, hash) VALUES (?,?,?,?,?,?,?,?,?)",
        (seq, at, who.kind.value, who.name, verb, subject, text, prev, digest),
    )
    return seq


def wishes_mark(conn: sqlite3.Connection) -> tuple[int, int]:
    """Changes when somebody wished something: the last entry of the record and the requests made. Cheap to ask often."""
    last, requests = conn.execute("SELECT (SELECT max(seq) FROM audit), (SELECT count(*) FROM request)").fetchone()
    return last or 0, requests or 0


def list_audit(
    conn: sqlite3.Connection, *, subject: str = "", verb: str = "", since: int | None = None, limit: int | None = None
) -> list[AuditEntry]:
    """Entries in order; with a limit, the newest so many. subject: also a node that a BMC action names."""
    where = ["1"]
    args: list[object] = []
    of = (
        "(subject = ? OR (verb IN ('bmc', 'bmc_refused') AND ? IN (SELECT value FROM json_each(body, '$.hosts')))"
        " OR (verb = 'bmc_done' AND ? IN (SELECT key FROM json_each(body, '$.answers'))))"
    )
    for condition, value, times in ((of, subject, 3), ("verb = ?", verb, 1), ("at >= ?", since, 1)):
        if value:
            where.append(condition)
            args += [value] * times
    query = f"SELECT * FROM audit WHERE {' AND '.join(where)} ORDER BY seq DESC"
    if limit is not None:
        query += f" LIMIT {int(limit)}"
    return [_entry(row) for row in reversed(conn.execute(query, args).fetchall())]


def iter_audit(conn: sqlite3.Connection) -> Iterator[AuditEntry]:
    """All entries in order, one at a time."""
    for row in conn.execute("SELECT * FROM audit ORDER BY seq"):
        yield _entry(row)


def _entry(row: Any) -> AuditEntry:
    seq, at, kind, who, verb, subject, body, prev, digest = row
    return AuditEntry(seq, at, Actor(ActorKind(kind), who), verb, subject, json.loads(body), prev, digest)


def verify_entries(entries: Iterable[AuditEntry], *, head: str = "") -> Verdict:
    """Walk the chain. head: the hash the last entry must have, when one was noted elsewhere (finds a cut tail)."""
    prev, count = "", 0
    for entry in entries:
        count += 1
        body = canonical(entry.body)
        if entry.seq != count:
            return Verdict(count, prev, entry.seq, f"entry {count} is missing")
        if entry.prev != prev:
            return Verdict(count, prev, entry.seq, "it does not follow the entry before it")
        if entry.hash != entry_hash(prev, entry.seq, entry.at, entry.who, entry.verb, entry.subject, body):
            return Verdict(count, prev, entry.seq, "its content was changed")
        prev = entry.hash
    if head and head != prev:
        return Verdict(count, prev, count, "the record ends before the entry whose hash was noted")
    return Verdict(count, prev)


def export_line(entry: AuditEntry) -> str:
    """One entry as one line of JSON."""
    return canonical(
        {
            "seq": entry.seq,
            "at": entry.at,
            "who_kind": entry.who.kind,
            "who": entry.who.name,
            "verb": entry.verb,
            "subject": entry.subject,
            "body": entry.body,
            "prev": entry.prev,
            "hash": entry.hash,
        }
    )


def parse_line(line: str) -> AuditEntry:
    """The entry of one exported line. Raises ValueError when it is none."""
    try:
        raw = json.loads(line)
        who = Actor(ActorKind(raw["who_kind"]), raw["who"])
        return AuditEntry(
            raw["seq"], raw["at"], who, raw["verb"], raw["subject"], raw["body"], raw["prev"], raw["hash"]
        )
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not an exported entry: {error}") from error
