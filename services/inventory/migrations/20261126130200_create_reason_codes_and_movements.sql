-- Reasons of the operator's own, beside the built-in ones. Never changed or deleted: the ledger names them.
CREATE TABLE inventory.reason_codes (
    reason_code TEXT NOT NULL
  , title TEXT NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT reason_codes_pkey PRIMARY KEY (reason_code)
  , CONSTRAINT reason_codes_reason_code_check CHECK (reason_code ~ '^[a-z][a-z0-9_]{0,39}$')
);

-- Movements whose id the client made: kept for good, so that an id counts once however late it is repeated.
CREATE TABLE inventory.movements (
    movement_id UUID NOT NULL
    -- What was asked, hashed: the same id with other content is refused.
  , fingerprint BYTEA NOT NULL
    -- What was answered; null only inside the transaction that claimed the id.
  , answer BYTEA NULL
  , recorded_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT movements_pkey PRIMARY KEY (movement_id)
  , CONSTRAINT movements_fingerprint_check CHECK (octet_length(fingerprint) = 32)
);
