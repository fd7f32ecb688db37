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
