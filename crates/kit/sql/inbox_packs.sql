-- Events already applied, per consumer: written in the transaction of the effect, so a redelivery is recognised. Events
-- of one origin have consecutive ids, so one row knows up to 256 of them. Copy this text into a migration of the service
-- with its schema's name for `{schema}`.
CREATE TABLE {schema}.inbox_packs (
    consumer TEXT NOT NULL
  , pack_id UUID NOT NULL
  , applied BYTEA NOT NULL
  , received_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT inbox_packs_pkey PRIMARY KEY (consumer, pack_id)
  , CONSTRAINT inbox_packs_applied_check CHECK (octet_length(applied) = 32)
);

-- For deleting by age in bounded steps. Inserts go to its right end, where equal times share one entry.
CREATE INDEX inbox_packs_received_at_idx ON {schema}.inbox_packs (received_at);

COMMENT ON COLUMN {schema}.inbox_packs.consumer IS 'Queue name without the namespace: each subscription applies an event once for itself.';
COMMENT ON COLUMN {schema}.inbox_packs.pack_id IS 'The CloudEvents ids without their last byte.';
COMMENT ON COLUMN {schema}.inbox_packs.applied IS '256 bits: bit n, counted as set_bit counts, says that the event whose id ends in byte n was applied.';
COMMENT ON COLUMN {schema}.inbox_packs.received_at IS 'When the newest effect was committed; rows are deleted after a retention longer than any redelivery.';
