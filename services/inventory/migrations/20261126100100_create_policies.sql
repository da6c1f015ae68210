-- What is kept back of a SKU at a location. `stock_levels` has copies of the two numbers, which decide on the hot path.
CREATE TABLE inventory.stock_policies (
    sku TEXT NOT NULL
  , location_id TEXT NOT NULL
  , safety_stock BIGINT NOT NULL
    -- Units that may be promised beyond what is there.
  , backorder_limit BIGINT NOT NULL
    -- Not for sale at this location at all.
  , excluded BOOLEAN NOT NULL
  , excluded_channels TEXT[] NOT NULL
    -- Channel to units.
  , buffers JSONB NOT NULL
  , version BIGINT NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , updated_at TIMESTAMPTZ NOT NULL
    -- The key that set it last.
  , updated_by TEXT NOT NULL
  , CONSTRAINT stock_policies_pkey PRIMARY KEY (sku, location_id)
  , CONSTRAINT stock_policies_sku_location_id_fkey FOREIGN KEY (sku, location_id)
        REFERENCES inventory.stock_levels (sku, location_id)
  , CONSTRAINT stock_policies_units_check CHECK (safety_stock >= 0 AND backorder_limit >= 0)
);

-- Every policy that ever held, with the version of the level from which on it did: what a grant is judged by later.
CREATE TABLE inventory.stock_policy_changes (
    sku TEXT NOT NULL
  , location_id TEXT NOT NULL
  , version BIGINT NOT NULL
  , level_version BIGINT NOT NULL
  , safety_stock BIGINT NOT NULL
  , backorder_limit BIGINT NOT NULL
  , excluded BOOLEAN NOT NULL
  , excluded_channels TEXT[] NOT NULL
  , buffers JSONB NOT NULL
  , changed_at TIMESTAMPTZ NOT NULL
  , changed_by TEXT NOT NULL
  , CONSTRAINT stock_policy_changes_pkey PRIMARY KEY (sku, location_id, version)
);

-- What holds for a SKU wherever it lies.
CREATE TABLE inventory.sku_policies (
    sku TEXT NOT NULL
    -- Taken off the sum over a channel's locations.
  , network_threshold BIGINT NOT NULL
    -- At most so many left: low.
  , low_threshold BIGINT NOT NULL
  , excluded_channels TEXT[] NOT NULL
    -- Units that one shopper, or one channel, may hold softly at a time; NULL: no cap.
  , shopper_cap BIGINT NULL
  , channel_cap BIGINT NULL
  , version BIGINT NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , updated_at TIMESTAMPTZ NOT NULL
  , updated_by TEXT NOT NULL
  , CONSTRAINT sku_policies_pkey PRIMARY KEY (sku)
  , CONSTRAINT sku_policies_units_check CHECK (network_threshold >= 0 AND low_threshold >= 0)
  , CONSTRAINT sku_policies_caps_check CHECK (shopper_cap > 0 AND channel_cap > 0)
);

-- Units that only one channel or partner may use.
CREATE TABLE inventory.ring_fences (
    sku TEXT NOT NULL
  , location_id TEXT NOT NULL
  , owner_kind TEXT NOT NULL
  , owner_id TEXT NOT NULL
  , quota BIGINT NOT NULL
    -- From here on there is no fence; NULL: until it is set otherwise.
  , release_at TIMESTAMPTZ NULL
    -- Units of holds for the owner that were granted from the level's version `begun` on, while held or once committed.
  , used BIGINT NOT NULL
  , begun BIGINT NOT NULL
    -- Its release has been announced.
  , released BOOLEAN NOT NULL
  , version BIGINT NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , updated_at TIMESTAMPTZ NOT NULL
  , updated_by TEXT NOT NULL
  , CONSTRAINT ring_fences_pkey PRIMARY KEY (sku, location_id, owner_kind, owner_id)
  , CONSTRAINT ring_fences_sku_location_id_fkey FOREIGN KEY (sku, location_id)
        REFERENCES inventory.stock_levels (sku, location_id)
  , CONSTRAINT ring_fences_owner_kind_check CHECK (owner_kind IN ('channel', 'partner'))
  , CONSTRAINT ring_fences_units_check CHECK (quota >= 0 AND used >= 0)
)
WITH (fillfactor = 85);

-- The timer's question: whose time is over?
CREATE INDEX ring_fences_release_at_idx ON inventory.ring_fences (release_at) WHERE NOT released AND release_at IS NOT NULL;

ALTER TABLE inventory.stock_levels
    ADD COLUMN safety_stock BIGINT NOT NULL DEFAULT 0
  , ADD COLUMN backorder_limit BIGINT NOT NULL DEFAULT 0
    -- There may be rules beyond the two numbers: read them before deciding.
  , ADD COLUMN has_rules BOOLEAN NOT NULL DEFAULT FALSE
  , ADD CONSTRAINT stock_levels_policy_check CHECK (safety_stock >= 0 AND backorder_limit >= 0);

ALTER TABLE inventory.holds
    ADD COLUMN partner_id TEXT NULL
  , ADD COLUMN shopper_id TEXT NULL
    -- When the units began to be held softly, where that was another hold that this one replaced.
  , ADD COLUMN held_since TIMESTAMPTZ NULL;
