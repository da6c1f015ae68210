-- What a unit costs us: what stock is valued by.
CREATE TABLE inventory.unit_costs (
    sku TEXT NOT NULL
    -- Millionths of the currency's major unit.
  , cost_micros BIGINT NOT NULL
  , currency TEXT NOT NULL
  , version BIGINT NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , updated_at TIMESTAMPTZ NOT NULL
    -- The key that set it last.
  , updated_by TEXT NOT NULL
  , CONSTRAINT unit_costs_pkey PRIMARY KEY (sku)
  , CONSTRAINT unit_costs_cost_check CHECK (cost_micros BETWEEN 0 AND 1000000000000000)
  , CONSTRAINT unit_costs_currency_check CHECK (currency ~ '^[A-Z]{3}$')
);

-- Every cost that ever held.
CREATE TABLE inventory.unit_cost_changes (
    sku TEXT NOT NULL
  , version BIGINT NOT NULL
  , cost_micros BIGINT NOT NULL
  , currency TEXT NOT NULL
  , changed_at TIMESTAMPTZ NOT NULL
  , changed_by TEXT NOT NULL
  , CONSTRAINT unit_cost_changes_pkey PRIMARY KEY (sku, version)
);
