CREATE TABLE catalog.price_lists (
    price_list_id TEXT COLLATE "C" NOT NULL
  , title TEXT NOT NULL
  , currency CHAR(3) NOT NULL
    -- Whose list it is; empty: a list for the partners that name it.
  , channel_id TEXT COLLATE "C" NOT NULL DEFAULT ''
    -- Counts publishes.
  , version BIGINT NOT NULL DEFAULT 0
    -- The aggregate version of the last PricesPublished event; a large publish makes several.
  , event_version BIGINT NOT NULL DEFAULT 0
    -- The number of the `price_lists` head that brought it in.
  , head_version BIGINT NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT price_lists_pkey PRIMARY KEY (price_list_id)
  , CONSTRAINT price_lists_price_list_id_check CHECK (price_list_id ~ '^[A-Z0-9_-]{1,32}$')
  , CONSTRAINT price_lists_title_check CHECK (char_length(title) BETWEEN 1 AND 200)
  , CONSTRAINT price_lists_currency_check CHECK (currency ~ '^[A-Z]{3}$')
  , CONSTRAINT price_lists_channel_id_check CHECK (channel_id = '' OR channel_id ~ '^[A-Z0-9_-]{1,32}$')
  , CONSTRAINT price_lists_version_check CHECK (version >= 0 AND event_version >= version)
);

-- A channel has one list per currency.
CREATE UNIQUE INDEX price_lists_channel_id_currency_key
    ON catalog.price_lists (channel_id, currency)
    WHERE channel_id <> '';
