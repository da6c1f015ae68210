-- The registry of sales channels. The row is also the channel's commit order: whoever changes listings locks it first
-- and raises last_seq, so sequence numbers become visible in the order in which they were given.
CREATE TABLE channels.channels (
    -- The operator's code.
    channel_id TEXT NOT NULL
    -- WEB, MARKETPLACE, DEALER or STORE; never changes.
  , kind TEXT NOT NULL
  , title TEXT NOT NULL
    -- ISO 4217; never changes. Prices in other currencies are not shown here.
  , currency TEXT NOT NULL
    -- Version of the record (title, locations), not of its listings.
  , version BIGINT NOT NULL
    -- The newest sequence number given to a listing of this channel.
  , last_seq BIGINT NOT NULL DEFAULT 0
  , created_at TIMESTAMPTZ NOT NULL
  , updated_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT channels_pkey PRIMARY KEY (channel_id)
  , CONSTRAINT channels_channel_id_check CHECK (channel_id ~ '^[A-Z0-9_-]{1,32}$')
  , CONSTRAINT channels_kind_check CHECK (kind IN ('WEB', 'MARKETPLACE', 'DEALER', 'STORE'))
  , CONSTRAINT channels_title_check CHECK (char_length(title) BETWEEN 1 AND 200)
  , CONSTRAINT channels_currency_check CHECK (currency ~ '^[A-Z]{3}$')
  , CONSTRAINT channels_version_check CHECK (version >= 1)
  , CONSTRAINT channels_last_seq_check CHECK (last_seq >= 0)
);

-- The locations whose stock a channel sells.
CREATE TABLE channels.channel_locations (
    channel_id TEXT NOT NULL
  , location_id TEXT NOT NULL
  , CONSTRAINT channel_locations_pkey PRIMARY KEY (channel_id, location_id)
  , CONSTRAINT channel_locations_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES channels.channels (channel_id)
);

-- From a location to the channels that a change there touches.
CREATE INDEX channel_locations_location_id_channel_id_idx ON channels.channel_locations (location_id, channel_id);
