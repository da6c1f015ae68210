-- Goods on their way between two locations.
CREATE TABLE inventory.transfers (
    -- The request id of the CreateTransfer that made it.
    transfer_id UUID NOT NULL
  , source_location_id TEXT NOT NULL
  , destination_location_id TEXT NOT NULL
  , state TEXT NOT NULL
  , reference TEXT NOT NULL
    -- The day on which it should arrive.
  , expected_on DATE NULL
    -- The hard hold on what is allocated and not yet shipped; this transfer alone resolves it.
  , hold_id UUID NULL
  , version BIGINT NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , updated_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT transfers_pkey PRIMARY KEY (transfer_id)
  , CONSTRAINT transfers_source_location_id_fkey FOREIGN KEY (source_location_id)
        REFERENCES inventory.locations (location_id)
  , CONSTRAINT transfers_destination_location_id_fkey FOREIGN KEY (destination_location_id)
        REFERENCES inventory.locations (location_id)
  , CONSTRAINT transfers_locations_check CHECK (source_location_id <> destination_location_id)
  , CONSTRAINT transfers_state_check CHECK (
        state IN ('requested', 'approved', 'allocated', 'in_transit', 'received', 'cancelled')
    )
);

CREATE TABLE inventory.transfer_lines (
    transfer_id UUID NOT NULL
  , line_no INT NOT NULL
  , sku TEXT NOT NULL
  , requested BIGINT NOT NULL
    -- Held at the source and not yet shipped.
  , allocated BIGINT NOT NULL
  , shipped BIGINT NOT NULL
    -- Arrived of what was shipped, and of that damaged on arrival.
  , received BIGINT NOT NULL
  , damaged BIGINT NOT NULL
  , in_transit BIGINT NOT NULL
  , lost BIGINT NOT NULL
    -- Arrived beyond what was shipped, and of that taken from the source's books.
  , surplus BIGINT NOT NULL
  , surplus_settled BIGINT NOT NULL
  , CONSTRAINT transfer_lines_pkey PRIMARY KEY (transfer_id, line_no)
  , CONSTRAINT transfer_lines_transfer_id_sku_key UNIQUE (transfer_id, sku)
  , CONSTRAINT transfer_lines_transfer_id_fkey FOREIGN KEY (transfer_id) REFERENCES inventory.transfers (transfer_id)
  , CONSTRAINT transfer_lines_shipped_check CHECK (shipped = received + in_transit + lost)
  , CONSTRAINT transfer_lines_quantities_check CHECK (
        requested > 0
    AND allocated >= 0
    AND allocated + shipped <= requested
    AND in_transit >= 0
    AND lost >= 0
    AND damaged BETWEEN 0 AND received
    AND surplus_settled BETWEEN 0 AND surplus
    )
);

-- Lists by state, newest first; and what is on its way to a location.
CREATE INDEX transfers_state_created_at_idx ON inventory.transfers (state, created_at, transfer_id);
CREATE INDEX transfers_created_at_idx ON inventory.transfers (created_at, transfer_id);
CREATE INDEX transfer_lines_in_transit_idx ON inventory.transfer_lines (sku) WHERE in_transit > 0;
