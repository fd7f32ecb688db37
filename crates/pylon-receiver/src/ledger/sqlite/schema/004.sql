-- Never edited once released: a change is a file with the next number.

-- code: what happened, as a stable word; NULL in what is older than this version. Of a delivery, the code of its last failed attempt.
-- answer: what the destination said to a failed attempt, a part of it at most. answer_is_cut: NULL without an answer.
ALTER TABLE attempts ADD COLUMN code TEXT;
ALTER TABLE attempts ADD COLUMN answer_type TEXT;
ALTER TABLE attempts ADD COLUMN answer BLOB;
ALTER TABLE attempts ADD COLUMN answer_is_cut INTEGER;
ALTER TABLE deliveries ADD COLUMN code TEXT;

-- Those that are dead, by code; an empty code: they have none.
CREATE TABLE dead_totals (
    destination TEXT NOT NULL,
    code TEXT NOT NULL,
    dead INTEGER NOT NULL,
    PRIMARY KEY (destination, code)
) STRICT, WITHOUT ROWID;

INSERT INTO dead_totals (destination, code, dead)
SELECT destination, '', count(*) FROM deliveries WHERE state = 21 GROUP BY destination;

DROP INDEX deliveries_dead;
CREATE INDEX deliveries_dead ON deliveries (destination, code, at_ms) WHERE state = 21;
