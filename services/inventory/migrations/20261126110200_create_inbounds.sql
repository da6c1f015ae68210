-- What suppliers are to deliver: purchase orders, and notices of single deliveries.
CREATE TABLE inventory.inbounds (
    -- The request id that made it.
    inbound_id UUID NOT NULL
  , kind TEXT NOT NULL
    -- Of a notice: the order that it delivers.
  , order_id UUID NULL
  , supplier TEXT NOT NULL
  , location_id TEXT NOT NULL
  , state TEXT NOT NULL
  , reference TEXT NOT NULL
    -- By how much of a line's quantity, in percent, deliveries may exceed it.
  , over_percent INT NOT NULL
    -- Unlisted goods are taken, into quarantine.
  , accept_unlisted BOOLEAN NOT NULL
  , version BIGINT NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , updated_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT inbounds_pkey PRIMARY KEY (inbound_id)
  , CONSTRAINT inbounds_order_id_fkey FOREIGN KEY (order_id) REFERENCES inventory.inbounds (inbound_id)
  , CONSTRAINT inbounds_location_id_fkey FOREIGN KEY (location_id) REFERENCES inventory.locations (location_id)
  , CONSTRAINT inbounds_kind_check CHECK (kind = 'asn' OR (kind = 'purchase_order' AND order_id IS NULL))
  , CONSTRAINT inbounds_state_check CHECK (state IN ('open', 'receiving', 'complete', 'closed', 'cancelled'))
  , CONSTRAINT inbounds_over_percent_check CHECK (over_percent BETWEEN 0 AND 100)
);

CREATE INDEX inbounds_created_at_idx ON inventory.inbounds (created_at, inbound_id);
CREATE INDEX inbounds_order_id_idx ON inventory.inbounds (order_id) WHERE order_id IS NOT NULL;

CREATE TABLE inventory.inbound_lines (
    inbound_id UUID NOT NULL
  , line_no INT NOT NULL
  , sku TEXT NOT NULL
    -- Of the document, so that what is due is found by (SKU, location).
  , location_id TEXT NOT NULL
  , expected BIGINT NOT NULL
  , expected_on DATE NOT NULL
    -- Of an order: what its open notices say is on the way.
  , advised BIGINT NOT NULL
    -- Delivered, and what became of it.
  , received BIGINT NOT NULL
  , stocked BIGINT NOT NULL
  , quarantined BIGINT NOT NULL
  , returned BIGINT NOT NULL
    -- Still to come on the line's day.
  , due BIGINT NOT NULL
  , CONSTRAINT inbound_lines_pkey PRIMARY KEY (inbound_id, line_no)
  , CONSTRAINT inbound_lines_inbound_id_sku_key UNIQUE (inbound_id, sku)
  , CONSTRAINT inbound_lines_inbound_id_fkey FOREIGN KEY (inbound_id) REFERENCES inventory.inbounds (inbound_id)
  , CONSTRAINT inbound_lines_received_check CHECK (received = stocked + quarantined + returned)
  , CONSTRAINT inbound_lines_quantities_check CHECK (
        expected >= 0
    AND advised >= 0
    AND stocked >= 0
    AND quarantined >= 0
    AND returned >= 0
    AND due BETWEEN 0 AND GREATEST(0, expected - received - advised)
    )
);

CREATE INDEX inbound_lines_due_idx ON inventory.inbound_lines (sku, location_id, expected_on) WHERE due > 0;
