-- Never edited once released: a change is a file with the next number.

-- The copies of other ledgers into this one. state: 0 under way, 1 sealed, 2 being let go, 3 in use. since: the moment of the copy, in the
-- ledger's own time. A delivery with a place has that place beyond deliveries_before as its seq.
CREATE TABLE copies (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    copy uuid NOT NULL UNIQUE,
    source uuid NOT NULL,
    source_name text COLLATE "C" NOT NULL,
    state smallint NOT NULL,
    since bigint NOT NULL,
    deliveries_before bigint NOT NULL
);

-- What is in the tables below is of one copy.
CREATE UNIQUE INDEX copies_unfinished ON copies ((true)) WHERE state < 3;

-- Everything of a copy lies in these tables until it is let go. Receivers serve the ledger meanwhile, and nothing that they do looks for
-- events or deliveries here.
CREATE TABLE copied_events (
    id uuid PRIMARY KEY,
    endpoint text COLLATE "C" NOT NULL,
    name bytea NOT NULL,
    kind text COLLATE "C",
    method bytea NOT NULL,
    target bytea NOT NULL,
    query bytea,
    parked bytea,
    headers bytea NOT NULL,
    body bytea NOT NULL,
    -- Whether a delivery of it is waiting or held: these events are let go first.
    is_unfinished boolean NOT NULL
);

CREATE INDEX copied_events_unfinished ON copied_events (id) WHERE is_unfinished;

-- state: as in `open` and `finished`. seq: NULL if it has ended. at: when it is due, or when it ended. attempts: all, if it has ended.
CREATE TABLE copied_deliveries (
    event_id uuid NOT NULL,
    number integer NOT NULL,
    seq bigint,
    destination text COLLATE "C" NOT NULL,
    order_key bytea,
    line bigint,
    state smallint NOT NULL,
    is_repeat boolean NOT NULL,
    attempts integer NOT NULL,
    uncounted integer NOT NULL,
    interruptions integer NOT NULL,
    size integer NOT NULL,
    at bigint NOT NULL,
    created_at bigint,
    redelivery_of integer,
    reason bytea,
    PRIMARY KEY (event_id, number)
);

CREATE INDEX copied_deliveries_loose ON copied_deliveries (seq) WHERE seq IS NOT NULL AND line IS NULL;
CREATE INDEX copied_deliveries_line ON copied_deliveries (line) WHERE seq IS NOT NULL AND line IS NOT NULL;

CREATE TABLE copied_attempts (
    event_id uuid NOT NULL,
    number integer NOT NULL,
    attempt integer NOT NULL,
    started_at bigint NOT NULL,
    took_ms bigint NOT NULL,
    status integer,
    detail bytea NOT NULL,
    PRIMARY KEY (event_id, number, attempt)
);

-- number: that of the other ledger.
CREATE TABLE copied_refused (
    number bigint PRIMARY KEY,
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
);

-- The deduplication keys that came with the copy: they count at once, in `deduplication_keys`. Those that are named here are not pruned.
CREATE TABLE copied_keys (
    endpoint text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    event_id uuid NOT NULL,
    PRIMARY KEY (endpoint, key)
);
