-- Never edited once released: a change is a file with the next number.

-- Operators' orders. state: 0 running, 1 done, 2 cancelled, 3 failed, 4 broken off.
-- counted: NULL as long as what the order is about is counted. ended_at: NULL while it runs, and if its process ended before it.
-- until: in the ledger's own time; a running one whose time is over is broken off.
-- The row of an order is locked first, before lines, events and deliveries: who cancels waits for the part that is being done.
CREATE TABLE orders (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text COLLATE "C" NOT NULL UNIQUE,
    state smallint NOT NULL DEFAULT 0,
    verb text COLLATE "C" NOT NULL,
    what text COLLATE "C" NOT NULL,
    who bytea NOT NULL,
    source text COLLATE "C" NOT NULL,
    note bytea,
    counted bigint,
    taken bigint NOT NULL DEFAULT 0,
    done bigint NOT NULL DEFAULT 0,
    unrouted bigint NOT NULL DEFAULT 0,
    began_at bigint NOT NULL,
    ended_at bigint,
    reason bytea,
    until bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, vacuum_truncate = off);

-- The order that made the delivery, or that moved or dropped it since.
ALTER TABLE open ADD COLUMN order_number bigint;
ALTER TABLE finished ADD COLUMN order_number bigint;
