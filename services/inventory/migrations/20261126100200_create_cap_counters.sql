-- Units that somebody holds softly, of SKUs with a cap.
CREATE TABLE inventory.cap_counters (
    sku TEXT NOT NULL
  , holder_kind TEXT NOT NULL
  , holder_id TEXT NOT NULL
  , soft_held BIGINT NOT NULL
  , CONSTRAINT cap_counters_pkey PRIMARY KEY (sku, holder_kind, holder_id)
  , CONSTRAINT cap_counters_holder_kind_check CHECK (holder_kind IN ('shopper', 'channel'))
  , CONSTRAINT cap_counters_soft_held_check CHECK (soft_held >= 0)
)
WITH (fillfactor = 85);

CREATE INDEX cap_counters_nothing_idx ON inventory.cap_counters (sku) WHERE soft_held = 0;
