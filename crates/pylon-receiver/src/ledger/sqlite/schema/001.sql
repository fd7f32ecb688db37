-- Never edited once released: a change is a file with the next number.
-- A column in _ms holds milliseconds. Of the wall clock (Unix time, UTC): created_at_ms, started_at_ms, at_ms of `refused`, and
-- at_ms of a finished delivery. Of the ledger's own time, which never goes back: everything else (see `clock.rs`).
-- Ids are the sixteen bytes of a UUID of version 7, whose first six are the time of arrival.

CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    endpoint TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT,
    method TEXT NOT NULL,
    target TEXT NOT NULL,
    query TEXT,
    parked TEXT,
    headers BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE INDEX events_parked ON events (seq) WHERE parked IS NOT NULL;

-- seq is the order in which deliveries were made; number counts those of one event from 1.
-- state: 10 waiting, 11 held, 20 delivered, 21 dead, 22 dropped, 23 redelivered. A waiting one with a row in `leases` is delivering.
-- at_ms: when a waiting one is due; when any other came to its end.
-- created_at_ms: NULL for those that were made with their event.
-- Every state takes one byte and at_ms is never NULL, so that a delivery that ends needs no more room than it has.
CREATE TABLE deliveries (
    seq INTEGER PRIMARY KEY,
    event_seq INTEGER NOT NULL,
    number INTEGER NOT NULL,
    destination TEXT NOT NULL,
    order_key TEXT,
    state INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    interruptions INTEGER NOT NULL DEFAULT 0,
    created_at_ms INTEGER,
    redelivery_of INTEGER,
    reason TEXT
) STRICT;

CREATE UNIQUE INDEX deliveries_of_event ON deliveries (event_seq, number);
CREATE INDEX deliveries_due ON deliveries (destination, at_ms) WHERE state = 10;
CREATE INDEX deliveries_held ON deliveries (destination, order_key) WHERE state = 11;
CREATE INDEX deliveries_dead ON deliveries (destination) WHERE state = 21;
-- Of each line, one delivery at most is waiting.
CREATE UNIQUE INDEX deliveries_first_in_line ON deliveries (destination, order_key) WHERE order_key IS NOT NULL AND state = 10;

-- The deliveries that are being attempted, or are about to be: few at any time.
CREATE TABLE leases (
    destination TEXT NOT NULL,
    delivery_seq INTEGER NOT NULL,
    token INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    owner BLOB NOT NULL,
    event_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    order_key TEXT,
    PRIMARY KEY (destination, delivery_seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
    delivery_seq INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    started_at_ms INTEGER NOT NULL,
    took_ms INTEGER NOT NULL,
    status INTEGER,
    detail TEXT NOT NULL,
    PRIMARY KEY (delivery_seq, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE deduplication_keys (
    endpoint TEXT NOT NULL,
    key TEXT NOT NULL,
    event_id BLOB NOT NULL,
    expires_at_ms INTEGER,
    PRIMARY KEY (endpoint, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX deduplication_keys_by_expiry ON deduplication_keys (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
CREATE INDEX deduplication_keys_by_event ON deduplication_keys (event_id) WHERE expires_at_ms IS NULL;

CREATE TABLE refused (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    endpoint TEXT,
    code TEXT NOT NULL,
    reason TEXT NOT NULL,
    status INTEGER NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    remote TEXT NOT NULL,
    headers BLOB NOT NULL,
    body BLOB NOT NULL,
    body_length INTEGER NOT NULL
) STRICT;

-- Work that one of several owners does: who has it until when, and how far it came.
CREATE TABLE chores (
    name TEXT PRIMARY KEY,
    owner BLOB NOT NULL,
    until_ms INTEGER NOT NULL,
    place BLOB
) STRICT, WITHOUT ROWID;

-- One row, written by every commit: what is counted, and the ledger's time.
CREATE TABLE ledger (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    events INTEGER NOT NULL,
    parked INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    ahead_ms INTEGER NOT NULL,
    latest_ms INTEGER NOT NULL
) STRICT;
INSERT INTO ledger (id, events, parked, refused, ahead_ms, latest_ms) VALUES (1, 0, 0, 0, 0, 0);

-- Deliveries by destination; those that are delivering count as waiting here.
CREATE TABLE totals (
    destination TEXT PRIMARY KEY,
    waiting INTEGER NOT NULL,
    held INTEGER NOT NULL,
    dead INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
