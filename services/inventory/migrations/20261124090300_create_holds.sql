CREATE TABLE inventory.holds (
    -- Made by the client: the request id of the HoldStock that asked for it.
    hold_id UUID NOT NULL
  , kind TEXT NOT NULL
  , state TEXT NOT NULL
  , channel_id TEXT NULL
  , reference TEXT NOT NULL
    -- What was asked, hashed: the same id with other content is refused.
  , fingerprint BYTEA NOT NULL
    -- As first granted: a repeated request gets its first answer even after an extension.
  , granted_until TIMESTAMPTZ NULL
  , expires_at TIMESTAMPTZ NULL
  , created_at TIMESTAMPTZ NOT NULL
  , resolved_at TIMESTAMPTZ NULL
  , CONSTRAINT holds_pkey PRIMARY KEY (hold_id)
  , CONSTRAINT holds_kind_check CHECK (kind IN ('soft', 'hard') AND (kind = 'soft') = (expires_at IS NOT NULL))
  , CONSTRAINT holds_state_check CHECK (
        state IN ('held', 'committed', 'released', 'expired')
    AND (state = 'held') = (resolved_at IS NULL)
    )
)
WITH (fillfactor = 85);

-- The sweeper's question: which live soft holds are past their time?
CREATE INDEX holds_expires_at_idx ON inventory.holds (expires_at) WHERE state = 'held' AND kind = 'soft';

CREATE TABLE inventory.hold_lines (
    hold_id UUID NOT NULL
  , line_no INT NOT NULL
  , sku TEXT NOT NULL
  , location_id TEXT NOT NULL
  , requested BIGINT NOT NULL
  , held BIGINT NOT NULL
  , committed BIGINT NOT NULL DEFAULT 0
    -- What was left for others after this line.
  , available BIGINT NOT NULL
    -- The level's version at which the units were promised, and at which the promise ended.
  , granted_version BIGINT NOT NULL
  , resolved_version BIGINT NULL
  , CONSTRAINT hold_lines_pkey PRIMARY KEY (hold_id, line_no)
  , CONSTRAINT hold_lines_quantities_check CHECK (
        requested > 0 AND held BETWEEN 0 AND requested AND committed BETWEEN 0 AND held
    )
)
WITH (fillfactor = 85);
