-- One row per publish. The version is the number of the `price_books` head: gap-free over all lists.
CREATE TABLE catalog.price_books (
    book_version BIGINT NOT NULL
  , price_list_id TEXT COLLATE "C" NOT NULL
    -- Quotes use the version from this instant on.
  , activate_at TIMESTAMPTZ NOT NULL
  , published_at TIMESTAMPTZ NOT NULL
  , entry_count INT NOT NULL
  , CONSTRAINT price_books_pkey PRIMARY KEY (book_version)
  , CONSTRAINT price_books_price_list_id_fkey FOREIGN KEY (price_list_id) REFERENCES catalog.price_lists (price_list_id)
  , CONSTRAINT price_books_book_version_check CHECK (book_version > 0)
  , CONSTRAINT price_books_activate_at_check CHECK (activate_at >= published_at)
  , CONSTRAINT price_books_entry_count_check CHECK (entry_count BETWEEN 1 AND 20000)
);

-- Append-only. The book at version n is the rows with book_version <= n; of two rows of one list, SKU and valid_from the
-- later one stands.
CREATE TABLE catalog.prices (
    price_list_id TEXT COLLATE "C" NOT NULL
  , sku TEXT COLLATE "C" NOT NULL
    -- Inclusive.
  , valid_from TIMESTAMPTZ NOT NULL
    -- Exclusive; NULL: open.
  , valid_to TIMESTAMPTZ
    -- Millionths of the major unit of the list's currency.
  , unit_price_micros BIGINT NOT NULL
  , book_version BIGINT NOT NULL
  , CONSTRAINT prices_pkey PRIMARY KEY (price_list_id, sku, valid_from, book_version)
  , CONSTRAINT prices_price_list_id_fkey FOREIGN KEY (price_list_id) REFERENCES catalog.price_lists (price_list_id)
  , CONSTRAINT prices_sku_fkey FOREIGN KEY (sku) REFERENCES catalog.variants (sku)
  , CONSTRAINT prices_book_version_fkey FOREIGN KEY (book_version) REFERENCES catalog.price_books (book_version)
  , CONSTRAINT prices_unit_price_micros_check CHECK (unit_price_micros > 0)
  , CONSTRAINT prices_valid_to_check CHECK (valid_to > valid_from)
);

-- What came in with a version: for watchers and for replicas that lack it.
CREATE INDEX prices_price_list_id_book_version_idx ON catalog.prices (price_list_id, book_version, sku, valid_from);
