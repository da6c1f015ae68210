-- What a channel should show of each SKU, and what it said it shows. A row is never deleted: a SKU that is sold here no
-- longer has nothing available.
CREATE TABLE channels.listings (
    channel_id TEXT NOT NULL
  , sku TEXT NOT NULL
    -- Rises by one with each change of price or stock.
  , version BIGINT NOT NULL
    -- Place of the newest change in the channel's order of changes: what a subscriber's cursor counts.
  , seq BIGINT NOT NULL
  , available BIGINT NOT NULL
    -- NULL: no price now, so not for sale.
  , unit_price_micros BIGINT
    -- When the newest change was committed at its source.
  , source_at TIMESTAMPTZ NOT NULL
    -- When it was written here.
  , changed_at TIMESTAMPTZ NOT NULL
    -- The next instant at which a price window starts or ends; NULL: none in sight.
  , next_price_at TIMESTAMPTZ
    -- source_at of the oldest change since the last acknowledgement; of no meaning when nothing is pending.
  , pending_since TIMESTAMPTZ NOT NULL
    -- The newest version that the channel confirmed; 0: none.
  , acked_version BIGINT NOT NULL DEFAULT 0
    -- When the channel confirmed a version that was the newest, and how long after its source_at that was.
  , acked_at TIMESTAMPTZ
  , acked_delay_us BIGINT
  , CONSTRAINT listings_pkey PRIMARY KEY (channel_id, sku)
  , CONSTRAINT listings_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channels.channels (channel_id)
  , CONSTRAINT listings_version_check CHECK (version >= 1)
  , CONSTRAINT listings_available_check CHECK (available >= 0)
  , CONSTRAINT listings_acked_version_check CHECK (acked_version BETWEEN 0 AND version)
  , CONSTRAINT listings_acked_delay_us_check CHECK (acked_delay_us >= 0)
);

-- Subscribers read in this order. Not UNIQUE: a statement that renumbers many rows would pay for the check on each;
-- `oneshelf verify` looks instead.
CREATE INDEX listings_channel_id_seq_idx ON channels.listings (channel_id, seq);

CREATE INDEX listings_next_price_at_idx ON channels.listings (next_price_at) WHERE next_price_at IS NOT NULL;

-- The lag of a channel: what is pending, and what was acknowledged lately.
CREATE INDEX listings_channel_id_pending_since_idx ON channels.listings (channel_id, pending_since) WHERE acked_version < version;
CREATE INDEX listings_channel_id_acked_at_idx ON channels.listings (channel_id, acked_at) WHERE acked_at IS NOT NULL;
