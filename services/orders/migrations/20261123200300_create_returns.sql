-- Goods and money going back.
CREATE TABLE orders.returns (
    return_id UUID PRIMARY KEY
  , location_id TEXT NOT NULL
  , channel_id TEXT NOT NULL
  , partner_id TEXT
  , member_id TEXT
  , reference TEXT NOT NULL
  , currency CHAR(3) NOT NULL
  , goods_total_minor BIGINT NOT NULL
  , fee_total_minor BIGINT NOT NULL
  , fingerprint BYTEA NOT NULL
  , effective_at TIMESTAMPTZ NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT returns_fingerprint_check CHECK (octet_length(fingerprint) = 32)
);

COMMENT ON COLUMN orders.returns.return_id IS 'ReturnItems'' request id.';
COMMENT ON COLUMN orders.returns.goods_total_minor IS 'Refund for goods, positive.';
COMMENT ON COLUMN orders.returns.fee_total_minor IS 'With the sign of a charge: negative gives money back.';

CREATE TABLE orders.return_lines (
    return_id UUID NOT NULL REFERENCES orders.returns (return_id)
  , line_no INTEGER NOT NULL
  , order_id UUID
  , order_line_no INTEGER
  , sku TEXT NOT NULL
  , quantity BIGINT NOT NULL
  , refund_minor BIGINT NOT NULL
  , CONSTRAINT return_lines_pkey PRIMARY KEY (return_id, line_no)
  , CONSTRAINT return_lines_order_line_fkey FOREIGN KEY (order_id, order_line_no)
        REFERENCES orders.order_lines (order_id, line_no)
  , CONSTRAINT return_lines_order_check CHECK ((order_id IS NULL) = (order_line_no IS NULL))
  , CONSTRAINT return_lines_range_check CHECK (line_no >= 1 AND quantity >= 1 AND refund_minor >= 0)
);

-- For adding up what came back of an order.
CREATE INDEX return_lines_order_idx ON orders.return_lines (order_id, order_line_no) WHERE order_id IS NOT NULL;

CREATE TABLE orders.return_fees (
    return_id UUID NOT NULL REFERENCES orders.returns (return_id)
  , fee_no INTEGER NOT NULL
  , code TEXT NOT NULL
  , description TEXT NOT NULL
  , quantity BIGINT NOT NULL
  , unit_price_micros BIGINT NOT NULL
  , total_minor BIGINT NOT NULL
  , CONSTRAINT return_fees_pkey PRIMARY KEY (return_id, fee_no)
  , CONSTRAINT return_fees_quantity_check CHECK (quantity <> 0)
);
