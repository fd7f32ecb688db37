-- Never edited once released: a change is a file with the next number.

-- A spool is a ledger that holds events for another ledger, which is away. What it needs to hand an event over is in these
-- columns, which are NULL everywhere else.
-- spooled_bytes: how much of the spool's size the event takes.
-- passed: the ids that the event had at earlier receivers, sixteen bytes each.
-- deduplication_key: the event's key. How long it lasts is in deduplication_keys.
-- not_taken: why the other ledger refused the event.
ALTER TABLE events ADD COLUMN spooled_bytes INTEGER;
ALTER TABLE events ADD COLUMN passed BLOB;
ALTER TABLE events ADD COLUMN deduplication_key TEXT;
ALTER TABLE events ADD COLUMN not_taken TEXT;

CREATE INDEX events_not_taken ON events (seq) WHERE not_taken IS NOT NULL;

ALTER TABLE ledger ADD COLUMN is_spool INTEGER NOT NULL DEFAULT 0;
-- What this ledger is, whatever its name: sixteen random bytes, which copies of the file keep.
ALTER TABLE ledger ADD COLUMN identity BLOB;
UPDATE ledger SET identity = randomblob(16);

-- One row at most: the ledger that everything here is being copied to, or was moved to.
-- since_ms: the moment of the copy, in the ledger's own time. moved_at_ms (of the wall clock) and summary: NULL until it was moved.
CREATE TABLE moving (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    copy BLOB NOT NULL,
    target BLOB NOT NULL,
    target_name TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    moved_at_ms INTEGER,
    summary TEXT
) STRICT;

-- The copies of other ledgers into this one. state: 0 under way, 1 sealed, 2 in use. As long as one is not in use, nothing else is
-- written here, so that what has a higher number than those in ..._before is the copy's. A delivery with a place has that place
-- beyond deliveries_before as its seq; the others come behind `places`.
CREATE TABLE copies (
    number INTEGER PRIMARY KEY,
    copy BLOB NOT NULL UNIQUE,
    source BLOB NOT NULL,
    source_name TEXT NOT NULL,
    state INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    places INTEGER NOT NULL,
    events_before INTEGER NOT NULL,
    deliveries_before INTEGER NOT NULL,
    refused_before INTEGER NOT NULL
) STRICT;

-- The copy that a key came with.
ALTER TABLE deduplication_keys ADD COLUMN copied INTEGER;

-- Two more states of `deliveries`, of a copy that is not in use: 12 will be waiting, 13 will be held.
CREATE INDEX deliveries_copied ON deliveries (state, seq) WHERE state IN (12, 13);
