-- When a channel is told that a SKU runs low, is out or is back. Only SKUs that have a row are looked after; whoever
-- changes what the channel may sell of one locks its row after the levels, so crossings are counted one by one.
CREATE TABLE inventory.stock_thresholds (
    sku TEXT NOT NULL
  , channel_id TEXT NOT NULL
    -- At most so many left: low.
  , low_threshold BIGINT NOT NULL
    -- Nobody is told any more; the figures below are as they were then.
  , ended BOOLEAN NOT NULL
    -- What the channel sells from, as it was taken over last.
  , location_ids TEXT[] NOT NULL
    -- The sum of the parts at these locations, and what of it may be sold: less the SKU's network threshold, at least 0.
  , total BIGINT NOT NULL
  , available BIGINT NOT NULL
  , band TEXT NOT NULL
    -- How often the band changed: the version of its events.
  , crossings BIGINT NOT NULL
  , version BIGINT NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , updated_at TIMESTAMPTZ NOT NULL
    -- The key that set it last.
  , updated_by TEXT NOT NULL
  , CONSTRAINT stock_thresholds_pkey PRIMARY KEY (sku, channel_id)
  , CONSTRAINT stock_thresholds_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES inventory.channels (channel_id)
  , CONSTRAINT stock_thresholds_band_check CHECK (band IN ('in_stock', 'low', 'out'))
  , CONSTRAINT stock_thresholds_units_check CHECK (
        low_threshold >= 0 AND total >= 0 AND available BETWEEN 0 AND total AND crossings >= 0
    )
)
WITH (fillfactor = 70);

-- The timer's question: which follow a channel that sells from elsewhere by now?
CREATE INDEX stock_thresholds_channel_id_idx ON inventory.stock_thresholds (channel_id) WHERE NOT ended;

-- What each level gives a channel, at all locations of the SKU whether or not the channel sells from there.
CREATE TABLE inventory.stock_threshold_parts (
    sku TEXT NOT NULL
  , location_id TEXT NOT NULL
  , channel_id TEXT NOT NULL
  , available BIGINT NOT NULL
  , CONSTRAINT stock_threshold_parts_pkey PRIMARY KEY (sku, location_id, channel_id)
  , CONSTRAINT stock_threshold_parts_threshold_fkey FOREIGN KEY (sku, channel_id)
        REFERENCES inventory.stock_thresholds (sku, channel_id)
  , CONSTRAINT stock_threshold_parts_units_check CHECK (available >= 0)
)
WITH (fillfactor = 70);
