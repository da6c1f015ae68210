-- Answers to mutations by request id, written in the mutation's transaction: a row means "this happened".
CREATE TABLE loyalty.idempotency_keys (
    rpc TEXT NOT NULL
  , request_id UUID NOT NULL
  , fingerprint BYTEA NOT NULL
  , response BYTEA
  , created_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT idempotency_keys_pkey PRIMARY KEY (rpc, request_id)
  , CONSTRAINT idempotency_keys_fingerprint_check CHECK (octet_length(fingerprint) = 32)
);

-- For deleting by age in bounded steps.
CREATE INDEX idempotency_keys_created_at_idx ON loyalty.idempotency_keys (created_at);

COMMENT ON COLUMN loyalty.idempotency_keys.rpc IS 'Method name: the same request id under two methods is two requests.';
COMMENT ON COLUMN loyalty.idempotency_keys.request_id IS 'Chosen by the caller.';
COMMENT ON COLUMN loyalty.idempotency_keys.fingerprint IS 'SHA-256 of the encoded request; other content under a known id is refused.';
COMMENT ON COLUMN loyalty.idempotency_keys.response IS 'Encoded response; null only inside the transaction that claimed the key.';
COMMENT ON COLUMN loyalty.idempotency_keys.created_at IS 'When the request was applied; rows are deleted after the time in which callers may repeat.';
