-- How SKUs are tracked; hardly any is.
CREATE TABLE inventory.sku_tracking (
    sku TEXT NOT NULL
  , kind TEXT NOT NULL
    -- Days that a unit must still be good for when it is promised.
  , shelf_life_days BIGINT NOT NULL
  , version BIGINT NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , updated_at TIMESTAMPTZ NOT NULL
    -- The key that set it last.
  , updated_by TEXT NOT NULL
  , CONSTRAINT sku_tracking_pkey PRIMARY KEY (sku)
  , CONSTRAINT sku_tracking_kind_check CHECK (kind IN ('none', 'lot', 'serial'))
  , CONSTRAINT sku_tracking_shelf_life_days_check CHECK (shelf_life_days BETWEEN 0 AND 3660)
);

-- Every lot and serial number that ever came, with the day until which it is good, wherever it is.
CREATE TABLE inventory.lots (
    sku TEXT NOT NULL
  , lot TEXT NOT NULL
  , expires_on DATE NULL
  , created_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT lots_pkey PRIMARY KEY (sku, lot)
);

-- What each bucket of a level has of each lot: under the level's lock, summing up to it. What has left has no row.
CREATE TABLE inventory.lot_levels (
    sku TEXT NOT NULL
  , location_id TEXT NOT NULL
  , bucket TEXT NOT NULL
  , lot TEXT NOT NULL
  , serial BOOLEAN NOT NULL
  , expires_on DATE NULL
  , quantity BIGINT NOT NULL
    -- In holds, which are given lots when they are granted.
  , held BIGINT NOT NULL
    -- It has been announced that it is past promising.
  , told BOOLEAN NOT NULL
  , CONSTRAINT lot_levels_pkey PRIMARY KEY (sku, location_id, bucket, lot)
  , CONSTRAINT lot_levels_sku_location_id_fkey FOREIGN KEY (sku, location_id)
        REFERENCES inventory.stock_levels (sku, location_id)
  , CONSTRAINT lot_levels_sku_lot_fkey FOREIGN KEY (sku, lot) REFERENCES inventory.lots (sku, lot)
  , CONSTRAINT lot_levels_bucket_check CHECK (bucket IN ('sellable', 'damaged', 'quarantine'))
  , CONSTRAINT lot_levels_quantity_check CHECK (quantity > 0)
  , CONSTRAINT lot_levels_held_check CHECK (held BETWEEN 0 AND quantity AND (held = 0 OR bucket = 'sellable'))
    -- With the unique index below: a serial number is one unit in one place, in at most one live hold.
  , CONSTRAINT lot_levels_serial_check CHECK (NOT serial OR quantity = 1)
)
WITH (fillfactor = 85);

CREATE UNIQUE INDEX lot_levels_serial_key ON inventory.lot_levels (sku, lot) WHERE serial;

-- The timer's question: what has gone past promising, and nobody has said so?
CREATE INDEX lot_levels_expires_on_idx ON inventory.lot_levels (expires_on) WHERE NOT told AND expires_on IS NOT NULL;

ALTER TABLE inventory.hold_lines
    -- Of a tracked SKU: the lots that the line was given, in the order in which a commit takes them, each with its units.
    ADD COLUMN lots JSONB NULL;

ALTER TABLE inventory.ledger_entries
    -- Of a tracked SKU: which lot or serial number moved.
    ADD COLUMN lot TEXT NULL;

CREATE INDEX ledger_entries_lot_idx ON inventory.ledger_entries (sku, lot, effective_at) WHERE lot IS NOT NULL;
