-- One counter per kind of thing that every replica keeps in memory. A writer locks the row of its kind, counts it up and
-- stamps what it writes with the new number; so numbers rise in the order of commits, without a gap, and a replica that
-- has seen number n finds all that is new by `> n`.
CREATE TABLE catalog.heads (
    kind TEXT NOT NULL
  , version BIGINT NOT NULL DEFAULT 0
  , CONSTRAINT heads_pkey PRIMARY KEY (kind)
  , CONSTRAINT heads_kind_check CHECK (kind IN ('products', 'price_lists', 'price_books', 'partners'))
  , CONSTRAINT heads_version_check CHECK (version >= 0)
);

INSERT INTO catalog.heads (kind)
VALUES ('products'), ('price_lists'), ('price_books'), ('partners');
