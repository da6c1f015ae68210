-- Goods of an order. Where each unit stands is counted; the counts always add up (L1).
CREATE TABLE orders.order_lines (
    order_id UUID NOT NULL REFERENCES orders.orders (order_id)
  , line_no INTEGER NOT NULL
  , sku TEXT NOT NULL
  , ordered BIGINT NOT NULL
  , unallocated BIGINT NOT NULL
  , allocated BIGINT NOT NULL
  , shipping BIGINT NOT NULL
  , shipped BIGINT NOT NULL
  , cancelled BIGINT NOT NULL
  , returned BIGINT NOT NULL
  , list_unit_price_micros BIGINT
  , unit_price_micros BIGINT NOT NULL
  , override_reason TEXT NOT NULL
  , total_minor BIGINT NOT NULL
  , CONSTRAINT order_lines_pkey PRIMARY KEY (order_id, line_no)
  , CONSTRAINT order_lines_conservation_check CHECK (ordered = unallocated + allocated + shipped + cancelled)
  , CONSTRAINT order_lines_range_check CHECK (
        line_no >= 1 AND ordered >= 1 AND unallocated >= 0 AND allocated >= 0 AND shipped >= 0 AND cancelled >= 0
    )
  , CONSTRAINT order_lines_shipping_check CHECK (shipping BETWEEN 0 AND allocated)
  , CONSTRAINT order_lines_returned_check CHECK (returned BETWEEN 0 AND shipped)
  , CONSTRAINT order_lines_total_check CHECK (total_minor >= 0)
);

-- For comparing allocations with inventory's holds: small, whatever the history.
CREATE INDEX order_lines_allocated_idx ON orders.order_lines (order_id, line_no) WHERE allocated > 0;

COMMENT ON COLUMN orders.order_lines.unallocated IS 'Stock not yet held.';
COMMENT ON COLUMN orders.order_lines.allocated IS 'Held in inventory under the order''s id.';
COMMENT ON COLUMN orders.order_lines.shipping IS 'Of the allocated: units whose despatch is being booked now.';
COMMENT ON COLUMN orders.order_lines.returned IS 'Of the shipped: units that came back. The next return takes the amounts of the units after these.';
COMMENT ON COLUMN orders.order_lines.total_minor IS 'Charged for the line after discount; split over its units by largest remainder.';

-- Charges without stock.
CREATE TABLE orders.order_fees (
    order_id UUID NOT NULL REFERENCES orders.orders (order_id)
  , fee_no INTEGER NOT NULL
  , code TEXT NOT NULL
  , description TEXT NOT NULL
  , quantity BIGINT NOT NULL
  , unit_price_micros BIGINT NOT NULL
  , total_minor BIGINT NOT NULL
  , CONSTRAINT order_fees_pkey PRIMARY KEY (order_id, fee_no)
  , CONSTRAINT order_fees_quantity_check CHECK (quantity <> 0)
);
