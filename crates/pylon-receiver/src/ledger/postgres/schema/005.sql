-- Never edited once released: a change is a file with the next number.

-- Events that are not in the index of terms yet (see `ledger/terms`): a row for each commit that kept some. A chore takes them away.
-- bytes: of their bodies.
CREATE TABLE unindexed_events (
    events uuid[] NOT NULL,
    bytes bigint NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    vacuum_truncate = off,
    -- The ids of a commit stay in their row, uncompressed: they are random, and to try it costs as much as all the rest.
    toast_tuple_target = 8160
);
ALTER TABLE unindexed_events ALTER COLUMN events SET STORAGE EXTERNAL;

-- Events of the index, between these two ids. ids: of all of them, sixteen bytes each, sorted.
CREATE TABLE term_segments (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    level smallint NOT NULL,
    first_id uuid NOT NULL,
    last_id uuid NOT NULL,
    events integer NOT NULL,
    ids bytea NOT NULL
);
-- Uncompressed, so that a part of it is read without the rest.
ALTER TABLE term_segments ALTER COLUMN ids SET STORAGE EXTERNAL;

-- Which events of a segment have a term: those of all hashes from first_hash up to that of the next row.
CREATE TABLE term_blocks (
    segment bigint NOT NULL,
    first_hash bigint NOT NULL,
    entries bytea NOT NULL,
    PRIMARY KEY (segment, first_hash)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE term_blocks ALTER COLUMN entries SET STORAGE EXTERNAL;

-- place: the events up to this one were here before the index, and are not in it yet. The newest of them come first.
INSERT INTO chores (name, place) VALUES ('terms', (SELECT id FROM events ORDER BY id DESC LIMIT 1));
