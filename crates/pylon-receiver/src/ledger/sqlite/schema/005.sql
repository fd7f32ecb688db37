-- Never edited once released: a change is a file with the next number.

-- Operators' orders. state: 0 running, 1 done, 2 cancelled, 3 failed, 4 broken off.
-- counted: NULL as long as what the order is about is counted. ended_at_ms: NULL while it runs, and if its process ended before it.
-- until_ms: a running one whose time is over is broken off.
-- began_at_ms and ended_at_ms are of the wall clock, until_ms of the ledger's own time.
CREATE TABLE orders (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    state INTEGER NOT NULL,
    verb TEXT NOT NULL,
    what TEXT NOT NULL,
    who TEXT NOT NULL,
    source TEXT NOT NULL,
    note TEXT,
    counted INTEGER,
    taken INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0,
    unrouted INTEGER NOT NULL DEFAULT 0,
    began_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    reason TEXT,
    until_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX orders_running ON orders (number) WHERE state = 0;

-- The order that made the delivery, or that moved or dropped it since. It takes no room in a row as long as it is NULL.
ALTER TABLE deliveries ADD COLUMN order_number INTEGER;
