-- What the ledger says of a level before `period_end`: the sum of its entries with an earlier effective time. Written
-- when a month is closed, corrected by whoever records an entry of an earlier time, both under the level's row lock.
CREATE TABLE inventory.ledger_balances (
    sku TEXT NOT NULL
  , location_id TEXT NOT NULL
  , period_end TIMESTAMPTZ NOT NULL
  , sellable BIGINT NOT NULL
  , damaged BIGINT NOT NULL
  , quarantine BIGINT NOT NULL
  , CONSTRAINT ledger_balances_pkey PRIMARY KEY (sku, location_id, period_end)
);

-- The months that are closed, or being closed: how far the closing has come, by (SKU, location).
CREATE TABLE inventory.ledger_periods (
    period_end TIMESTAMPTZ NOT NULL
  , after_sku TEXT NOT NULL DEFAULT ''
  , after_location_id TEXT NOT NULL DEFAULT ''
  , closed_at TIMESTAMPTZ NULL
  , CONSTRAINT ledger_periods_pkey PRIMARY KEY (period_end)
);
