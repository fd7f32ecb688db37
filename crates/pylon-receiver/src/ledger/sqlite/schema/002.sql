-- is_repeat: 0 as long as the delivery was made with its event and no attempt of it has failed. See `Ledger`, "What goes first".
-- uncounted: those of `attempts` that do not count against the delivery.
-- Both take no room in a row as long as they are 0 or 1.
ALTER TABLE deliveries ADD COLUMN is_repeat INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN uncounted INTEGER NOT NULL DEFAULT 0;

DROP INDEX deliveries_due;
UPDATE deliveries SET is_repeat = 1
    WHERE state IN (10, 11) AND (attempts > 0 OR interruptions > 1 OR created_at_ms IS NOT NULL);
CREATE INDEX deliveries_due ON deliveries (destination, is_repeat, at_ms) WHERE state = 10;
