-- Facts waiting for the broker: written in the transaction that makes them true, published by the relay, deleted after
-- a retention.
CREATE TABLE loyalty.outbox_events (
    position BIGSERIAL PRIMARY KEY
  , event_id UUID NOT NULL
  , routing_key TEXT NOT NULL
  , event_type TEXT NOT NULL
  , aggregate_id TEXT NOT NULL
  , aggregate_version BIGINT NOT NULL
  , payload BYTEA NOT NULL
  , trace_context TEXT
  , effective_at TIMESTAMPTZ NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , published_at TIMESTAMPTZ
)
-- Rows live for hours and are updated once: vacuum early, before the head of the index is full of the dead.
WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);

-- The relay's work list: small while the broker is up, whatever the retention.
CREATE INDEX outbox_events_unpublished_idx ON loyalty.outbox_events (position) WHERE published_at IS NULL;

COMMENT ON COLUMN loyalty.outbox_events.position IS 'Order of insertion, the order of publishing. Not the order of commit: never tail by "greater than last seen".';
COMMENT ON COLUMN loyalty.outbox_events.event_id IS 'UUID v7; the CloudEvents id, by which every consumer recognises a duplicate.';
COMMENT ON COLUMN loyalty.outbox_events.routing_key IS '<service>.<noun>.<past_verb>.v1';
COMMENT ON COLUMN loyalty.outbox_events.event_type IS 'Full name of the protobuf message in payload.';
COMMENT ON COLUMN loyalty.outbox_events.aggregate_id IS 'What the fact is about; the CloudEvents subject.';
COMMENT ON COLUMN loyalty.outbox_events.aggregate_version IS 'Rises without gaps per aggregate; consumers let the newer win.';
COMMENT ON COLUMN loyalty.outbox_events.payload IS 'Encoded protobuf message.';
COMMENT ON COLUMN loyalty.outbox_events.trace_context IS 'W3C traceparent of the request that made the fact.';
COMMENT ON COLUMN loyalty.outbox_events.effective_at IS 'When the fact became true in the world, which may be before it was recorded.';
COMMENT ON COLUMN loyalty.outbox_events.published_at IS 'Set when the broker confirmed the event and did not return it.';
