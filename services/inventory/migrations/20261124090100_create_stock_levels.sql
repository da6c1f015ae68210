CREATE TABLE inventory.stock_levels (
    sku TEXT NOT NULL
  , location_id TEXT NOT NULL
  , sellable BIGINT NOT NULL DEFAULT 0
  , damaged BIGINT NOT NULL DEFAULT 0
  , quarantine BIGINT NOT NULL DEFAULT 0
    -- Promised to carts; includes holds past their time that are not yet recorded as expired.
  , soft_held BIGINT NOT NULL DEFAULT 0
    -- Allocated to orders.
  , hard_held BIGINT NOT NULL DEFAULT 0
    -- Copied from the location, so that the check below can say the rule.
  , oversell_facts BOOLEAN NOT NULL
    -- Rises by one with each committed group of changes; gap-free, so consumers can order events by it.
  , version BIGINT NOT NULL DEFAULT 0
  , updated_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT stock_levels_pkey PRIMARY KEY (sku, location_id)
  , CONSTRAINT stock_levels_location_id_fkey FOREIGN KEY (location_id) REFERENCES inventory.locations (location_id)
  , CONSTRAINT stock_levels_sellable_check CHECK (sellable >= 0 OR oversell_facts)
  , CONSTRAINT stock_levels_damaged_check CHECK (damaged >= 0)
  , CONSTRAINT stock_levels_quarantine_check CHECK (quarantine >= 0)
  , CONSTRAINT stock_levels_held_check CHECK (soft_held >= 0 AND hard_held >= 0)
)
-- Levels are updated in place all day: room on the page keeps those updates off the index.
WITH (fillfactor = 70);

CREATE INDEX stock_levels_location_id_sku_idx ON inventory.stock_levels (location_id, sku);
