"""Node life, plans, leases, queue and the decision record; so that wishes outlive the process that took them."""

from __future__ import annotations

import sqlite3

from sqlite_utils import Database

# Invariants live here and not only in Python: a card never carries more than 1000 milli, a node held exclusively has
# one tenant, and the decision record can be added to but not changed. Moments are whole UTC seconds.
SCHEMA = """
CREATE TABLE node_admin (
  host TEXT PRIMARY KEY, wish TEXT NOT NULL, version INTEGER NOT NULL,
  owner_kind TEXT, owner TEXT, reason_class TEXT, reason TEXT, ticket TEXT NOT NULL DEFAULT '',
  mode TEXT NOT NULL DEFAULT 'wait', deadline_at INTEGER, expected_return_at INTEGER,
  evidence TEXT NOT NULL DEFAULT '', plan TEXT, since_at INTEGER,
  observed TEXT NOT NULL DEFAULT 'in_service', observed_at INTEGER, released TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

CREATE TABLE card_admin (
  host TEXT NOT NULL, card TEXT NOT NULL, wish TEXT NOT NULL, version INTEGER NOT NULL,
  owner_kind TEXT, owner TEXT, reason_class TEXT, reason TEXT,
  mode TEXT NOT NULL DEFAULT 'wait', deadline_at INTEGER, plan TEXT, since_at INTEGER,
  PRIMARY KEY (host, card)
) STRICT, WITHOUT ROWID;

CREATE TABLE node_outside (
  host TEXT NOT NULL, backend TEXT NOT NULL, state TEXT NOT NULL, owner TEXT NOT NULL DEFAULT '',
  reason TEXT NOT NULL DEFAULT '', ours INTEGER NOT NULL DEFAULT 0, busy INTEGER,
  since_at INTEGER, seen_at INTEGER,
  PRIMARY KEY (host, backend)
) STRICT, WITHOUT ROWID;

CREATE TABLE plan (
  id TEXT PRIMARY KEY, verb TEXT NOT NULL, state TEXT NOT NULL, who_kind TEXT NOT NULL, who TEXT NOT NULL,
  created_at INTEGER NOT NULL, applied_at INTEGER, start_at INTEGER, end_at INTEGER, deadline_at INTEGER,
  reason TEXT NOT NULL DEFAULT '', note TEXT NOT NULL DEFAULT '', undo_of TEXT, body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX plan_open ON plan (state) WHERE state IN ('scheduled', 'held', 'running');

-- before: the node's record as it was, so that undo can put it back; after_version: what this plan made of it.
CREATE TABLE plan_node (
  plan TEXT NOT NULL, host TEXT NOT NULL, card TEXT NOT NULL DEFAULT '', seq INTEGER NOT NULL, state TEXT NOT NULL,
  before TEXT, after_version INTEGER, note TEXT NOT NULL DEFAULT '', changed_at INTEGER,
  PRIMARY KEY (plan, host, card)
) STRICT, WITHOUT ROWID;
CREATE INDEX plan_node_open ON plan_node (host) WHERE state IN ('pending', 'doing', 'waiting');

-- What outside schedulers must be told. doing + crash: read back first, so that no step happens twice.
CREATE TABLE backend_step (
  id TEXT PRIMARY KEY, plan TEXT NOT NULL, host TEXT NOT NULL, backend TEXT NOT NULL, verb TEXT NOT NULL,
  state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, begun_at INTEGER, ended_at INTEGER,
  note TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX backend_step_open ON backend_step (state) WHERE state IN ('pending', 'doing');

CREATE TABLE request (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, who TEXT NOT NULL, state TEXT NOT NULL, cls TEXT NOT NULL,
  submitted_at INTEGER NOT NULL, start_at INTEGER, latest_start_at INTEGER, duration_s INTEGER,
  reservation TEXT NOT NULL DEFAULT '', shape TEXT NOT NULL, note TEXT NOT NULL DEFAULT '', lease TEXT,
  decided_at INTEGER, version INTEGER NOT NULL DEFAULT 1
) STRICT, WITHOUT ROWID;
CREATE INDEX request_queue ON request (submitted_at) WHERE state = 'queued';

CREATE TABLE lease (
  id TEXT PRIMARY KEY, request TEXT NOT NULL, tenant TEXT NOT NULL, who TEXT NOT NULL, state TEXT NOT NULL,
  cls TEXT NOT NULL, exclusive INTEGER NOT NULL, start_at INTEGER NOT NULL, end_at INTEGER,
  ended_at INTEGER, ended_why TEXT NOT NULL DEFAULT '', shape TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 1,
  CHECK (end_at IS NULL OR end_at >= start_at)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX lease_once ON lease (request);
CREATE INDEX lease_live ON lease (end_at) WHERE state IN ('active', 'ending');
CREATE INDEX lease_start ON lease (start_at);

-- Every card a lease ever had, for accounting.
CREATE TABLE lease_card (
  lease TEXT NOT NULL, host TEXT NOT NULL, card TEXT NOT NULL, idx TEXT, milli INTEGER NOT NULL,
  PRIMARY KEY (lease, host, card)
) STRICT, WITHOUT ROWID;

-- What is held this moment. card '' stands for a node without accelerators.
CREATE TABLE hold (
  host TEXT NOT NULL, card TEXT NOT NULL, lease TEXT NOT NULL,
  milli INTEGER NOT NULL CHECK (milli BETWEEN 1 AND 1000), exclusive INTEGER NOT NULL, idx TEXT,
  PRIMARY KEY (host, card, lease)
) STRICT, WITHOUT ROWID;
CREATE INDEX hold_lease ON hold (lease);
CREATE TRIGGER hold_no_overbooking BEFORE INSERT ON hold
WHEN (SELECT COALESCE(SUM(milli), 0) FROM hold WHERE host = NEW.host AND card = NEW.card) + NEW.milli > 1000
BEGIN SELECT RAISE(ABORT, 'card is held already'); END;
CREATE TRIGGER hold_exclusive BEFORE INSERT ON hold
WHEN EXISTS (SELECT 1 FROM hold WHERE host = NEW.host AND lease <> NEW.lease AND (exclusive = 1 OR NEW.exclusive = 1))
BEGIN SELECT RAISE(ABORT, 'node is held exclusively'); END;
CREATE TRIGGER hold_no_change BEFORE UPDATE ON hold
BEGIN SELECT RAISE(ABORT, 'a hold is made and ended, never changed'); END;

CREATE TABLE hook_run (
  lease TEXT NOT NULL, host TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, begun_at INTEGER, ended_at INTEGER, exit_status INTEGER,
  note TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (lease, host, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX hook_run_open ON hook_run (state) WHERE state IN ('pending', 'running');

CREATE TABLE reservation (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, tenant TEXT NOT NULL DEFAULT '', who TEXT NOT NULL DEFAULT '',
  reason TEXT NOT NULL DEFAULT '', start_at INTEGER NOT NULL, end_at INTEGER, plan TEXT, state TEXT NOT NULL,
  created_at INTEGER NOT NULL, CHECK (end_at IS NULL OR end_at > start_at)
) STRICT, WITHOUT ROWID;
CREATE TABLE reservation_node (
  reservation TEXT NOT NULL, host TEXT NOT NULL, PRIMARY KEY (reservation, host)
) STRICT, WITHOUT ROWID;
CREATE INDEX reservation_by_host ON reservation_node (host);

CREATE TABLE verification (
  id INTEGER PRIMARY KEY, host TEXT NOT NULL, at INTEGER NOT NULL, who TEXT NOT NULL, ok INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX verification_by_host ON verification (host, at);

CREATE TABLE automatic_action (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, rule TEXT NOT NULL, verb TEXT NOT NULL, host TEXT NOT NULL
) STRICT;
CREATE INDEX automatic_action_at ON automatic_action (at);

-- Small facts of the scheduler itself: breaker, last tick, clock watch.
CREATE TABLE scheduler_fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, who_kind TEXT NOT NULL, who TEXT NOT NULL, verb TEXT NOT NULL,
  subject TEXT NOT NULL, body TEXT NOT NULL, prev TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_subject ON audit (subject, seq);
CREATE TRIGGER audit_no_change BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the decision record only grows'); END;
CREATE TRIGGER audit_no_loss BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the decision record only grows'); END;
CREATE TRIGGER audit_in_order BEFORE INSERT ON audit
WHEN NEW.prev <> COALESCE((SELECT hash FROM audit ORDER BY seq DESC LIMIT 1), '')
BEGIN SELECT RAISE(ABORT, 'the decision record has one end'); END;
"""


def statements() -> list[str]:
    """SCHEMA cut into statements; a trigger's body holds semicolons of its own."""
    found: list[str] = []
    part = ""
    for line in SCHEMA.splitlines(keepends=True):
        part += line
        if sqlite3.complete_statement(part):
            found.append(part.strip())
            part = ""
    return found


def apply(db: Database) -> None:
    """Make the tables; see the comment on SCHEMA for which invariants they keep."""
    for statement in statements():
        db.conn.execute(statement)
