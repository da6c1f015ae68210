-- Events already applied, per consumer: inserted in the transaction of the effect, so a redelivery is recognised.
CREATE TABLE loyalty.inbox (
    consumer TEXT NOT NULL
  , event_id UUID NOT NULL
  , received_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT inbox_pkey PRIMARY KEY (consumer, event_id)
);

-- For deleting by age in bounded steps. Inserts go to its right end, where equal times share one entry.
CREATE INDEX inbox_received_at_idx ON loyalty.inbox (received_at);

COMMENT ON COLUMN loyalty.inbox.consumer IS 'Queue name without the namespace: each subscription applies an event once for itself.';
COMMENT ON COLUMN loyalty.inbox.event_id IS 'The CloudEvents id.';
COMMENT ON COLUMN loyalty.inbox.received_at IS 'When the effect was committed; rows are deleted after a retention longer than any redelivery.';
