-- Never edited once released: a change is a file with the next number.

-- The index of terms (see `ledger/terms`). place: up to which `seq` of events everything is in it; what comes behind is found by reading
-- bodies.
CREATE TABLE term_index (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    place INTEGER NOT NULL
) STRICT;
INSERT INTO term_index (id, place) VALUES (1, 0);

-- Events of the index, between these two ids. ids: of all of them, sixteen bytes each, sorted.
CREATE TABLE term_segments (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    level INTEGER NOT NULL,
    first_id BLOB NOT NULL,
    last_id BLOB NOT NULL,
    events INTEGER NOT NULL,
    ids BLOB NOT NULL
) STRICT;

-- Which events of a segment have a term: those of all hashes from first_hash up to that of the next row.
CREATE TABLE term_blocks (
    segment INTEGER NOT NULL,
    first_hash INTEGER NOT NULL,
    entries BLOB NOT NULL,
    PRIMARY KEY (segment, first_hash)
) STRICT, WITHOUT ROWID;

-- The next event gets the `seq` behind the highest one. So when the highest goes, what comes next may be in the index's past.
CREATE TRIGGER events_last_forgotten AFTER DELETE ON events
WHEN NOT EXISTS (SELECT 1 FROM events WHERE seq > old.seq)
BEGIN
    UPDATE term_index SET place = min(place, (SELECT coalesce(max(seq), 0) FROM events));
END;
