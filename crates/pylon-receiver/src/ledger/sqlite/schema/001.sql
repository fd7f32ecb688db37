-- Never edited once released: a change is a file with the next number.
-- Times are Unix milliseconds in UTC. Ids are the sixteen bytes of a UUID of version 7, whose first six are the time of arrival.

CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    endpoint TEXT NOT NULL,
    kind TEXT NOT NULL,
    parked TEXT,
    headers BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE INDEX events_parked ON events (seq) WHERE parked IS NOT NULL;

-- seq is the order in which deliveries were made; number counts those of one event from 1.
-- state: 0 waiting, 1 held, 2 delivering, 3 delivered, 4 dead, 5 dropped, 6 redelivered.
CREATE TABLE deliveries (
    seq INTEGER PRIMARY KEY,
    event_seq INTEGER NOT NULL,
    number INTEGER NOT NULL,
    destination TEXT NOT NULL,
    order_key TEXT,
    state INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    created_at_ms INTEGER NOT NULL,
    due_at_ms INTEGER NOT NULL,
    lease_token INTEGER,
    lease_until_ms INTEGER,
    finished_at_ms INTEGER,
    redelivery_of INTEGER,
    reason TEXT
) STRICT;

CREATE UNIQUE INDEX deliveries_of_event ON deliveries (event_seq, number);
CREATE INDEX deliveries_waiting ON deliveries (destination, due_at_ms) WHERE state = 0;
CREATE INDEX deliveries_held ON deliveries (destination, order_key) WHERE state = 1;
CREATE INDEX deliveries_delivering ON deliveries (destination, lease_until_ms) WHERE state = 2;
CREATE INDEX deliveries_dead ON deliveries (destination) WHERE state = 4;
CREATE INDEX deliveries_in_line ON deliveries (destination, order_key) WHERE order_key IS NOT NULL AND state < 3;

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

-- One row, written to find out whether anything can be written.
CREATE TABLE checks (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL
) STRICT;
INSERT INTO checks (id, count) VALUES (1, 0);
