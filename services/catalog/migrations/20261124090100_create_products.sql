CREATE TABLE catalog.products (
    -- The operator's code.
    product_id TEXT COLLATE "C" NOT NULL
  , title TEXT NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT products_pkey PRIMARY KEY (product_id)
  , CONSTRAINT products_product_id_check CHECK (product_id ~ '^[A-Z0-9_-]{1,32}$')
  , CONSTRAINT products_title_check CHECK (char_length(title) BETWEEN 1 AND 200)
);

CREATE TABLE catalog.variants (
    sku TEXT COLLATE "C" NOT NULL
  , product_id TEXT COLLATE "C" NOT NULL
    -- The variant's place within its product, from 1.
  , position INT NOT NULL
  , title TEXT NOT NULL DEFAULT ''
    -- The GTIN as printed, and its 14 digits with leading zeros: the same number in another length is the same article.
  , gtin TEXT COLLATE "C"
  , gtin14 TEXT COLLATE "C"
    -- The number of the `products` head that brought it in.
  , head_version BIGINT NOT NULL
  , CONSTRAINT variants_pkey PRIMARY KEY (sku)
  , CONSTRAINT variants_product_id_fkey FOREIGN KEY (product_id) REFERENCES catalog.products (product_id)
  , CONSTRAINT variants_product_id_position_key UNIQUE (product_id, position)
  , CONSTRAINT variants_gtin14_key UNIQUE (gtin14)
  , CONSTRAINT variants_sku_check CHECK (char_length(sku) BETWEEN 1 AND 64 AND sku = btrim(sku))
  , CONSTRAINT variants_position_check CHECK (position BETWEEN 1 AND 100)
  , CONSTRAINT variants_title_check CHECK (char_length(title) <= 200)
  , CONSTRAINT variants_gtin_check CHECK (
        (gtin IS NULL AND gtin14 IS NULL)
        OR (gtin ~ '^([0-9]{8}|[0-9]{12,14})$' AND gtin14 = lpad(gtin, 14, '0'))
    )
);

CREATE INDEX variants_head_version_idx ON catalog.variants (head_version);
