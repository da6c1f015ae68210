-- A price counts from a number of units on: its tier.
ALTER TABLE catalog.price_lists
    -- A larger quantity may cost more per unit.
    ADD COLUMN rising_tiers BOOLEAN NOT NULL DEFAULT FALSE;

ALTER TABLE catalog.prices
    ADD COLUMN min_quantity BIGINT NOT NULL DEFAULT 1
  , ADD CONSTRAINT prices_min_quantity_check CHECK (min_quantity BETWEEN 1 AND 1000000000) NOT VALID
  , DROP CONSTRAINT prices_pkey
  , ADD CONSTRAINT prices_pkey PRIMARY KEY (price_list_id, sku, min_quantity, valid_from, book_version);

DROP INDEX catalog.prices_price_list_id_book_version_idx;

CREATE INDEX prices_price_list_id_book_version_idx
    ON catalog.prices (price_list_id, book_version, sku, min_quantity, valid_from);
