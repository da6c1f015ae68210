ALTER TABLE channels.stock_facts
    -- What channels that a rule names may sell, where it is not `available`: channel to units. NULL: no such channel.
    ADD COLUMN channel_availables JSONB
    -- Of the SKU, the same at every location once all have been announced: off the sum, once.
  , ADD COLUMN network_threshold BIGINT NOT NULL DEFAULT 0
  , ADD CONSTRAINT stock_facts_network_threshold_check CHECK (network_threshold >= 0);
