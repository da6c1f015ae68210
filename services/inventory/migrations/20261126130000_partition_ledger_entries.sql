-- The ledger by month: a question about the past reads the months it needs, and what is old can be moved away whole.
-- Copies what is there, so writers wait for the length of that copy.
ALTER TABLE inventory.ledger_entries RENAME TO ledger_entries_old;
ALTER INDEX inventory.ledger_entries_pkey RENAME TO ledger_entries_old_pkey;
ALTER INDEX inventory.ledger_entries_sku_effective_at_idx RENAME TO ledger_entries_old_sku_effective_at_idx;

-- Not an identity column: PostgreSQL has those on partitioned tables from version 17 on only.
CREATE SEQUENCE inventory.ledger_entry_ids AS BIGINT;

-- Append-only. One row is one movement: it takes from `source` and gives to `target`, so all accounts of a SKU always
-- sum to zero.
CREATE TABLE inventory.ledger_entries (
    -- The order in which entries were recorded, also of those that tell of an earlier time.
    entry_id BIGINT NOT NULL DEFAULT nextval('inventory.ledger_entry_ids')
    -- The request (or hold) that caused it, and its place within that request.
  , movement_id UUID NOT NULL
  , line_no INT NOT NULL
  , sku TEXT NOT NULL
  , source TEXT NOT NULL
  , source_location_id TEXT NULL
  , target TEXT NOT NULL
  , target_location_id TEXT NULL
    -- Whose goods: set exactly where they come from, or go into, the consignment account of an owner.
  , owner_id TEXT NULL
  , quantity BIGINT NOT NULL
  , reason TEXT NOT NULL
  , reference TEXT NOT NULL
    -- The level's version that this movement belongs to: orders ledger and holds of one (SKU, location) in one line.
  , level_version BIGINT NOT NULL
  , effective_at TIMESTAMPTZ NOT NULL
  , recorded_at TIMESTAMPTZ NOT NULL
    -- Serves lists and exports of a SKU. The partition key must be part of it.
  , CONSTRAINT ledger_entries_pkey PRIMARY KEY (sku, effective_at, entry_id)
  , CONSTRAINT ledger_entries_quantity_check CHECK (quantity > 0)
  , CONSTRAINT ledger_entries_reason_check CHECK (reason <> '')
  , CONSTRAINT ledger_entries_accounts_check CHECK (
        (source IN ('sellable', 'damaged', 'quarantine')) = (source_location_id IS NOT NULL)
    AND (target IN ('sellable', 'damaged', 'quarantine')) = (target_location_id IS NOT NULL)
    AND source IN (
            'sellable', 'damaged', 'quarantine', 'supplier', 'customer', 'loss', 'found', 'in_transit', 'production'
          , 'consignment'
        )
    AND target IN (
            'sellable', 'damaged', 'quarantine', 'supplier', 'customer', 'loss', 'found', 'in_transit', 'production'
          , 'consignment'
        )
    AND source <> target
    )
    -- A movement changes one level. Between locations goods are in transit.
  , CONSTRAINT ledger_entries_one_location_check CHECK (source_location_id = target_location_id)
  , CONSTRAINT ledger_entries_owner_check CHECK (
        (source = 'consignment' OR target = 'consignment') = (owner_id IS NOT NULL)
    )
) PARTITION BY RANGE (effective_at);

-- What was on hand of a SKU at a location.
CREATE INDEX ledger_entries_level_idx
    ON inventory.ledger_entries (sku, (COALESCE(source_location_id, target_location_id)), effective_at);

-- For times that no month was made for: long ago, or far ahead.
CREATE TABLE inventory.ledger_entries_default PARTITION OF inventory.ledger_entries DEFAULT;

INSERT INTO inventory.ledger_entries (
    entry_id
  , movement_id
  , line_no
  , sku
  , source
  , source_location_id
  , target
  , target_location_id
  , quantity
  , reason
  , reference
  , level_version
  , effective_at
  , recorded_at
)
SELECT entry_id
     , movement_id
     , line_no
     , sku
     , source
     , source_location_id
     , target
     , target_location_id
     , quantity
     , reason
     , reference
     , level_version
     , effective_at
     , recorded_at
  FROM inventory.ledger_entries_old;

SELECT setval('inventory.ledger_entry_ids', COALESCE(MAX(entry_id), 0) + 1, FALSE)
  FROM inventory.ledger_entries;
ALTER SEQUENCE inventory.ledger_entry_ids OWNED BY inventory.ledger_entries.entry_id;

DROP TABLE inventory.ledger_entries_old;
