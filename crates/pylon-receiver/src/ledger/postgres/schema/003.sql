-- Never edited once released: a change is a file with the next number.

-- code: what happened, as a stable word; NULL in what is older than this version. Of a delivery, the code of its last failed attempt.
-- answer: what the destination said to a failed attempt, a part of it at most. answer_is_cut: NULL without an answer.
-- What nobody records into comes first: the index reads all of `finished`.
ALTER TABLE finished ADD COLUMN code text COLLATE "C";
-- The first and the last of the dead with one code.
CREATE INDEX finished_dead_by_code ON finished (destination, coalesce(code, ''), finished_at) WHERE state = 4;

ALTER TABLE copied_deliveries ADD COLUMN code text COLLATE "C";
ALTER TABLE copied_attempts
    ADD COLUMN code text COLLATE "C",
    ADD COLUMN answer_type bytea,
    ADD COLUMN answer bytea,
    ADD COLUMN answer_is_cut boolean;
ALTER TABLE attempts
    ADD COLUMN code text COLLATE "C",
    ADD COLUMN answer_type bytea,
    ADD COLUMN answer bytea,
    ADD COLUMN answer_is_cut boolean;

-- Of those that are dead, the code; empty if they have none. Other changes have no code.
ALTER TABLE tallies ADD COLUMN code text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE open ADD COLUMN code text COLLATE "C";
