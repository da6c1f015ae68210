CREATE TABLE inventory.locations (
    -- The operator's code, upper case.
    location_id TEXT NOT NULL
  , kind TEXT NOT NULL
  , title TEXT NOT NULL
    -- A till's sale may take sellable stock below zero here.
  , oversell_facts BOOLEAN NOT NULL
  , version BIGINT NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT locations_pkey PRIMARY KEY (location_id)
  , CONSTRAINT locations_kind_check CHECK (kind IN ('warehouse', 'store'))
);

-- Which locations a channel sells from: a copy of the registry, kept by events of the channels service.
CREATE TABLE inventory.channels (
    channel_id TEXT NOT NULL
  , location_ids TEXT[] NOT NULL
    -- The registry's version: newer wins.
  , version BIGINT NOT NULL
  , CONSTRAINT channels_pkey PRIMARY KEY (channel_id)
);
