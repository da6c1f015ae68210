-- Events are kept in packs. The old outbox must be empty of unpublished rows: let the old release publish them first.
DO $$
BEGIN
    IF EXISTS (SELECT FROM catalog.outbox_events WHERE published_at IS NULL) THEN
        RAISE EXCEPTION 'schema catalog has unpublished events: let the old release run until they are published';
    END IF;
END
$$;

CREATE TABLE catalog.outbox_packs (
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
ALTER TABLE catalog.outbox_packs ALTER COLUMN batch SET STORAGE EXTERNAL;

-- The relay's work list: small while the broker is up, whatever the retention.
CREATE INDEX outbox_packs_unpublished_idx ON catalog.outbox_packs (position) WHERE published_at IS NULL;

COMMENT ON COLUMN catalog.outbox_packs.position IS 'Order of insertion, the order of publishing. Not the order of commit: never tail by "greater than last seen".';
COMMENT ON COLUMN catalog.outbox_packs.routing_key IS '<service>.<noun>.<past_verb>.v1, of every event in the batch.';
COMMENT ON COLUMN catalog.outbox_packs.events IS 'How many events the batch holds.';
COMMENT ON COLUMN catalog.outbox_packs.batch IS 'A CloudEvents 1.0 batch in protobuf, as it is published. Batches in a row are one batch, so the relay joins rows without reading them.';
COMMENT ON COLUMN catalog.outbox_packs.published_at IS 'Set when the broker confirmed the message and did not return it.';

CREATE TABLE catalog.inbox_packs (
    consumer TEXT NOT NULL
  , pack_id UUID NOT NULL
  , applied BYTEA NOT NULL
  , received_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT inbox_packs_pkey PRIMARY KEY (consumer, pack_id)
  , CONSTRAINT inbox_packs_applied_check CHECK (octet_length(applied) = 32)
);

-- For deleting by age in bounded steps. Inserts go to its right end, where equal times share one entry.
CREATE INDEX inbox_packs_received_at_idx ON catalog.inbox_packs (received_at);

COMMENT ON COLUMN catalog.inbox_packs.consumer IS 'Queue name without the namespace: each subscription applies an event once for itself.';
COMMENT ON COLUMN catalog.inbox_packs.pack_id IS 'The CloudEvents ids without their last byte.';
COMMENT ON COLUMN catalog.inbox_packs.applied IS '256 bits: bit n, counted as set_bit counts, says that the event whose id ends in byte n was applied.';
COMMENT ON COLUMN catalog.inbox_packs.received_at IS 'When the newest effect was committed; rows are deleted after a retention longer than any redelivery.';

-- What was applied stays known. Old ids were drawn one by one, so each is a pack of its own.
INSERT INTO catalog.inbox_packs (consumer, pack_id, applied, received_at)
SELECT consumer
     , ENCODE(SET_BYTE(UUID_SEND(event_id), 15, 0), 'hex')::UUID
     , SET_BIT(DECODE(REPEAT('00', 32), 'hex'), GET_BYTE(UUID_SEND(event_id), 15), 1)
     , received_at
  FROM catalog.inbox
    ON CONFLICT DO NOTHING;

DROP TABLE catalog.outbox_events;
DROP TABLE catalog.inbox;
