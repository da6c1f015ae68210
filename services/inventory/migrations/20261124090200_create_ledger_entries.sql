-- Append-only. One row is one movement: it takes from `source` and gives to `target`, so all accounts of a SKU always
-- sum to zero.
CREATE TABLE inventory.ledger_entries (
    entry_id BIGINT GENERATED ALWAYS AS IDENTITY
    -- The request (or hold) that caused it, and its place within that request.
  , movement_id UUID NOT NULL
  , line_no INT NOT NULL
  , sku TEXT NOT NULL
  , source TEXT NOT NULL
  , source_location_id TEXT NULL
  , target TEXT NOT NULL
  , target_location_id TEXT NULL
  , quantity BIGINT NOT NULL
  , reason TEXT NOT NULL
  , reference TEXT NOT NULL
    -- The level's version that this movement belongs to: orders ledger and holds of one (SKU, location) in one line.
  , level_version BIGINT NOT NULL
  , effective_at TIMESTAMPTZ NOT NULL
  , recorded_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT ledger_entries_pkey PRIMARY KEY (entry_id)
  , CONSTRAINT ledger_entries_quantity_check CHECK (quantity > 0)
  , CONSTRAINT ledger_entries_accounts_check CHECK (
        (source IN ('sellable', 'damaged', 'quarantine')) = (source_location_id IS NOT NULL)
    AND (target IN ('sellable', 'damaged', 'quarantine')) = (target_location_id IS NOT NULL)
    AND source IN ('sellable', 'damaged', 'quarantine', 'supplier', 'customer', 'loss', 'found', 'in_transit')
    AND target IN ('sellable', 'damaged', 'quarantine', 'supplier', 'customer', 'loss', 'found', 'in_transit')
    )
);

CREATE INDEX ledger_entries_sku_effective_at_idx ON inventory.ledger_entries (sku, effective_at, entry_id);
