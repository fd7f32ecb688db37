-- Never edited once released: a change is a file with the next number.
-- Runs in the ledger's own schema, which is the search path.
-- Moments are milliseconds. Of the wall clock of the server (Unix time, UTC): created_at, started_at, finished_at, refused.at. Of the
-- ledger's own time, which never goes back: due_at, lease_until, expires_at, chores.until (see `tick`).
-- What a stranger can put a NUL into is bytea. Indexed text has the collation "C", which no update of the system changes.
-- No foreign keys: they lock rows that others write.

-- One row: what this ledger is.
CREATE TABLE ledger (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid()
);

-- One row: how far the ledger's time is ahead of the server's clock, and the latest that was kept.
CREATE TABLE clock (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    ahead_ms bigint NOT NULL,
    latest_ms bigint NOT NULL
);
INSERT INTO clock (ahead_ms, latest_ms) VALUES (0, 0);

-- The server's clock. Tests replace it.
CREATE FUNCTION wall_ms() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
    AS 'SELECT (extract(epoch FROM statement_timestamp()) * 1000)::bigint';

-- The ledger's time. By its index: where scans of tables are off, a scan of this one row would be thought to cost very much.
CREATE FUNCTION tick() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
    AS 'SELECT greatest(wall_ms() + ahead_ms, latest_ms) FROM clock WHERE one';

-- Keeps the present, so that the ledger's time goes on from there however often the clock is set back. Steps of less than half a second
-- only hold the time: statements of other sessions began a little earlier, and would push it ahead for ever. Who finds the row locked leaves
-- it to the one that has it. A commit that waits for a standby has it until the standby is back: meanwhile the time goes on with the clock,
-- latest_ms stands still, and the time falls back to it at worst if the clock is set back just then.
CREATE FUNCTION keep_time() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    wall bigint := wall_ms();
    kept clock%ROWTYPE;
BEGIN
    SELECT * INTO kept FROM clock WHERE one;
    IF wall + kept.ahead_ms >= kept.latest_ms - 500 AND wall + kept.ahead_ms < kept.latest_ms + 1000 THEN
        RETURN;
    END IF;
    SELECT * INTO kept FROM clock WHERE one FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF wall + kept.ahead_ms < kept.latest_ms - 500 THEN
        UPDATE clock SET ahead_ms = kept.latest_ms - wall WHERE one;
    ELSIF wall + kept.ahead_ms >= kept.latest_ms + 1000 THEN
        UPDATE clock SET latest_ms = wall + kept.ahead_ms WHERE one;
    END IF;
END $$;

-- Written once. Here and below, the room of what is forgotten is used again once a twentieth is; by default it would be a fifth.
CREATE TABLE events (
    id uuid PRIMARY KEY,
    endpoint text COLLATE "C" NOT NULL,
    name bytea NOT NULL,
    kind text COLLATE "C",
    method bytea NOT NULL,
    target bytea NOT NULL,
    query bytea,
    parked bytea,
    headers bytea NOT NULL,
    body bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX events_parked ON events (id) WHERE parked IS NOT NULL;

-- The order in which deliveries were made. In a line it is drawn under the line's lock, so that there it is the order of commits.
CREATE SEQUENCE deliveries_seq AS bigint;

-- Unfinished deliveries, and nothing else: the one table whose rows change.
-- state: 0 waiting, 1 held, 2 delivering. line: the hash of ledger, destination and order key; NULL without an order key.
-- is_repeat: false as long as the delivery was made with its event and no attempt of it has failed. See `Ledger`, "What goes first".
-- uncounted: those of `attempts` that do not count against the delivery. created_at: NULL if it was made with its event.
-- settled_token: the lease that was settled last, for a caller that lost the answer. size: bytes of the event's body.
CREATE TABLE open (
    event_id uuid NOT NULL,
    number integer NOT NULL,
    seq bigint NOT NULL,
    destination text COLLATE "C" NOT NULL,
    order_key bytea,
    line bigint,
    state smallint NOT NULL,
    is_repeat boolean NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    uncounted integer NOT NULL DEFAULT 0,
    interruptions integer NOT NULL DEFAULT 0,
    size integer NOT NULL,
    due_at bigint NOT NULL,
    created_at bigint,
    redelivery_of integer,
    reason bytea,
    token bigint,
    settled_token bigint,
    lease_until bigint,
    owner uuid,
    PRIMARY KEY (event_id, number)
) WITH (
    -- A delivery that works leaves two dead rows here, and nothing elsewhere.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0,
    -- It would need an exclusive lock.
    vacuum_truncate = off
);

CREATE INDEX open_due ON open (destination, is_repeat, due_at, seq) WHERE state = 0;
CREATE INDEX open_leased ON open (destination, lease_until) WHERE state = 2;
CREATE INDEX open_line ON open (line, seq) WHERE line IS NOT NULL;
-- Of each line, one delivery at most is waiting or delivering.
CREATE UNIQUE INDEX open_first_in_line ON open (line) WHERE line IS NOT NULL AND state IN (0, 2);

-- state: 3 delivered, 4 dead, 5 dropped, 6 redelivered. attempts: all, interruptions too. token: the lease under which it ended.
CREATE TABLE finished (
    event_id uuid NOT NULL,
    number integer NOT NULL,
    destination text COLLATE "C" NOT NULL,
    order_key bytea,
    line bigint,
    state smallint NOT NULL,
    attempts integer NOT NULL,
    finished_at bigint NOT NULL,
    created_at bigint,
    redelivery_of integer,
    reason bytea,
    token bigint,
    PRIMARY KEY (event_id, number)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX finished_dead ON finished (destination, event_id, number) WHERE state = 4;
CREATE INDEX finished_not_delivered ON finished (event_id, number) WHERE state <> 3;

CREATE TABLE attempts (
    event_id uuid NOT NULL,
    number integer NOT NULL,
    attempt integer NOT NULL,
    started_at bigint NOT NULL,
    took_ms bigint NOT NULL,
    status integer,
    detail bytea NOT NULL,
    PRIMARY KEY (event_id, number, attempt)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE deduplication_keys (
    endpoint text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    event_id uuid NOT NULL,
    expires_at bigint,
    PRIMARY KEY (endpoint, key)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX deduplication_keys_by_expiry ON deduplication_keys (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX deduplication_keys_by_event ON deduplication_keys (event_id) WHERE expires_at IS NULL;

CREATE TABLE refused (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    endpoint text COLLATE "C",
    code text COLLATE "C" NOT NULL,
    reason bytea NOT NULL,
    status integer NOT NULL,
    method bytea NOT NULL,
    path bytea NOT NULL,
    remote bytea NOT NULL,
    headers bytea NOT NULL,
    body bytea NOT NULL,
    body_length bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, vacuum_truncate = off);

-- Work that one of several receivers does: who has it until when, and how far it came.
CREATE TABLE chores (
    name text COLLATE "C" PRIMARY KEY,
    owner uuid,
    until bigint NOT NULL DEFAULT 0,
    place uuid
);
INSERT INTO chores (name) VALUES ('prune'), ('fold');

-- By how much numbers changed, a row for each change; a chore adds them up. An empty destination: events and parked events of all.
-- Those that are delivering count as waiting.
CREATE TABLE tallies (
    destination text COLLATE "C" NOT NULL,
    events bigint NOT NULL DEFAULT 0,
    parked bigint NOT NULL DEFAULT 0,
    waiting bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0,
    dead bigint NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, vacuum_truncate = off);
