-- What customers bought. The money of an order is fixed when the row is written.
CREATE TABLE orders.orders (
    order_id UUID PRIMARY KEY
  , kind TEXT NOT NULL
  , state TEXT NOT NULL
  , channel_id TEXT NOT NULL
  , location_id TEXT NOT NULL
  , partner_id TEXT
  , member_id TEXT
  , reference TEXT NOT NULL
  , currency CHAR(3) NOT NULL
  , goods_total_minor BIGINT NOT NULL
  , fee_total_minor BIGINT NOT NULL
  , quote_id UUID
  , book_version BIGINT NOT NULL
  , device_id TEXT
  , ticket_no TEXT
  , fingerprint BYTEA NOT NULL
  , line_count INTEGER NOT NULL
  , refusal_code INTEGER
  , refusal_reason TEXT
  , refusal_message TEXT
  , refusal_details BYTEA
  , cancel_reason TEXT
  , tracking_number TEXT
  , effective_at TIMESTAMPTZ NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , version BIGINT NOT NULL
  , CONSTRAINT orders_ticket_key UNIQUE (device_id, ticket_no)
  , CONSTRAINT orders_kind_check CHECK (kind IN ('placed', 'ticket'))
  , CONSTRAINT orders_state_check CHECK (
        (kind = 'placed' AND state IN (
            'placing', 'confirmed', 'shipping', 'shipped', 'cancelling', 'cancelled', 'refused'
        ))
        OR (kind = 'ticket' AND state IN ('recorded', 'completed'))
    )
  , CONSTRAINT orders_ticket_check CHECK ((kind = 'ticket') = (device_id IS NOT NULL AND ticket_no IS NOT NULL))
  , CONSTRAINT orders_quote_check CHECK ((kind = 'placed') = (quote_id IS NOT NULL))
  , CONSTRAINT orders_refusal_check CHECK (
        (refusal_code IS NULL) = (refusal_reason IS NULL)
        AND (refusal_code IS NULL) = (refusal_message IS NULL)
        AND (refusal_code IS NULL) = (refusal_details IS NULL)
        AND (state <> 'refused' OR refusal_code IS NOT NULL)
    )
  , CONSTRAINT orders_fingerprint_check CHECK (octet_length(fingerprint) = 32)
  , CONSTRAINT orders_version_check CHECK (version >= 1)
);

-- ListOrders reads newest first, narrowed by any one of these.
CREATE INDEX orders_created_at_idx ON orders.orders (created_at DESC, order_id DESC);
CREATE INDEX orders_channel_id_idx ON orders.orders (channel_id, created_at DESC, order_id DESC);
CREATE INDEX orders_partner_id_idx ON orders.orders (partner_id, created_at DESC, order_id DESC) WHERE partner_id IS NOT NULL;
CREATE INDEX orders_member_id_idx ON orders.orders (member_id, created_at DESC, order_id DESC) WHERE member_id IS NOT NULL;
-- Final states are almost all rows and well served by the first index; these are the ones that somebody works on.
CREATE INDEX orders_open_idx ON orders.orders (state, created_at DESC, order_id DESC)
    WHERE state IN ('placing', 'confirmed', 'shipping', 'cancelling', 'refused', 'recorded');

COMMENT ON COLUMN orders.orders.order_id IS 'PlaceOrder''s request id; for a ticket derived from device and ticket number.';
COMMENT ON COLUMN orders.orders.fingerprint IS 'SHA-256 of the encoded request or ticket: other content under a known key is refused.';
COMMENT ON COLUMN orders.orders.line_count IS 'So that a page of orders can be cut before its lines are read.';
COMMENT ON COLUMN orders.orders.refusal_code IS 'gRPC code of the refusal by inventory or partners; set from the moment of the refusal, before what was held is given back.';
COMMENT ON COLUMN orders.orders.refusal_details IS 'Encoded google.rpc.Status details as they came, so that a repeated PlaceOrder gets the same answer.';
COMMENT ON COLUMN orders.orders.effective_at IS 'When it was ordered or sold, which may be before it was recorded.';
COMMENT ON COLUMN orders.orders.version IS '1 when written; +1 with each change.';
