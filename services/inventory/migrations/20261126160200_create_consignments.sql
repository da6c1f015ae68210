-- Goods at a location that belong to somebody else than its holder.
CREATE TABLE inventory.consignment_agreements (
    party_id TEXT NOT NULL
  , location_id TEXT NOT NULL
    -- Whose the goods are.
  , side TEXT NOT NULL
    -- NULL: all.
  , skus TEXT[] NULL
  , valid_from TIMESTAMPTZ NOT NULL
  , valid_until TIMESTAMPTZ NULL
    -- Not all levels of the location know of it yet.
  , levels_behind BOOLEAN NOT NULL
  , version BIGINT NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , updated_at TIMESTAMPTZ NOT NULL
    -- The key that set it last.
  , updated_by TEXT NOT NULL
  , CONSTRAINT consignment_agreements_pkey PRIMARY KEY (location_id, party_id, side)
  , CONSTRAINT consignment_agreements_location_id_fkey FOREIGN KEY (location_id)
        REFERENCES inventory.locations (location_id)
  , CONSTRAINT consignment_agreements_side_check CHECK (side IN ('theirs', 'ours'))
  , CONSTRAINT consignment_agreements_times_check CHECK (valid_until > valid_from)
);

CREATE INDEX consignment_agreements_behind_idx ON inventory.consignment_agreements (location_id) WHERE levels_behind;

-- Every agreement that ever held.
CREATE TABLE inventory.consignment_agreement_changes (
    party_id TEXT NOT NULL
  , location_id TEXT NOT NULL
  , side TEXT NOT NULL
  , version BIGINT NOT NULL
  , skus TEXT[] NULL
  , valid_from TIMESTAMPTZ NOT NULL
  , valid_until TIMESTAMPTZ NULL
  , changed_at TIMESTAMPTZ NOT NULL
  , changed_by TEXT NOT NULL
  , CONSTRAINT consignment_agreement_changes_pkey PRIMARY KEY (location_id, party_id, side, version)
);

-- Of a level: what of it is a partner's, and what was settled with a partner and has not come back. Changes under the
-- lock of the level.
CREATE TABLE inventory.consignment_stock (
    sku TEXT NOT NULL
  , location_id TEXT NOT NULL
  , party_id TEXT NOT NULL
  , side TEXT NOT NULL
    -- Of the level's units those that are the partner's; 0 where they are ours.
  , units BIGINT NOT NULL
    -- Sold and taken less returned.
  , settled BIGINT NOT NULL
    -- The version of its events.
  , settlements BIGINT NOT NULL
  , CONSTRAINT consignment_stock_pkey PRIMARY KEY (sku, location_id, party_id, side)
  , CONSTRAINT consignment_stock_level_fkey FOREIGN KEY (sku, location_id)
        REFERENCES inventory.stock_levels (sku, location_id)
  , CONSTRAINT consignment_stock_side_check CHECK (side IN ('theirs', 'ours'))
  , CONSTRAINT consignment_stock_units_check CHECK (
        units >= 0 AND settled >= 0 AND settlements >= 0 AND (side = 'theirs' OR units = 0)
    )
);

-- A level has goods of one partner at most: nobody could say whose were sold.
CREATE UNIQUE INDEX consignment_stock_one_owner_key ON inventory.consignment_stock (sku, location_id) WHERE units > 0;
CREATE INDEX consignment_stock_party_id_idx ON inventory.consignment_stock (party_id, sku, location_id) WHERE units > 0;

-- Append-only: what came, went back, and was settled. Each row has its movement in the ledger.
CREATE TABLE inventory.consignment_entries (
    entry_id UUID NOT NULL
  , party_id TEXT NOT NULL
  , side TEXT NOT NULL
  , sku TEXT NOT NULL
  , location_id TEXT NOT NULL
  , cause TEXT NOT NULL
  , units BIGINT NOT NULL
  , movement_id UUID NOT NULL
  , line_no INT NOT NULL
  , reference TEXT NOT NULL
  , effective_at TIMESTAMPTZ NOT NULL
  , recorded_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT consignment_entries_pkey PRIMARY KEY (entry_id)
  , CONSTRAINT consignment_entries_side_check CHECK (side IN ('theirs', 'ours'))
  , CONSTRAINT consignment_entries_cause_check CHECK (cause IN ('received', 'sent_back', 'sold', 'taken', 'returned'))
  , CONSTRAINT consignment_entries_units_check CHECK (units > 0)
);

-- A partner's settlements of a period, and what stock adds up from.
CREATE INDEX consignment_entries_party_id_idx ON inventory.consignment_entries (party_id, recorded_at, entry_id)
 WHERE cause IN ('sold', 'taken', 'returned');
CREATE INDEX consignment_entries_sku_idx ON inventory.consignment_entries (sku, location_id, party_id);
