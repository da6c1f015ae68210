-- Inventory may move an order's units to other locations (MoveHold); where they are then is kept as its newest event says.
ALTER TABLE orders.orders ADD COLUMN hold_version BIGINT NOT NULL DEFAULT 0;

COMMENT ON COLUMN orders.orders.hold_version IS 'How often units were moved, as far as heard; 0: all allocated units are at location_id.';

-- Of open orders with a hold_version above 0: all allocated units. What an order had when it was closed stays.
CREATE TABLE orders.order_allocations (
    order_id UUID NOT NULL REFERENCES orders.orders (order_id)
  , sku TEXT NOT NULL
  , location_id TEXT NOT NULL
  , quantity BIGINT NOT NULL
  , CONSTRAINT order_allocations_pkey PRIMARY KEY (order_id, sku, location_id)
  , CONSTRAINT order_allocations_quantity_check CHECK (quantity > 0)
);
