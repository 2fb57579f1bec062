-- How often a delivery that is set aside has been brought forward because its room took something.
ALTER TABLE deliveries ADD COLUMN brought_forward INTEGER NOT NULL DEFAULT 0;

CREATE INDEX deliveries_put_off ON deliveries (room) WHERE state = 'waiting' AND (aside = 1 OR failed_at IS NOT NULL);
