-- Tracked goods may be transferred.
ALTER TABLE inventory.transfer_lines
    -- Of a tracked SKU: which units are in transit, [[lot, units], …].
    ADD COLUMN lots JSONB NULL;
