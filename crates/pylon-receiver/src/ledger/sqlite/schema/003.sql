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
