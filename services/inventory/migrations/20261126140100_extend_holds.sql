ALTER TABLE inventory.holds
    -- NULL: every line named its location. Else how the others were sourced: {"fulfilment", "latitude", "longitude",
    -- "zone_id", "lines": [{"sku", "requested", "unit_value", "unsourced", "reason"}, …], "rules_version", "step",
    -- "days": [[location, day], …]}. On the hold's own row, so that reading it costs no statement more.
    ADD COLUMN sourcing JSONB NULL
    -- NULL: no line was ever moved. Else the lines as they were first granted, for a request that is repeated:
    -- [[sku, location, requested, held, available, granted_version], …].
  , ADD COLUMN granted_lines JSONB NULL;

-- Past network holds of a channel, to be sourced again.
CREATE INDEX holds_sourced_idx ON inventory.holds (channel_id, created_at) WHERE sourcing IS NOT NULL;

-- Units of holds that went to another location. The time that they were held at the old one stands as a released hold
-- under the move's own id: so the history of promises of a level needs to know nothing of moves.
CREATE TABLE inventory.hold_moves (
    move_id UUID NOT NULL
  , line_no INT NOT NULL
  , hold_id UUID NOT NULL
  , sku TEXT NOT NULL
  , source_location_id TEXT NOT NULL
  , target_location_id TEXT NOT NULL
  , quantity BIGINT NOT NULL
  , moved_at TIMESTAMPTZ NOT NULL
    -- The key that moved it.
  , moved_by TEXT NOT NULL
  , CONSTRAINT hold_moves_pkey PRIMARY KEY (move_id, line_no)
  , CONSTRAINT hold_moves_quantity_check CHECK (quantity > 0)
  , CONSTRAINT hold_moves_locations_check CHECK (source_location_id <> target_location_id)
);

CREATE INDEX hold_moves_hold_id_idx ON inventory.hold_moves (hold_id);

CREATE TRIGGER hold_moves_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON inventory.hold_moves
    FOR EACH STATEMENT EXECUTE FUNCTION inventory.refuse_change();
