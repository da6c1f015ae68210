-- Which SKUs changed, in the channel's order of changes: what a subscriber reads. A pack has the changes that one
-- transaction numbered in a row, so there are no gaps, and the oldest packs are deleted where newer ones are written.
CREATE TABLE channels.changes (
    channel_id TEXT NOT NULL
    -- The number of the pack's last change; the others count back from it.
  , last_seq BIGINT NOT NULL
  , skus TEXT[] NOT NULL
  , CONSTRAINT changes_pkey PRIMARY KEY (channel_id, last_seq)
  , CONSTRAINT changes_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channels.channels (channel_id)
  , CONSTRAINT changes_skus_check CHECK (CARDINALITY(skus) BETWEEN 1 AND last_seq)
)
-- A queue: the head of the index must not fill with the dead.
WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);

-- Without an index on what each change of stock changes, a listing is changed in place, if its page has room. A
-- subscriber from before finds no packs after its cursor and is shown what changed by SKU.
DROP INDEX channels.listings_channel_id_seq_idx;
ALTER TABLE channels.listings SET (fillfactor = 60);
