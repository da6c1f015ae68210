-- Facts waiting for the broker: written in the transaction that makes them true, published by the relay, deleted after
-- a retention. One row holds all events that a transaction appends for one routing key: a group of hundreds of commands
-- costs one row, not hundreds. Copy this text into a migration of the service with its schema's name for `{schema}`.
CREATE TABLE {schema}.outbox_packs (
    position BIGSERIAL PRIMARY KEY
  , routing_key TEXT NOT NULL
  , events INT NOT NULL
  , batch BYTEA NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , published_at TIMESTAMPTZ
  , CONSTRAINT outbox_packs_events_check CHECK (events BETWEEN 1 AND 256)
)
-- Rows live for hours and are updated once: vacuum early, before the head of the index is full of the dead.
WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);

-- Out of line and as it is: marking a row as published then leaves its batch where it lies.
ALTER TABLE {schema}.outbox_packs ALTER COLUMN batch SET STORAGE EXTERNAL;

-- The relay's work list: small while the broker is up, whatever the retention.
CREATE INDEX outbox_packs_unpublished_idx ON {schema}.outbox_packs (position) WHERE published_at IS NULL;

COMMENT ON COLUMN {schema}.outbox_packs.position IS 'Order of insertion, the order of publishing. Not the order of commit: never tail by "greater than last seen".';
COMMENT ON COLUMN {schema}.outbox_packs.routing_key IS '<service>.<noun>.<past_verb>.v1, of every event in the batch.';
COMMENT ON COLUMN {schema}.outbox_packs.events IS 'How many events the batch holds.';
COMMENT ON COLUMN {schema}.outbox_packs.batch IS 'A CloudEvents 1.0 batch in protobuf, as it is published. Batches in a row are one batch, so the relay joins rows without reading them.';
COMMENT ON COLUMN {schema}.outbox_packs.published_at IS 'Set when the broker confirmed the message and did not return it.';
