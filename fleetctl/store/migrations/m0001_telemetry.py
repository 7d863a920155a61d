"""Who is there, what it says and what is wrong: hosts, devices, samples, findings, events.

Why these shapes: samples are wide rows keyed (slot, device) because appending in time order is three times cheaper
than any other key and a person can read them with sqlite3; their columns come from the metric catalogue and grow with
it (fleetctl/store/catalogue.py), so this migration makes the tables with their keys only. Older hours are sealed into
chunks and rollups (docs/reference/store-format.md). Everything that changes rarely (facts, states, links) is written
only when it changes. Moments are whole UTC seconds of the console's clock; a host's clock is never a key.
"""

from __future__ import annotations

from sqlite_utils import Database

KINDS = ("host", "card", "sensor")

TABLES = """
CREATE TABLE hosts (
    id               INTEGER PRIMARY KEY,
    name             TEXT NOT NULL UNIQUE,
    reach            TEXT NOT NULL,              -- fleetctl.model.states.Reach
    reach_since      INTEGER NOT NULL,
    error            TEXT,                       -- fleetctl.model.report.ErrorKind, NULL while it answers
    error_text       TEXT NOT NULL DEFAULT '',
    report_at        INTEGER NOT NULL,           -- last report of any kind
    answer_at        INTEGER,                    -- last time it answered at all
    values_at        INTEGER,                    -- last time it sent values
    slot             INTEGER NOT NULL,           -- round of the last report
    failures         INTEGER NOT NULL DEFAULT 0, -- rounds without an answer in a row
    devices_expected INTEGER                     -- how many its tool says exist
);

CREATE TABLE host_facts (
    host  INTEGER PRIMARY KEY REFERENCES hosts(id) ON DELETE CASCADE,
    at    INTEGER NOT NULL,
    facts TEXT NOT NULL                          -- JSON object of words: kernel, os, boot_id, driver ...
);

-- Ids are given out in groups of 16 of one kind, so that a group is what a chunk holds (see docs).
CREATE TABLE devices (
    id        INTEGER PRIMARY KEY,
    host      INTEGER NOT NULL REFERENCES hosts(id) ON DELETE CASCADE,
    kind      TEXT NOT NULL,
    key       TEXT NOT NULL,
    number    TEXT,                              -- Device.index
    vendor    TEXT, model TEXT, chip TEXT, serial TEXT, uuid TEXT, pci TEXT, slot TEXT,
    firmware  TEXT, driver TEXT, parent TEXT, partition TEXT,
    shares    TEXT NOT NULL DEFAULT '',          -- comma-separated
    quantity  TEXT, unit TEXT, place TEXT,
    first_at  INTEGER NOT NULL,
    gone_at   INTEGER,                           -- slot in which its host stopped naming it; NULL: there
    UNIQUE (host, kind, key)
);

CREATE TABLE device_states (
    device INTEGER NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
    name   TEXT NOT NULL,
    word   TEXT NOT NULL,
    since  INTEGER NOT NULL,
    PRIMARY KEY (device, name)
) WITHOUT ROWID;

CREATE TABLE probe_states (
    host       INTEGER NOT NULL REFERENCES hosts(id) ON DELETE CASCADE,
    probe      TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    duration_s REAL,
    text       TEXT NOT NULL DEFAULT '',
    since      INTEGER NOT NULL,
    PRIMARY KEY (host, probe)
) WITHOUT ROWID;

CREATE TABLE links (
    device       INTEGER NOT NULL REFERENCES devices(id) ON DELETE CASCADE,
    number       TEXT NOT NULL,
    kind         TEXT NOT NULL,
    up           INTEGER,
    speed_gbps   REAL,
    errors_total INTEGER,
    peer         TEXT,
    at           INTEGER NOT NULL,
    PRIMARY KEY (device, number)
) WITHOUT ROWID;

CREATE TABLE processes (
    host           INTEGER NOT NULL REFERENCES hosts(id) ON DELETE CASCADE,
    pid            INTEGER NOT NULL,
    device         TEXT NOT NULL,                -- Device.key
    name           TEXT,
    user           TEXT,
    mem_used_bytes INTEGER,
    at             INTEGER NOT NULL,
    PRIMARY KEY (host, pid, device)
) WITHOUT ROWID;

CREATE TABLE findings (
    id          INTEGER PRIMARY KEY,
    host        INTEGER REFERENCES hosts(id) ON DELETE CASCADE,
    rule        TEXT NOT NULL,
    device      TEXT NOT NULL DEFAULT '',        -- Device.key, or what tells findings of one rule on one host apart
    severity    TEXT NOT NULL,                   -- fleetctl.model.states.Health
    state       TEXT NOT NULL,                   -- pending, firing, resolved
    text        TEXT NOT NULL,
    value       REAL,
    since_at    INTEGER NOT NULL,                -- first round in which it held
    firing_at   INTEGER,
    seen_at     INTEGER NOT NULL,                -- last round in which it held
    rounds      INTEGER NOT NULL DEFAULT 1,      -- rounds in which it held
    clear_at    INTEGER,                         -- last round in which it did not hold; NULL while it holds
    clear_rounds INTEGER NOT NULL DEFAULT 0,     -- rounds in a row in which it did not
    resolved_at INTEGER,
    acked_at    INTEGER,
    acked_by    TEXT
);
CREATE UNIQUE INDEX findings_open ON findings (ifnull(host, 0), rule, device) WHERE state <> 'resolved';
CREATE INDEX findings_by_host ON findings (host, since_at);
CREATE INDEX findings_resolved ON findings (resolved_at) WHERE state = 'resolved';

CREATE TABLE events (
    id        INTEGER PRIMARY KEY,
    first_at  INTEGER NOT NULL,
    last_at   INTEGER NOT NULL,
    count     INTEGER NOT NULL DEFAULT 1,        -- repeats folded into this one
    host      INTEGER REFERENCES hosts(id) ON DELETE CASCADE,
    device    INTEGER REFERENCES devices(id) ON DELETE CASCADE,
    kind      TEXT NOT NULL,                     -- fault, reach, probe, device, state, finding, operator, engine, store
    severity  TEXT NOT NULL,
    name      TEXT NOT NULL,                     -- what repeats: fault code, probe name, rule
    text      TEXT NOT NULL,
    source_at INTEGER                            -- when the host says it was; its clock may be wrong
);
CREATE INDEX events_by_time ON events (last_at);
CREATE INDEX events_by_host ON events (host, last_at);

CREATE TABLE engine (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    pid        INTEGER NOT NULL,
    host       TEXT NOT NULL,
    version    TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    beat_at    INTEGER NOT NULL,
    stopped_at INTEGER,
    slot       INTEGER,                          -- last round written
    note       TEXT NOT NULL DEFAULT '{}'        -- JSON: how the last round went
);

-- The catalogue this file was written with: a reader without the plugin still knows unit and step.
CREATE TABLE metrics (
    of   TEXT NOT NULL,
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    kind TEXT NOT NULL,
    step REAL NOT NULL,
    doc  TEXT NOT NULL,
    PRIMARY KEY (of, name)
) WITHOUT ROWID;

-- Hours on their way into chunks: open -> sealed; dirty when a late report came afterwards.
CREATE TABLE seals (
    kind        TEXT NOT NULL,
    hour        INTEGER NOT NULL,
    next_device INTEGER NOT NULL DEFAULT 0,      -- devices below this one are sealed
    sealed_at   INTEGER,
    dirty       INTEGER NOT NULL DEFAULT 0,
    chunks      INTEGER NOT NULL DEFAULT 1,      -- 0: the chunks are gone, the rollups are still here
    PRIMARY KEY (kind, hour)
) WITHOUT ROWID;

-- The whole fleet at a glance, one row per metric and round, so that a fleet mean never reads 100,000 cards.
CREATE TABLE fleet_slots (
    kind   TEXT NOT NULL,
    metric TEXT NOT NULL,
    slot   INTEGER NOT NULL,
    n      INTEGER NOT NULL,
    min    REAL NOT NULL,
    max    REAL NOT NULL,
    sum    REAL NOT NULL,
    PRIMARY KEY (kind, metric, slot)
) WITHOUT ROWID;
"""

SAMPLES = """
CREATE TABLE {kind}_samples (
    slot   INTEGER NOT NULL,
    device INTEGER NOT NULL,
    PRIMARY KEY (slot, device)
) WITHOUT ROWID;

CREATE TABLE {kind}_chunks (
    hour   INTEGER NOT NULL,
    grp    INTEGER NOT NULL,                     -- device id / 16
    data   BLOB NOT NULL,
    PRIMARY KEY (grp, hour)
) WITHOUT ROWID;

CREATE TABLE {kind}_rollups (
    hour   INTEGER NOT NULL,
    grp    INTEGER NOT NULL,                     -- device id / 256
    data   BLOB NOT NULL,
    PRIMARY KEY (grp, hour)
) WITHOUT ROWID;
"""


def apply(db: Database) -> None:
    """Make the tables; see the module's docstring for why they look as they do."""
    script = TABLES + "".join(SAMPLES.format(kind=kind) for kind in KINDS)
    for statement in script.split(";\n"):
        if statement.strip():
            db.conn.execute(statement)
