-- Facts waiting for the broker: written in the transaction that makes them true, published by the relay, deleted after
-- a retention.
CREATE TABLE orders.outbox_events (
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
CREATE INDEX outbox_events_unpublished_idx ON orders.outbox_events (position) WHERE published_at IS NULL;

COMMENT ON COLUMN orders.outbox_events.position IS 'Order of insertion, the order of publishing. Not the order of commit: never tail by "greater than last seen".';
COMMENT ON COLUMN orders.outbox_events.event_id IS 'UUID v7; the CloudEvents id, by which every consumer recognises a duplicate.';
COMMENT ON COLUMN orders.outbox_events.routing_key IS '<service>.<noun>.<past_verb>.v1';
COMMENT ON COLUMN orders.outbox_events.event_type IS 'Full name of the protobuf message in payload.';
COMMENT ON COLUMN orders.outbox_events.aggregate_id IS 'What the fact is about; the CloudEvents subject.';
COMMENT ON COLUMN orders.outbox_events.aggregate_version IS 'Rises without gaps per aggregate; consumers let the newer win.';
COMMENT ON COLUMN orders.outbox_events.payload IS 'Encoded protobuf message.';
COMMENT ON COLUMN orders.outbox_events.trace_context IS 'W3C traceparent of the request that made the fact.';
COMMENT ON COLUMN orders.outbox_events.effective_at IS 'When the fact became true in the world, which may be before it was recorded.';
COMMENT ON COLUMN orders.outbox_events.published_at IS 'Set when the broker confirmed the event and did not return it.';

-- Events already applied, per consumer: inserted in the transaction of the effect, so a redelivery is recognised.
CREATE TABLE orders.inbox (
    consumer TEXT NOT NULL
  , event_id UUID NOT NULL
  , received_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT inbox_pkey PRIMARY KEY (consumer, event_id)
);

-- For deleting by age in bounded steps. Inserts go to its right end, where equal times share one entry.
CREATE INDEX inbox_received_at_idx ON orders.inbox (received_at);

COMMENT ON COLUMN orders.inbox.consumer IS 'Queue name without the namespace: each subscription applies an event once for itself.';
COMMENT ON COLUMN orders.inbox.event_id IS 'The CloudEvents id.';
COMMENT ON COLUMN orders.inbox.received_at IS 'When the effect was committed; rows are deleted after a retention longer than any redelivery.';

-- Answers to mutations by request id, written in the mutation's transaction: a row means "this happened".
CREATE TABLE orders.idempotency_keys (
    rpc TEXT NOT NULL
  , request_id UUID NOT NULL
  , fingerprint BYTEA NOT NULL
  , response BYTEA
  , created_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT idempotency_keys_pkey PRIMARY KEY (rpc, request_id)
  , CONSTRAINT idempotency_keys_fingerprint_check CHECK (octet_length(fingerprint) = 32)
);

-- For deleting by age in bounded steps.
CREATE INDEX idempotency_keys_created_at_idx ON orders.idempotency_keys (created_at);

COMMENT ON COLUMN orders.idempotency_keys.rpc IS 'Method name: the same request id under two methods is two requests.';
COMMENT ON COLUMN orders.idempotency_keys.request_id IS 'Chosen by the caller.';
COMMENT ON COLUMN orders.idempotency_keys.fingerprint IS 'SHA-256 of the encoded request; other content under a known id is refused.';
COMMENT ON COLUMN orders.idempotency_keys.response IS 'Encoded response; null only inside the transaction that claimed the key.';
COMMENT ON COLUMN orders.idempotency_keys.created_at IS 'When the request was applied; rows are deleted after the time in which callers may repeat.';

