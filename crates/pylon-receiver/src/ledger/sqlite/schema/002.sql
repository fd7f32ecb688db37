-- Never edited once released: a change is a file with the next number.

-- Refused requests by endpoint and reason: the most frequent ones give way to the others. An empty endpoint: the path names none.
CREATE TABLE refused_totals (
    endpoint TEXT NOT NULL,
    code TEXT NOT NULL,
    kept INTEGER NOT NULL,
    PRIMARY KEY (endpoint, code)
) STRICT, WITHOUT ROWID;

INSERT INTO refused_totals (endpoint, code, kept)
SELECT coalesce(endpoint, ''), code, count(*) FROM refused GROUP BY 1, 2;

CREATE INDEX refused_of_reason ON refused (endpoint, code);

-- is_repeat: 0 as long as the delivery was made with its event and no attempt of it has failed. See `Ledger`, "What goes first".
-- uncounted: those of `attempts` that do not count against the delivery.
-- Both take no room in a row as long as they are 0 or 1.
ALTER TABLE deliveries ADD COLUMN is_repeat INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN uncounted INTEGER NOT NULL DEFAULT 0;

DROP INDEX deliveries_due;
UPDATE deliveries SET is_repeat = 1
    WHERE state IN (10, 11) AND (attempts > 0 OR interruptions > 1 OR created_at_ms IS NOT NULL);
CREATE INDEX deliveries_due ON deliveries (destination, is_repeat, at_ms) WHERE state = 10;
