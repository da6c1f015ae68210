-- What inventory last said of each (SKU, location). Kept for locations of no channel too: a channel made later
-- starts from here.
CREATE TABLE channels.stock_facts (
    sku TEXT NOT NULL
  , location_id TEXT NOT NULL
    -- Floored at zero by inventory.
  , available BIGINT NOT NULL
    -- The level's version there; a newer one wins, an older one is ignored.
  , version BIGINT NOT NULL
  , changed_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT stock_facts_pkey PRIMARY KEY (sku, location_id)
  , CONSTRAINT stock_facts_available_check CHECK (available >= 0)
);

-- From a location to its SKUs, for the recomputation of a whole channel.
CREATE INDEX stock_facts_location_id_sku_idx ON channels.stock_facts (location_id, sku);

-- The price windows that catalog published for a channel. Immutable, and no window replaces another: a book that is
-- published now may become active later, and until then the older window of the same start still counts.
CREATE TABLE channels.price_facts (
    channel_id TEXT NOT NULL
  , sku TEXT NOT NULL
    -- Inclusive. Of the windows that count at an instant, the one that starts last decides; of two that start together,
    -- the one of the newer book.
  , valid_from TIMESTAMPTZ NOT NULL
  , book_version BIGINT NOT NULL
    -- Exclusive; NULL: open.
  , valid_to TIMESTAMPTZ
    -- From when the window counts: its start, or its book's activation if that is later.
  , active_from TIMESTAMPTZ NOT NULL
  , unit_price_micros BIGINT NOT NULL
  , currency TEXT NOT NULL
  , CONSTRAINT price_facts_pkey PRIMARY KEY (channel_id, sku, valid_from, book_version)
  , CONSTRAINT price_facts_active_from_check CHECK (active_from >= valid_from)
  , CONSTRAINT price_facts_unit_price_micros_check CHECK (unit_price_micros > 0)
);
